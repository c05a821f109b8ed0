"""What one read of a tensor tells: moments, extremes, zeros, what is not finite, and a histogram.

The CPU has a kernel for this (``csrc/cpu/survey.h``). Every other device, and the types that it does not take, go
through torch's own operations, a few million elements at a time; that is also what the kernel is tested against.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fastinit import _native  # noqa: F401  # registers the operator

__all__ = ["CODES", "NO_SCALE", "Scale", "Statistics", "joined", "reference", "statistics", "survey"]

CODES = 128
"""How many counts there are: below the first edge, 126 bins, and above the last."""

_NATIVE = frozenset({torch.float32, torch.float64, torch.float16, torch.bfloat16})
_PIECE = 1 << 21  # elements at a time; a few temporaries of 16 MB


class Scale(NamedTuple):
    """Where the bins lie: an element x is counted under ``(x - origin) * scale``, rounded down and cut to [0, 127].

    Both are numbers of the type that the tensor is worked in, and both operations are rounded to it: float32 for types
    of up to 32 bits, else float64. A scale of 0 counts nothing.
    """

    origin: float
    scale: float

    @property
    def edges(self) -> Tensor:
        """The 127 values that part the counts, as float64: element k is what separates counts k and k + 1."""
        return self.origin + torch.arange(1, CODES, dtype=torch.float64) / self.scale


NO_SCALE = Scale(0.0, 0.0)


@dataclass(frozen=True)
class Statistics:
    """Of the elements of one or more tensors; of the finite ones unless said otherwise.

    ``mean``, ``std`` (of the elements, not of a population behind them: the sum is divided by their number), ``min``
    and ``max`` are NaN where there are none.
    """

    numel: int
    """All elements."""
    mean: float
    squares: float
    """The differences from the mean, squared and summed."""
    min: float
    max: float
    zeros: int
    nan: int
    inf: int
    """Positive infinities."""
    minus_inf: int
    counts: tuple[int, ...]
    """By `Scale`; all 0 without one."""

    @property
    def finite(self) -> int:
        """How many elements are finite."""
        return self.numel - self.nan - self.inf - self.minus_inf

    @property
    def std(self) -> float:
        """The standard deviation."""
        return math.sqrt(self.squares / self.finite) if self.finite else math.nan

    def __add__(self, other: Statistics) -> Statistics:
        """Of the elements of both (Chan, Golub and LeVeque 1979)."""
        if not self.finite or not other.finite:
            some = self if self.finite else other
            mean, squares, least, greatest = some.mean, some.squares, some.min, some.max
        else:
            n = self.finite + other.finite
            apart = other.mean - self.mean
            share = other.finite / n
            mean = self.mean + apart * share
            squares = self.squares + other.squares + apart * apart * self.finite * share
            least, greatest = min(self.min, other.min), max(self.max, other.max)
        return Statistics(
            self.numel + other.numel,
            mean,
            squares,
            least,
            greatest,
            self.zeros + other.zeros,
            self.nan + other.nan,
            self.inf + other.inf,
            self.minus_inf + other.minus_inf,
            tuple(map(operator.add, self.counts, other.counts)),
        )

    @classmethod
    def of(cls, numbers: list[float]) -> Statistics:
        """From the operator's result."""
        finite, mean, squares, least, greatest, *rest = numbers
        zeros, nan, inf, minus_inf, *counts = map(int, rest)
        numel = int(finite) + nan + inf + minus_inf
        return cls(numel, mean, squares, least, greatest, zeros, nan, inf, minus_inf, tuple(counts))


