"""``gpu``: the CUDA backend on the current card: floors, a sweep, the cost of a call, whole models, compiled kernels.

Every part is measured through a ``Device``, so that all of it but the figures can be tested on a machine without a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from . import calls, gpu_floors, grid, initialise, sass, sweep
from .device import Device
from .fills import DTYPES, FILLS, LAYOUTS
from .floors import Verdict
from .grid import Point
from .kernels import instructions_a_value
from .parameters import MODELS, Model

OPS: Final = (
    "uniform_",
    "normal_",
    "trunc_normal_ [-2, 2]",
    "trunc_normal_ [-3, 3]",
    "trunc_normal_ [2, 4]",
    "trunc_normal_ [8, 9]",
    "constant_",
    "kaiming_normal_",
    "eye_",
    "dirac_",
    "sparse_",
    "orthogonal_",
)
SIZES: Final = tuple(range(10, 33, 2))
CENTRE: Final = 28  # log2 of the size at which layouts are compared
LAYOUT_DTYPES: Final = ("float32", "bfloat16")
SAMPLES: Final = 11
BUDGET_S: Final = 0.2  # of a rival in a cell, once it has three samples: torch takes minutes for the largest otherwise

QUICK_OPS: Final = ("uniform_", "normal_", "trunc_normal_ [-2, 2]", "constant_")
QUICK_DTYPES: Final = ("float32", "bfloat16")
QUICK_SIZES: Final = (12, 18, 24, 28)


@dataclass
class Results:
    """All that the suite found out."""

    verdicts: list[Verdict] = field(default_factory=list)
    cells: list[sweep.Cell] = field(default_factory=list)
    calls: list[calls.Calls] = field(default_factory=list)
    models: list[initialise.Initialised] = field(default_factory=list)
    loops: list[sass.Loop] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def instructions(self, point: Point) -> float | None:
        """Instructions a value of the kernel that fills that point; None where it is not known or not contiguous."""
        if point.layout != "contiguous":
            return None
        return instructions_a_value(self.loops, point.op, DTYPES[point.dtype])

    def record(self) -> dict[str, object]:
        """The results as they stand in the JSON file."""
        return {
            "floors": [verdict.record() for verdict in self.verdicts],
            "cells": [{**cell.record(), "instructions_a_value": self.instructions(cell.point)} for cell in self.cells],
            "calls": [row.record() for row in self.calls],
            "models": [model.record() for model in self.models],
            "kernels": [{**loop.__dict__} for loop in self.loops],
            "not_measured": self.left_out,
        }


def points(ops: Sequence[str], dtypes: Sequence[str], sizes: Sequence[int]) -> list[Point]:
    """Every op in every dtype at every size, contiguous; and the other layouts at one size.

    >>> [(p.dtype, p.layout, p.log2) for p in points(["constant_"], ["float32"], [10, 12])][:3]
    [('float32', 'contiguous', 10), ('float32', 'channels_last', 12), ('float32', 'contiguous', 12)]
    """
    centre = min(CENTRE, max(sizes))
    narrowed = [dtype for dtype in LAYOUT_DTYPES if dtype in dtypes]
    both = {*grid.full(ops, dtypes, ["contiguous"], sizes, [1]), *grid.full(ops, narrowed, LAYOUTS, [centre], [1])}
    rank = {op: place for place, op in enumerate(FILLS)}
    return sorted(both, key=lambda p: (rank[p.op], p.log2, p.dtype, p.layout))


def steps(
    device: Device,
    capability: tuple[int, int],
    *,
    ops: Sequence[str] = OPS,
    dtypes: Sequence[str] = tuple(DTYPES),
    sizes: Sequence[int] = SIZES,
    models: Sequence[Model] = MODELS,
    samples: int = SAMPLES,
) -> list[Callable[[Results], None]]:
    """The parts of the suite in the order in which they are run, the longest last; each adds to the results."""

    def code(results: Results) -> None:
        results.loops, unread = kernels(capability)
        results.left_out += unread

    def floors(results: Results) -> None:
        results.verdicts = gpu_floors.gpu_floors(device, capability)

    def calling(results: Results) -> None:
        results.calls = calls.calls([op for op in calls.OPS if op in ops], calls.SIZES, device, samples)

    def whole_models(results: Results) -> None:
        results.models, too_large = initialise.initialise(models, device, samples)
        results.left_out += too_large

    def sweeping(results: Results) -> None:
        wanted = points(ops, dtypes, sizes)
        results.cells, unmeasured = sweep.sweep(wanted, samples, 0.0, BUDGET_S, device)
        results.left_out += unmeasured

    return [code, floors, calling, whole_models, sweeping]


def kernels(capability: tuple[int, int]) -> tuple[list[sass.Loop], list[str]]:
    """The filling loops that a card runs, or a line that says why they could not be read."""
    from fastinit import _C

    binary = Path(_C.__file__)
    try:
        arch = sass.runs_on(sass.architectures(binary), capability)
    except sass.MissingToolError as error:
        return [], [f"instructions a value: {error}"]
    if arch is None:
        card = "compute capability {}.{}".format(*capability)
        return [], [f"instructions a value: the extension has no code for {card}"]
    return sass.loops(binary, arch), []
