"""What a probe found: a row for each module, the trends by depth, and how they are shown."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastinit.extras import table
from fastinit.probing.plot import plot
from fastinit.probing.trend import Trend

__all__ = ["Probe", "Row"]


@dataclass(frozen=True)
class Row:
    """One call of one module, in the order in which they ended."""

    name: str
    kind: str
    """The module's class."""
    block: bool
    """Whether it is one of those that the trends are taken over."""
    mean: float
    std: float
    rms: float
    zeros: float
    """The share of the output that is 0: what a ReLU lets through no more."""
    non_finite: int
    gradient_rms: float | None
    """Of the loss with regard to the output; None where no gradient arrived."""
    gradient_non_finite: int
    parameters: tuple[tuple[str, float, float | None], ...]
    """The module's own parameters: name, root mean square, and that of the gradient with regard to it."""

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        parameters = [{"name": n, "rms": _plain(v), "gradient_rms": _plain(g)} for n, v, g in self.parameters]
        own = {key: _plain(value) if isinstance(value, float) else value for key, value in self.__dict__.items()}
        return {**own, "parameters": parameters}

    def cells(self) -> tuple[str, ...]:
        """As a line of the table."""
        gradients = ", ".join("-" if g is None else f"{n} {g:.3g}" for n, _, g in self.parameters)
        return (
            self.name or "(model)",
            self.kind,
            *(f"{figure:.4g}" for figure in (self.mean, self.std, self.rms)),
            f"{self.zeros:.1%}",
            "" if self.gradient_rms is None else f"{self.gradient_rms:.4g}",
            gradients,
            "ok" if self.well else f"{self.non_finite + self.gradient_non_finite:,} not finite",
        )

    @property
    def well(self) -> bool:
        """Whether all is finite."""
        return self.non_finite + self.gradient_non_finite == 0


COLUMNS = ("module", "kind", "mean", "std", "rms", "zeros", "gradient rms", "parameters' gradients, rms", "verdict")


def _plain(number: float | None) -> float | None:
    """JSON has no NaN."""
    return number if number is not None and math.isfinite(number) else None


@dataclass(frozen=True, eq=False)
class Probe:
    """What `fastinit.probe` returns. Printed, it is the loss and the two trends."""

    rows: tuple[Row, ...]
    loss: float
    activations: Trend
    """Of the root mean square of the blocks' outputs, from the first to the last."""
    gradients: Trend
    """Of that of the gradients with regard to them, from the last to the first."""

    @property
    def blocks(self) -> tuple[Row, ...]:
        """The rows that the trends are taken over: the blocks of the model's stacks, or its weighted layers."""
        return tuple(row for row in self.rows if row.block)

    @property
    def ok(self) -> bool:
        """Whether neither trend is vanishing, exploding or not finite."""
        return {self.activations.verdict, self.gradients.verdict} <= {"steady", "unknown"}

    def __repr__(self) -> str:
        verdicts = f"activations {self.activations.verdict}, gradients {self.gradients.verdict}"
        return f"Probe({len(self.rows)} modules, {verdicts})"

    def __str__(self) -> str:
        lines = [f"loss {self.loss:.6g}; {len(self.blocks)} blocks of {len(self.rows)} modules"]
        for name, found in (("activations", self.activations), ("gradients", self.gradients)):
            lines.append(f"  {name}: {found.verdict}, x {found.factor:.4g} a block, x {found.total:.4g} in all")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        trends = {
            name: {"factor": _plain(found.factor), "total": _plain(found.total), "verdict": found.verdict}
            for name, found in (("activations", self.activations), ("gradients", self.gradients))
        }
        return {"ok": self.ok, "loss": _plain(self.loss), **trends, "modules": [row.to_dict() for row in self.rows]}

    def to_json(self, path: str | Path) -> None:
        """Write `to_dict` to a file."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")

    def show(self) -> None:
        """Print the table of all modules; needs rich."""
        table("Probe", COLUMNS, [(row.cells(), row.well) for row in self.rows], str(self))

    def plot(self, path: str | Path) -> None:
        """Draw the scales by depth, as a PNG or whatever the path's suffix says; needs matplotlib."""
        plot(self, path)
