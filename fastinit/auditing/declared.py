"""What a recipe declares for one parameter, as the parameter's number format rounds it.

A bfloat16 weight of a normal distribution is not normal: its values lie on a coarse grid, whose cells hold the
probability. For types of 16 bits and less the exact probability of every number is taken from the distribution
function; float32 and float64 are fine enough for a bound on what rounding can do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from fastinit.auditing.statistics import CODES, NO_SCALE, Scale

__all__ = ["Declared", "Fill", "declare"]

_BINS = CODES - 2
_REACH = 6.0  # standard deviations that the bins cover on either side, where the law reaches so far
_GRID = 4096  # cells of the integral for the fourth moment
_NORMAL_KURTOSIS = 3.0


class Fill(Protocol):
    """What is asked of a resolved initializer (`fastinit.models.initializer`)."""

    random: bool

    def moments(self, shape: tuple[int, ...]) -> tuple[float, float] | None:
        """Mean and standard deviation of an element."""

    def support(self) -> tuple[float, float] | None:
        """The least and the greatest value."""

    def cdf(self, x: Tensor) -> Tensor | None:
        """P(element <= x)."""


@dataclass(frozen=True, eq=False)
class Declared:
    """The law of a parameter's elements, and how far the format may move it."""

    random: bool
    mean: float = math.nan
    std: float = math.nan
    """NaN where the initializer does not know its moments."""
    kurtosis: float | None = None
    """The fourth central moment over the squared variance; None where there is no density."""
    skewness: float = 0.0
    """The third central moment over the cubed standard deviation."""
    mean_slack: float = 0.0
    """How far rounding may move the mean."""
    std_slack: float = 0.0
    low: float = -math.inf
    high: float = math.inf
    """The bounds of the values, widened by one step of the format."""
    scale: Scale = NO_SCALE
    below: tuple[Tensor, Tensor] | None = None
    """Bounds on the probability of a value below each of the histogram's edges; None without a density."""

    def distance(self, counts: tuple[int, ...]) -> float | None:
        """The Kolmogorov-Smirnov distance of a histogram, at its edges; NaN for an empty one, None without a density.

        What rounding can explain is not counted.
        """
        if self.below is None:
            return None
        total = sum(counts)
        if total == 0:
            return math.nan
        share = torch.tensor(counts, dtype=torch.float64).cumsum(0)[:-1] / total
        least, most = self.below
        return float(torch.maximum(share - most, least - share).clamp(min=0.0).max())


@lru_cache(maxsize=512)
def declare(fill: Fill, shape: tuple[int, ...], dtype: torch.dtype) -> Declared:
    """The law of one parameter of this shape and type.

    Args:
        fill: a resolved initializer, hashable: many parameters share one.
        shape: the parameter's.
        dtype: the parameter's; a complex one has the law for its parts where the fill says so, which none does: only
            its bounds and its randomness are known then.
    """
    moments = None if dtype.is_complex else fill.moments(shape)
    low, high = _bounds(fill, dtype)
    if moments is None:
        return Declared(fill.random, low=low, high=high)
    mean, std = moments
    step = torch.finfo(dtype).eps if dtype.is_floating_point else 0.0
    if not fill.random or std == 0.0:
        return Declared(fill.random, mean, std, None, 0.0, step * abs(mean), 0.0, low, high)
    if torch.finfo(dtype).bits <= 16:
        return _on_a_grid(fill, mean, std, dtype, low, high)
    # Rounding to nearest moves a value by half a step, and adds step**2 / 12 to the variance (Sheppard's correction);
    # the parameters of the law are rounded as well.
    widest = step * (abs(mean) + _REACH * std)
    slacks = widest, step * std + widest * widest / (24.0 * std)
    if fill.cdf(torch.zeros(1, dtype=torch.float64)) is None:
        return Declared(True, mean, std, None, 0.0, *slacks, low, high)
    scale = _scale(fill, mean, std, dtype)
    # The kernel rounds twice on the way to a code, and a value once before.
    edges = scale.edges
    worked = torch.finfo(torch.float64 if dtype == torch.float64 else torch.float32).eps
    off = worked * torch.arange(1, CODES, dtype=torch.float64) / scale.scale + step * edges.abs()
    below = _cdf(fill, edges - off), _cdf(fill, edges + off)
    kurtosis, skewness = _shape(fill, mean, std)
    return Declared(True, mean, std, kurtosis, skewness, *slacks, low, high, scale, below)