def statistics(tensor: Tensor, scale: Scale = NO_SCALE) -> Statistics:
    """Read a tensor once.

    Moments are summed in float64, of differences from an element nearby: neither an offset nor the number of elements
    costs accuracy. They do not depend on the number of threads or the instruction set.

    Args:
        tensor: of any numeric type and layout, on any device but meta. A complex one counts as its real view.
        scale: where the bins of the histogram lie.

    Returns:
        Its `Statistics`. On the CPU, for float32, float64, float16 and bfloat16, without any temporary memory; else
        with some tens of MB.

    Example:
        >>> import torch
        >>> found = statistics(torch.tensor([[3.0, 5.0], [0.0, float("nan")]]))
        >>> found.numel, found.nan, found.zeros, found.max
        (4, 1, 1, 5.0)
        >>> round(found.std, 4)
        2.0548
    """
    (found,) = survey([tensor], [scale])
    return found


def survey(tensors: Sequence[Tensor], scales: Sequence[Scale]) -> list[Statistics]:
    """`statistics` of many tensors, in one parallel loop over all that the kernel reads."""
    real = [_real(tensor) for tensor in tensors]
    native = [
        i for i, t in enumerate(real) if t.device.type == "cpu" and t.dtype in _NATIVE and t.layout == torch.strided
    ]
    found: dict[int, Statistics] = {}
    if native:
        origins, widths = [scales[i].origin for i in native], [scales[i].scale for i in native]
        rows = torch.ops.fastinit.statistics([real[i] for i in native], origins, widths).tolist()
        found = {i: Statistics.of(row) for i, row in zip(native, rows, strict=True)}
    return [found[i] if i in found else reference(real[i], scales[i]) for i in range(len(real))]


def reference(tensor: Tensor, scale: Scale = NO_SCALE) -> Statistics:
    """`statistics` by torch's operations, for whatever the kernel does not read."""
    return joined(_of_piece(piece, scale) for piece in _pieces(_real(tensor)))


def joined(parts: Iterable[Statistics]) -> Statistics:
    """Of all the elements of several tensors."""
    found = list(parts)
    return reduce(Statistics.__add__, found) if found else Statistics.of([0.0, *[math.nan] * 4, *[0.0] * (4 + CODES)])


def _real(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    if tensor.is_complex():
        return torch.view_as_real(tensor.resolve_conj())
    return tensor


def _pieces(tensor: Tensor) -> Iterator[Tensor]:
    """Parts of a few million elements, without copying anything."""
    if tensor.numel() == 0:
        return
    if tensor.numel() <= _PIECE:
        yield tensor
        return
    sizes = tensor.shape
    widest = max(range(tensor.ndim), key=sizes.__getitem__)
    parts = -(-tensor.numel() // _PIECE)
    for part in torch.split(tensor, -(-sizes[widest] // parts), widest):
        yield from _pieces(part)


def _sum(x: Tensor) -> Tensor:
    """In an order that does not depend on the number of threads: torch cuts long sums, but not many short ones."""
    width = 1024
    return F.pad(x, (0, -x.numel() % width)).view(-1, width).sum(1).sum()


def _of_piece(piece: Tensor, scale: Scale) -> Statistics:
    if piece.device.type not in ("cpu", "cuda"):
        piece = piece.cpu()  # some devices have no float64
    wide = piece.dtype == torch.float64 or not piece.dtype.is_floating_point
    worked = piece.to(torch.float64 if wide else torch.float32).reshape(-1)
    finite = worked[worked.isfinite()]
    x = finite.double()
    n = x.numel()
    mean = _sum(x) / n if n else x.new_tensor(math.nan)
    extremes = torch.stack(x.aminmax()) if n else x.new_full((2,), math.nan)
    numbers: list[Any] = [
        torch.stack([x.new_tensor(float(n)), mean, _sum((x - mean).square()) if n else mean]),
        extremes,
        torch.stack(
            [(finite == 0).sum(), worked.isnan().sum(), (worked == math.inf).sum(), (worked == -math.inf).sum()]
        ),
        torch.zeros(CODES, device=x.device),
    ]
    if scale.scale and n:
        code = ((finite - scale.origin) * scale.scale).clamp(0, CODES - 1).to(torch.int64)
        numbers[-1] = torch.bincount(code, minlength=CODES)
    return Statistics.of(torch.cat([part.double() for part in numbers]).tolist())
