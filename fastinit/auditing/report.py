"""What an audit found: a line for each parameter, and the verdict on the model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fastinit.auditing.flags import Flag
from fastinit.auditing.statistics import Statistics
from fastinit.extras import table

__all__ = ["Audit", "AuditError", "Line"]


class AuditError(RuntimeError):
    """A model that is not what it should be; the message lists its flags."""


@dataclass(frozen=True)
class Line:
    """One parameter, or the part of one that has a law of its own."""

    name: str
    names: tuple[str, ...]
    """All names of a tied parameter."""
    shape: tuple[int, ...]
    dtype: str
    device: str
    law: str | None
    """The initializer that the recipe declares; None where there is no recipe, or where it leaves the parameter."""
    statistics: Statistics | None
    """None where there is nothing to read."""
    declared_mean: float | None
    declared_std: float | None
    """The moments of the declared law as the number format rounds it."""
    distance: float | None
    """The Kolmogorov-Smirnov distance from the declared law, at 127 values: what rounding can explain is taken off."""
    flags: tuple[Flag, ...] = ()

    def flagged_with(self, flag: Flag) -> Line:
        """The same with one flag more."""
        return replace(self, flags=(*self.flags, flag))

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        found = self.statistics
        return {
            "name": self.name,
            "names": list(self.names),
            "shape": list(self.shape),
            "dtype": self.dtype,
            "device": self.device,
            "law": self.law,
            "mean": found and _plain(found.mean),
            "std": found and _plain(found.std),
            "min": found and _plain(found.min),
            "max": found and _plain(found.max),
            "zeros": found and found.zeros / max(found.numel, 1),
            "non_finite": found and found.numel - found.finite,
            "declared_mean": self.declared_mean,
            "declared_std": self.declared_std,
            "distance": None if self.distance is None else _plain(self.distance),
            "flags": [{"kind": flag.kind, "message": flag.message} for flag in self.flags],
        }

    def cells(self) -> tuple[str, ...]:
        """As a row of the table."""
        found = self.statistics
        size = "x".join(map(str, self.shape)) or "scalar"
        figures: Iterable[float | None] = [None] * 5
        if found is not None:
            figures = (found.mean, found.std, found.min, found.max, self.distance)
        return (
            self.name,
            size,
            self.dtype,
            self.law or "",
            *("" if figure is None else f"{figure:.4g}" for figure in figures),
            "" if found is None else f"{found.zeros / max(found.numel, 1):.2%}",
            "; ".join(map(str, self.flags)) or "ok",
        )


COLUMNS = ("parameter", "shape", "dtype", "declared", "mean", "std", "min", "max", "distance", "zeros", "verdict")


def _plain(number: float) -> float | None:
    """JSON has no NaN."""
    return number if number == number and abs(number) != float("inf") else None


@dataclass(frozen=True, eq=False)
class Audit:
    """What `fastinit.audit` returns. Printed, it is a sentence and a line for each flag."""

    lines: tuple[Line, ...]
    level: float
    """The probability of a false alarm, at most."""
    with_recipe: bool
    seconds: float

    @property
    def flagged(self) -> tuple[Line, ...]:
        """The lines with something wrong."""
        return tuple(line for line in self.lines if line.flags)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.flagged

    def raise_if_flagged(self) -> None:
        """Raise an `AuditError` that lists what is wrong, if anything is."""
        if not self.ok:
            raise AuditError(str(self))

    def __repr__(self) -> str:
        return f"Audit({len(self.lines)} parameters, {len(self.flagged)} flagged)"

    def __str__(self) -> str:
        elements = sum(line.statistics.numel for line in self.lines if line.statistics)
        what = "against a recipe" if self.with_recipe else "without a recipe"
        verdict = f"{len(self.flagged)} flagged" if self.flagged else "nothing is off"
        head = f"{len(self.lines)} parameters of {elements:,} elements {what}, in {self.seconds:.3g} s: {verdict}"
        return "\n".join([head, *(f"  {line.name}: {flag}" for line in self.flagged for flag in line.flags)])

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "ok": self.ok,
            "level": self.level,
            "with_recipe": self.with_recipe,
            "seconds": self.seconds,
            "parameters": [line.to_dict() for line in self.lines],
        }

    def to_json(self, path: str | Path) -> None:
        """Write `to_dict` to a file."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")

    def show(self) -> None:
        """Print the table of all parameters, with what is wrong in red; needs rich."""
        table("Audit", COLUMNS, [(line.cells(), not line.flags) for line in self.lines], str(self).splitlines()[0])
