"""The four laws a native fill knows, as values: what every initializer comes down to once it sees its parameter.

Each knows its operator, its moments and its distribution function, so that a plan can be printed, a fill run and an
audit judged from one description.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fastinit.dispatch import CONSTANT, NORMAL, TRUNC_NORMAL, UNIFORM
from fastinit.many import Law
from fastinit.models.initializer import Initializer
from fastinit.models.sites import Number, Site

__all__ = ["Constant", "Normal", "TruncNormal", "Uniform"]

_SQRT_2 = math.sqrt(2.0)


@dataclass(frozen=True, repr=False)
class Uniform(Initializer):
    """The uniform distribution on [a, b): `fastinit.uniform_` as a value.

    Args:
        a: the lower end.
        b: the upper end.

    Example:
        >>> import fastinit
        >>> fastinit.Uniform(-0.1, 0.1)
        Uniform(a=-0.1, b=0.1)
    """

    a: Number = 0.0
    b: Number = 1.0

    def _at(self, site: Site) -> Uniform:
        a, b = site.number(self.a), site.number(self.b)
        if not a <= b:
            raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={a} > to={b}")
        return Uniform(a, b)

    @property
    def law(self) -> Law:
        """See `Initializer`."""
        return UNIFORM, self.numbers(self.a, self.b)

    def moments(self, shape: tuple[int, ...]) -> tuple[float, float]:
        """See `Initializer`."""
        a, b = self.numbers(self.a, self.b)
        return (a + b) / 2, (b - a) / math.sqrt(12.0)

    def support(self) -> tuple[float, float]:
        """See `Initializer`."""
        a, b = self.numbers(self.a, self.b)
        return a, b

    def cdf(self, x: Tensor) -> Tensor | None:
        """See `Initializer`."""
        a, b = self.numbers(self.a, self.b)
        return ((x - a) / (b - a)).clamp(0.0, 1.0) if b > a else None


@dataclass(frozen=True, repr=False)
class Normal(Initializer):
    """The normal distribution: `fastinit.normal_` as a value.

    Args:
        mean: the mean.
        std: the standard deviation.

    Example:
        >>> import fastinit
        >>> fastinit.Normal(std="0.02 / sqrt(2 * layers)")
        Normal(std='0.02 / sqrt(2 * layers)')
    """

    mean: Number = 0.0
    std: Number = 1.0

    def _at(self, site: Site) -> Normal:
        mean, std = site.number(self.mean), site.number(self.std)
        if not std >= 0.0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
        return Normal(mean, std)

    @property
    def law(self) -> Law:
        """See `Initializer`."""
        return NORMAL, self.numbers(self.mean, self.std)

    def moments(self, shape: tuple[int, ...]) -> tuple[float, float]:
        """See `Initializer`."""
        mean, std = self.numbers(self.mean, self.std)
        return mean, std

    def cdf(self, x: Tensor) -> Tensor | None:
        """See `Initializer`."""
        mean, std = self.numbers(self.mean, self.std)
        return torch.special.ndtr((x - mean) / std) if std > 0.0 else None


@dataclass(frozen=True, repr=False)
class TruncNormal(Initializer):
    """The normal distribution conditioned on [a, b], absolute bounds: `fastinit.trunc_normal_` as a value.

    Args:
        mean: the mean before the cut.
        std: the standard deviation before the cut.
        a: the lower bound; may be -inf.
        b: the upper bound; may be inf.

    Example:
        >>> import fastinit
        >>> fastinit.TruncNormal(std=0.02)
        TruncNormal(std=0.02)
    """

    mean: Number = 0.0
    std: Number = 1.0
    a: Number = -2.0
    b: Number = 2.0

    def _at(self, site: Site) -> TruncNormal:
        mean, std, a, b = (site.number(number) for number in (self.mean, self.std, self.a, self.b))
        if not std >= 0.0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
        if not a <= b:
            raise RuntimeError(f"trunc_normal_ expects a <= b, but found a={a} and b={b}")
        return TruncNormal(mean, std, a, b)

    @property
    def law(self) -> Law:
        """See `Initializer`."""
        return TRUNC_NORMAL, self.numbers(self.mean, self.std, self.a, self.b)

    def moments(self, shape: tuple[int, ...]) -> tuple[float, float]:
        """See `Initializer`. Johnson, Kotz and Balakrishnan 1994, section 10.1."""
        mean, std, a, b = self.numbers(self.mean, self.std, self.a, self.b)
        if std == 0.0:
            return min(max(mean, a), b), 0.0
        low, high = (a - mean) / std, (b - mean) / std
        centre, spread = _cut_moments(low, high) if low + high >= 0.0 else _cut_moments(-high, -low)
        return mean + std * (centre if low + high >= 0.0 else -centre), std * spread

    def support(self) -> tuple[float, float]:
        """See `Initializer`."""
        _, _, a, b = self.numbers(self.mean, self.std, self.a, self.b)
        return a, b

    def cdf(self, x: Tensor) -> Tensor | None:
        """See `Initializer`."""
        mean, std, a, b = self.numbers(self.mean, self.std, self.a, self.b)
        if std == 0.0 or a == b:
            return None
        bounds = x.new_tensor([a, b])
        z, (low, high) = (x.clamp(a, b) - mean) / std, (bounds - mean) / std
        if low + high > 0.0:  # from the smaller tail, where nothing cancels
            return 1.0 - _between(-high, -z, -low)
        return _between(low, z, high)


def _between(low: Tensor, z: Tensor, high: Tensor) -> Tensor:
    """P(low < Z < z) / P(low < Z < high) for a standard normal Z. Logarithms hold far out, where the ratio is 0 / 0."""
    log_low, log_z, log_high = (torch.special.log_ndtr(t) for t in (low, z, high))
    share: Tensor = (log_z - log_high).exp() * torch.expm1(log_low - log_z) / torch.expm1(log_low - log_high)
    return share


def _cut_moments(low: float, high: float) -> tuple[float, float]:
    """Mean and standard deviation of a standard normal cut to [low, high], where -low <= high."""
    if high - low < 1e-4:  # the density is flat to within a relative (high - low) * |low|
        return (low + high) / 2, (high - low) / math.sqrt(12.0)
    if low == -math.inf:
        return 0.0, 1.0
    # Both densities over the probability between, all scaled by exp(low**2 / 2): erfcx(x) = exp(x**2) erfc(x).
    drop = math.exp((low - high) * (low + high) / 2.0) if high < math.inf else 0.0
    mass = math.sqrt(math.pi / 2.0) * (_erfcx(low / _SQRT_2) - (drop * _erfcx(high / _SQRT_2) if drop else 0.0))
    mean = (1.0 - drop) / mass
    second = 1.0 + (low - (high * drop if drop else 0.0)) / mass
    return mean, math.sqrt(max(second - mean * mean, 0.0))


def _erfcx(x: float) -> float:
    return float(torch.special.erfcx(torch.tensor(x, dtype=torch.float64)))


@dataclass(frozen=True, repr=False)
class Constant(Initializer):
    """One value everywhere: `fastinit.constant_` as a value.

    Args:
        val: the value.

    Example:
        >>> import fastinit
        >>> fastinit.Constant(0.1)
        Constant(val=0.1)
    """

    val: Number = 0.0

    random = False

    def _at(self, site: Site) -> Constant:
        return Constant(site.number(self.val))

    @property
    def law(self) -> Law:
        """See `Initializer`."""
        return CONSTANT, self.numbers(self.val)

    def moments(self, shape: tuple[int, ...]) -> tuple[float, float]:
        """See `Initializer`."""
        (val,) = self.numbers(self.val)
        return val, 0.0

    def support(self) -> tuple[float, float]:
        """See `Initializer`."""
        (val,) = self.numbers(self.val)
        return val, val
