"""The picture of the GPU suite: rates over size, the share of memset by type, the cost of a call, whole models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .calls import Calls
from .fills import DTYPES
from .gpu import Results
from .initialise import Initialised
from .machine import Facts, headline
from .plots import DRAWN, RIVALS, save
from .sweep import Cell

SHADES: Final = ("#1f77b4", "#6baed6", "#c6dbef")  # by op


def plot_gpu(path: Path, machine: Facts, results: Results) -> None:
    """Six panels in one file, those left empty for which nothing was measured."""
    figure = Figure(figsize=(15, 9), layout="constrained")
    figure.suptitle(headline(machine), fontsize=10)
    panels = [figure.add_subplot(2, 3, place + 1) for place in range(6)]
    contiguous = [cell for cell in results.cells if cell.point.layout == "contiguous"]
    for axes, op in zip(panels, DRAWN, strict=False):
        axes.set_title(f"{op}, float32", fontsize=9)
        _rates(axes, [cell for cell in contiguous if cell.point.op == op and cell.point.dtype == "float32"])
    _shares(panels[3], contiguous)
    _calls(panels[4], results.calls)
    _models(panels[5], results.models)
    save(figure, path)


def _rates(axes: Axes, cells: Sequence[Cell]) -> None:
    """GB written a second over the bytes of the tensor, a line a rival."""
    for rival, colour in RIVALS.items():
        points = []
        for cell in sorted(cells, key=lambda cell: cell.point.log2):
            rate, size = cell.rate(rival), DTYPES[cell.point.dtype].itemsize
            if rate is not None:
                points.append((size * 2**cell.point.log2, size * rate / 1e9))
        if points:
            axes.plot(*zip(*points, strict=True), ".-", color=colour, label=rival)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("bytes")
    axes.set_ylabel("GB / s")
    axes.grid(alpha=0.3)
    if cells:
        axes.legend(fontsize=8)


def _shares(axes: Axes, cells: Sequence[Cell]) -> None:
    """The share of memset at the largest size of each type, a bar an op."""
    dtypes = [dtype for dtype in DTYPES if any(cell.point.dtype == dtype for cell in cells)]
    largest = {(c.point.op, c.point.dtype): c.share for c in sorted(cells, key=lambda cell: cell.point.log2)}
    width = 0.8 / len(DRAWN)
    for group, (op, shade) in enumerate(zip(DRAWN, SHADES, strict=True)):
        bars = [(at + group * width, largest[op, dtype]) for at, dtype in enumerate(dtypes) if (op, dtype) in largest]
        if bars:
            axes.bar([at for at, _ in bars], [share for _, share in bars], width, color=shade, label=op)
    axes.set_xticks([at + 0.4 - width / 2 for at in range(len(dtypes))], dtypes, rotation=45, fontsize=7, ha="right")
    axes.set_title("share of memset, largest tensors", fontsize=9)
    axes.axhline(1.0, color=RIVALS["memset"], linewidth=1)
    if largest:
        axes.legend(fontsize=7)


def _calls(axes: Axes, rows: Sequence[Calls]) -> None:
    """Microseconds a call of `normal_` over size, one after the other and from a graph."""
    for where, style in (("", "-"), (" in graph", "--")):
        for rival in ("fastinit", "torch", "memset"):
            points = [
                (2**row.log2, row.timings[rival + where].seconds * 1e6)
                for row in rows
                if row.op == "normal_" and rival + where in row.timings
            ]
            if points:
                axes.plot(*zip(*points, strict=True), style, color=RIVALS[rival], label=rival + where)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("elements")
    axes.set_title("microseconds a call of normal_", fontsize=9)
    axes.grid(alpha=0.3)
    if rows:
        axes.legend(fontsize=7)


def _models(axes: Axes, models: Sequence[Initialised]) -> None:
    """How many times faster than torch's loop, in one call and in a loop."""
    names = [model.model.name for model in models]
    for offset, name, shade in ((-0.2, "foreach", SHADES[0]), (0.2, "fastinit loop", SHADES[1])):
        bars = [model.timings["torch loop"].seconds / model.timings[name].seconds for model in models]
        axes.barh([at + offset for at in range(len(models))], bars, 0.4, color=shade, label=name)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.axvline(1.0, color=RIVALS["torch"], linewidth=1)
    axes.set_xscale("log")
    axes.set_title("whole models, times torch's loop", fontsize=9)
    if models:
        axes.legend(fontsize=8)
