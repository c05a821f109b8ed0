"""The cells of a sweep: which op, dtype, layout, size and thread count are measured together."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from .fills import DTYPES, FILLS, LAYOUTS, Layout, dims_for

SIZES: Final = tuple(range(4, 29, 2))
CENTRE: Final = 22  # log2 of the size at which the other axes are varied: 16 MiB of float32


@dataclass(frozen=True)
class Point:
    """One cell of the grid, before it is measured.  ``log2`` is that of the number of elements."""

    op: str
    dtype: str
    layout: Layout
    log2: int
    threads: int

    @property
    def bytes_needed(self) -> int:
        """Memory that measuring it takes: the tensor, and where it has gaps, the gaps and a block for memset."""
        return DTYPES[self.dtype].itemsize * (1 << self.log2) * (3 if self.layout == "row_strided" else 1)


def star(ops: Sequence[str], sizes: Sequence[int], threads: Sequence[int]) -> list[Point]:
    """The default grid: sizes at float32 contiguous, then dtypes and layouts at one size.

    >>> [(p.dtype, p.layout) for p in star(["eye_"], [8], [1])][:3]
    [('bfloat16', 'contiguous'), ('complex128', 'contiguous'), ('complex64', 'contiguous')]
    """
    centre = min(CENTRE, max(sizes))
    points = {Point(op, "float32", "contiguous", log2, n) for op in ops for log2 in sizes for n in threads}
    points |= {Point(op, dtype, "contiguous", centre, n) for op in ops for dtype in DTYPES for n in threads}
    points |= {Point(op, "float32", layout, centre, n) for op in ops for layout in LAYOUTS for n in threads}
    return _possible(points)


def full(
    ops: Sequence[str], dtypes: Sequence[str], layouts: Sequence[Layout], sizes: Sequence[int], threads: Sequence[int]
) -> list[Point]:
    """The whole product of the axes.  With every axis open this is a matter of hours."""
    return _possible(itertools.starmap(Point, itertools.product(ops, dtypes, layouts, sizes, threads)))


def _possible(points: Iterable[Point]) -> list[Point]:
    """Those points whose op goes with their layout and size, in the order of the table of ops."""
    rank = {op: place for place, op in enumerate(FILLS)}
    kept = [p for p in points if dims_for(FILLS[p.op], p.layout) is not None and p.log2 <= FILLS[p.op].limit]
    return sorted(kept, key=lambda p: (p.threads, rank[p.op], p.log2, p.dtype, p.layout))
