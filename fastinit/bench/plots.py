"""The pictures of the suites, each one file that can be read without the table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .floors import Verdict
from .machine import Facts, headline
from .orthogonal import Result
from .sweep import Cell

RIVALS: Final = {
    "fastinit": "#1f77b4",
    "torch": "#d62728",
    "numpy": "#2ca02c",
    "curand": "#76b900",
    "memset": "#7f7f7f",
}
DRAWN: Final = ("uniform_", "normal_", "trunc_normal_ [-2, 2]")
STYLES: Final = ("-", "--", ":")  # by thread count, in rising order


def plot_sweep(path: Path, machine: Facts, cells: Sequence[Cell]) -> None:
    """Elements a second over size, float32 contiguous: fastinit, its rivals and memset, a panel an initializer."""
    shown = [cell for cell in cells if cell.point.dtype == "float32" and cell.point.layout == "contiguous"]
    ops = [op for op in DRAWN if any(cell.point.op == op for cell in shown)] or sorted({c.point.op for c in shown})[:3]
    figure = Figure(figsize=(5 * max(len(ops), 1), 4.5), layout="constrained")
    figure.suptitle(f"float32, contiguous: {headline(machine)}", fontsize=10)
    for place, op in enumerate(ops):
        axes = figure.add_subplot(1, len(ops), place + 1)
        _curves(axes, [cell for cell in shown if cell.point.op == op])
        axes.set_title(op)
    save(figure, path)


def _curves(axes: Axes, cells: Sequence[Cell]) -> None:
    for threads, style in zip(sorted({cell.point.threads for cell in cells}), STYLES, strict=False):
        for rival, colour in RIVALS.items():
            points = [
                (2**cell.point.log2, rate / 1e9)
                for cell in sorted(cells, key=lambda cell: cell.point.log2)
                if cell.point.threads == threads and (rate := cell.rate(rival)) is not None
            ]
            if points:
                axes.plot(
                    *zip(*points, strict=True),
                    style,
                    color=colour,
                    label=f"{rival} ({threads})",
                )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("elements")
    axes.set_ylabel("G elements / s")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, title="threads in brackets", title_fontsize=7)


def plot_floors(path: Path, machine: Facts, verdicts: Sequence[Verdict]) -> None:
    """How far each promise is over-fulfilled: 1 is the bound itself, right of it is better."""
    bars: list[tuple[str, float]] = []
    for verdict in verdicts:
        if verdict.bound is not None and verdict.value:
            times = verdict.value / verdict.bound
            margin = times if verdict.sense == "at least" else 1 / times
            bars.append((f"{verdict.promise} ({verdict.threads})", margin))
    figure = Figure(figsize=(9, 1 + 0.22 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(
        [name for name, _ in bars],
        [margin for _, margin in bars],
        color=[RIVALS["fastinit"] if margin >= 1 else RIVALS["torch"] for _, margin in bars],
    )
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=7)
    axes.set_xlabel("times the bound (threads in brackets)")
    axes.set_title(headline(machine), fontsize=9)
    save(figure, path)


def plot_orthogonal(path: Path, machine: Facts, results: Sequence[Result]) -> None:
    """Square float32 matrices: milliseconds over n on the left, max |Q*Q - 1| on the right."""
    square = [r for r in results if r.case.rows == r.case.columns and r.case.batch == 1 and r.case.dtype == "float32"]
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    figure.suptitle(f"orthogonal_, float32, n x n: {headline(machine)}", fontsize=10)
    time, error = figure.subplots(1, 2)
    for threads, style in zip(sorted({result.threads for result in square}), STYLES, strict=False):
        shown = [result for result in square if result.threads == threads]
        sizes = [result.case.rows for result in shown]
        for rival in ("fastinit", "torch"):
            seconds = [result.timings[rival].seconds * 1e3 for result in shown]
            time.plot(sizes, seconds, style, color=RIVALS[rival], label=f"{rival} ({threads})")
            errors = [result.error if rival == "fastinit" else result.torch_error for result in shown]
            error.plot(sizes, errors, style, color=RIVALS[rival], label=f"{rival} ({threads})")
    for axes, label in ((time, "ms"), (error, "max |Q*Q - 1|")):
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel("n")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7, title="threads in brackets", title_fontsize=7)
    save(figure, path)


def plot_isa(path: Path, machine: Facts, rates: dict[str, dict[str, float]]) -> None:
    """Grouped bars: G elements a second by op, one group an instruction set (``rates[isa][op]``)."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.add_subplot()
    ops = list(dict.fromkeys(op for by_op in rates.values() for op in by_op))
    width = 0.8 / max(len(rates), 1)
    for group, (isa, by_op) in enumerate(rates.items()):
        places = [place + group * width for place, op in enumerate(ops) if op in by_op]
        axes.bar(places, [by_op[op] for op in ops if op in by_op], width, label=isa)
    axes.set_xticks([place + 0.4 - width / 2 for place in range(len(ops))], ops, fontsize=7)
    axes.set_ylabel("G elements / s, one thread")
    axes.set_title(headline(machine), fontsize=9)
    axes.legend(title="instruction set")
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Writes a picture, and the folder for it where that is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
