"""The picture of a probe: scales over depth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastinit.extras import optional

if TYPE_CHECKING:
    from fastinit.probing.report import Probe, Row

__all__ = ["plot"]

_LABELS = 40  # names that an axis can hold


def plot(probe: Probe, path: str | Path) -> None:
    """Write the picture: activations and gradients on a logarithmic scale, and the share of zeros below them."""
    figure: Any = optional("matplotlib.figure", "pictures").Figure(figsize=(10, 7), layout="constrained")
    rows = probe.rows
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    _scales(upper, rows, [row.rms for row in rows], "activations", "#1f77b4")
    _scales(upper, rows, [row.gradient_rms for row in rows], "gradients with regard to them", "#d62728")
    upper.set_yscale("log")
    upper.set_ylabel("root mean square")
    upper.grid(visible=True, alpha=0.3)
    upper.legend()
    upper.set_title(
        f"activations {probe.activations.verdict} (x {probe.activations.factor:.3g} a block), "
        f"gradients {probe.gradients.verdict} (x {probe.gradients.factor:.3g})"
    )
    lower.bar(range(len(rows)), [100.0 * row.zeros for row in rows], color="#7f7f7f")
    lower.set_ylabel("zeros, %")
    lower.set_ylim(0, 100)
    if len(rows) <= _LABELS:
        lower.set_xticks(range(len(rows)), [row.name or "(model)" for row in rows], rotation=90, fontsize=7)
    else:
        lower.set_xlabel("modules, in the order of their ends")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def _scales(axes: Any, rows: Sequence[Row], values: Sequence[float | None], label: str, colour: str) -> None:
    """A dot for each module that has one, and a line through the blocks."""
    shown = [(i, value, row.block) for i, (row, value) in enumerate(zip(rows, values, strict=True)) if value]
    axes.scatter([i for i, _, _ in shown], [value for _, value, _ in shown], s=12, color=colour, alpha=0.5)
    blocks = [(i, value) for i, value, block in shown if block]
    axes.plot([i for i, _ in blocks], [value for _, value in blocks], "o-", color=colour, markersize=4, label=label)