def _cdf(fill: Fill, x: Tensor) -> Tensor:
    value = fill.cdf(x)
    assert value is not None
    return value


def _bounds(fill: Fill, dtype: torch.dtype) -> tuple[float, float]:
    low, high = fill.support() or (-math.inf, math.inf)
    step = torch.finfo(dtype).eps if dtype.is_floating_point or dtype.is_complex else 0.0
    return low - step * abs(low), high + step * abs(high)


def _scale(fill: Fill, mean: float, std: float, dtype: torch.dtype) -> Scale:
    low, high = fill.support() or (-math.inf, math.inf)
    low, high = max(low, mean - _REACH * std), min(high, mean + _REACH * std)
    width = (high - low) / _BINS
    worked = torch.float64 if dtype == torch.float64 else torch.float32
    origin, scale = torch.tensor([low - width, 1.0 / width], dtype=torch.float64).to(worked).tolist()
    return Scale(origin, scale)


def _shape(fill: Fill, mean: float, std: float) -> tuple[float, float]:
    """Kurtosis and skewness, by sums over fine cells: what they are needed for asks for two digits."""
    reach = 2.0 * _REACH * std
    x = torch.linspace(mean - reach, mean + reach, _GRID + 1, dtype=torch.float64)
    middle = (x[1:] + x[:-1]) / 2 - mean
    mass = _cdf(fill, x).diff()
    return float((middle**4 * mass).sum()) / std**4, float((middle**3 * mass).sum()) / std**3


@lru_cache(maxsize=16)
def _numbers(dtype: torch.dtype) -> Tensor:
    """All finite numbers of a format, ascending, each once."""
    codes = torch.arange(1 << torch.finfo(dtype).bits, dtype=torch.int64)
    stored = codes.to(torch.int16) if torch.finfo(dtype).bits == 16 else codes.to(torch.uint8)
    values = stored.view(dtype).double()
    finite: Tensor = torch.unique(values[values.isfinite()])
    return finite


def _on_a_grid(fill: Fill, mean: float, std: float, dtype: torch.dtype, low: float, high: float) -> Declared:
    values = _numbers(dtype)
    halfway = (values[1:] + values[:-1]) / 2
    zero, one = values.new_zeros(1), values.new_ones(1)
    at_halfway = fill.cdf(halfway)
    if at_halfway is None:
        # No more is known than how coarse the grid is.
        step = torch.finfo(dtype).eps * (abs(mean) + _REACH * std)
        return Declared(True, mean, std, None, 0.0, step, step * step / (6.0 * std), low, high)
    mass = torch.cat([zero, at_halfway, one]).diff()
    rounded = float((mass * values).sum())
    apart = values - rounded
    variance = float((mass * apart**2).sum())
    kurtosis = float((mass * apart**4).sum()) / variance**2 if variance > 0.0 else _NORMAL_KURTOSIS
    skewness = float((mass * apart**3).sum()) / variance**1.5 if variance > 0.0 else 0.0

    # A bounded law keeps its values within the bounds, and a format may round a bound before: whatever rounding alone
    # would put onto the outermost number may lie at its neighbour instead.
    some = (mass > 0.0).nonzero()[:, 0]
    bottom, top = int(some[0]), int(some[-1])
    moved = [(float(mass[top]), top, top - 1), (float(mass[bottom]), bottom, bottom + 1)] if top > bottom else []
    mean_slack = sum(share * abs(float(values[i] - values[k])) for share, i, k in moved)
    second = sum(share * abs(float(apart[i] ** 2 - apart[k] ** 2)) for share, i, k in moved)
    std_slack = math.sqrt(variance) - math.sqrt(max(variance - second, 0.0))

    scale = _scale(fill, mean, std, dtype)
    codes = ((values.float() - scale.origin) * scale.scale).clamp(0, CODES - 1).to(torch.int64)
    first = torch.searchsorted(codes, torch.arange(1, CODES))  # the least number at or above each edge
    under = torch.cat([zero, at_halfway, one])[first]
    lower, upper = under.where(first != bottom + 1, zero), under.where(first != top, one)
    spread = math.sqrt(variance)
    slacks = mean_slack, std_slack
    return Declared(True, rounded, spread, kurtosis, skewness, *slacks, low, high, scale, (lower, upper))
