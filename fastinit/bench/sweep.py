"""``sweep``: every cell of a grid, each fill beside its rivals and the write limit of the same buffer."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import torch

import fastinit

from .device import CPU, Device
from .fills import DTYPES, FILLS, dims_for, empty, shape_of
from .grid import Point
from .report import progress
from .timing import Run, Timing, interleave

LIBRARIES = ("torch", "numpy", "curand")  # whose rates a cell compares with


@dataclass(frozen=True)
class Cell:
    """A measured point.  ``timings`` holds ``fastinit``, ``memset`` and whichever rivals there are."""

    point: Point
    shape: tuple[int, ...]
    timings: dict[str, Timing]
    torch_log2: int
    torch_refusal: str | None

    def rate(self, rival: str) -> float | None:
        """Elements a second; torch's may come from a smaller tensor (``torch_log2``)."""
        if rival not in self.timings:
            return None
        log2 = self.torch_log2 if rival == "torch" else self.point.log2
        return float(2**log2 / self.timings[rival].seconds)

    def ratio(self, rival: str) -> float | None:
        """How many times fastinit's rate is the rival's; None where there is no such rival."""
        own, other = self.rate("fastinit"), self.rate(rival)
        return own / other if own and other else None

    @property
    def share(self) -> float:
        """Fraction of the write limit: memset or, on the CPU, torch's ``fill_``, whichever is faster at this size."""
        return self.rate_of_fastinit / max(self.rate("memset") or 0.0, self.rate("fill_") or 0.0)

    @property
    def rate_of_fastinit(self) -> float:
        """Elements a second."""
        return float(2**self.point.log2 / self.timings["fastinit"].seconds)

    def record(self) -> dict[str, object]:
        """The cell as it stands in the JSON file."""
        point = self.point
        return {
            "op": point.op,
            "dtype": point.dtype,
            "layout": point.layout,
            "threads": point.threads,
            "elements": 2**point.log2,
            "shape": list(self.shape),
            "seconds": {name: timing.seconds for name, timing in self.timings.items()},
            "fastest": {name: timing.low for name, timing in self.timings.items()},
            "slowest": {name: timing.high for name, timing in self.timings.items()},
            "samples": {name: timing.samples for name, timing in self.timings.items()},
            "torch_elements": 2**self.torch_log2 if "torch" in self.timings else None,
            "torch_refusal": self.torch_refusal,
            "elements_per_s": self.rate_of_fastinit,
            "bytes_per_s": self.rate_of_fastinit * DTYPES[point.dtype].itemsize,
            "share_of_write_limit": self.share,
            **{f"ratio_to_{name}": self.ratio(name) for name in LIBRARIES},
        }


def sweep(
    points: Sequence[Point],
    samples: int = 5,
    sample_s: float = 0.01,
    budget_s: float = 1.0,
    device: Device = CPU,
) -> tuple[list[Cell], list[str]]:
    """Measures the points; returns the cells, and one line for each point that could not be measured."""
    cells: list[Cell] = []
    left_out: dict[str, None] = {}
    before = torch.get_num_threads()
    try:
        for point in progress(points, "cells"):
            torch.set_num_threads(point.threads)
            reason = _too_large(point, device) or refusal(fastinit, point, device)
            if reason is None:
                try:
                    cells.append(measure(point, samples, sample_s, budget_s, device))
                except torch.OutOfMemoryError:  # torch's temporaries are its own affair
                    reason = f"memory ran out at 2^{point.log2} elements"
            if reason is not None:
                left_out[f"{point.op} {point.dtype} {point.layout}: {reason}"] = None
    finally:
        torch.set_num_threads(before)
    return cells, list(left_out)


def measure(
    point: Point, samples: int = 5, sample_s: float = 0.01, budget_s: float = 1.0, device: Device = CPU
) -> Cell:
    """One cell: the fill, its rivals and the write limit on the same buffer, in turn."""
    fill, dtype = FILLS[point.op], DTYPES[point.dtype]
    dims = dims_for(fill, point.layout) or 2
    torch_log2 = min(point.log2, device.torch_limit(fill))
    torch_refusal = refusal(torch.nn.init, point, device)
    tensor = empty(shape_of(point.log2, dims), dtype, point.layout, device.name)
    # The same bytes without gaps; only a strided view needs memory of its own for it.
    gaps = point.layout == "row_strided"
    block = empty(tuple(tensor.shape), dtype, "contiguous", device.name) if gaps else tensor
    with device.write_limit(point.threads) as memset, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about far bounds at every call
        rivals: dict[str, Run] = {
            "fastinit": lambda: fill.call(fastinit, tensor),
            "memset": lambda: memset(block),
            **device.rivals(fill, tensor, block),
        }
        if torch_refusal is None:
            whole = torch_log2 == point.log2
            part = tensor if whole else empty(shape_of(torch_log2, dims), dtype, point.layout, device.name)
            rivals["torch"] = lambda: fill.call(torch.nn.init, part)
        timings = interleave(rivals, samples=samples, sample_s=sample_s, budget_s=budget_s, clock=device.clock)
    return Cell(point, tuple(tensor.shape), timings, torch_log2, torch_refusal)


def refusal(init: ModuleType, point: Point, device: Device = CPU) -> str | None:
    """The error with which ``init`` refuses this op, dtype and layout, or None: tried on sixteen elements."""
    fill = FILLS[point.op]
    shape = shape_of(4, dims_for(fill, point.layout) or 2)
    tensor = empty(shape, DTYPES[point.dtype], point.layout, device.name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fill.call(init, tensor)
    except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return None


def _too_large(point: Point, device: Device) -> str | None:
    room = device.room()
    if room is None or point.bytes_needed < room:
        return None
    return f"2^{point.log2} elements need {point.bytes_needed / 2**30:.3g} GiB"
