"""The picture of the main job: seconds by model and way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from fastinit.bench.machine import Facts, headline
from fastinit.bench.plots import save
from histograms import COLOURS
from measured import Measured
from ways import WAYS

LIMIT: Final = "#7f7f7f"


def draw_bars(path: Path, machine: Facts, measured: Sequence[Measured]) -> None:
    """A group a model, a bar a way: fresh memory above, the same memory again below; logarithmic."""
    figure = Figure(figsize=(3 + 1.1 * max(len(measured), 2), 7), layout="constrained")
    figure.suptitle(f"Initialising a model: {headline(machine)}", fontsize=10)
    width = 0.8 / len(WAYS)
    for place, title in enumerate(("made in fresh memory", "filled again, memory touched")):
        axes = figure.add_subplot(2, 1, place + 1)
        for bar, way in enumerate(WAYS):
            timings = [one.again(way) if place else one.fresh(way) for one in measured]
            axes.bar(
                [group + bar * width for group in range(len(measured))],
                [timing.seconds for timing in timings],
                width,
                yerr=[[t.seconds - t.low for t in timings], [t.high - t.seconds for t in timings]],
                error_kw={"linewidth": 0.7},
                color=COLOURS.get(way, LIMIT),
                label=way,
            )
        axes.set_yscale("log")
        axes.set_xticks(
            [group + 0.4 - width / 2 for group in range(len(measured))],
            [f"{one.definition.name}\n{one.parameters / 1e6:,.0f}M" for one in measured],
            fontsize=7,
        )
        axes.set_ylabel("seconds (medians; lines: fastest to slowest)")
        axes.set_title(title, fontsize=9)
        axes.legend(fontsize=7)
        axes.grid(axis="y", alpha=0.3)
    save(figure, path)
