"""Initializers that look at their parameter first: at its fans, its shape, or its kind.

Those of the fan-scaled family become one of the laws of `fastinit.models.elementary`; the matrices stay what they are.
Each has the name and the arguments of its function.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from fastinit.dispatch import NORMAL, TRUNC_NORMAL, UNIFORM, Source
from fastinit.gains import calculate_gain
from fastinit.init import dirac_, eye_, sparse_
from fastinit.models.elementary import Constant, Normal, TruncNormal, Uniform
from fastinit.models.initializer import Initializer
from fastinit.models.sites import Number, Site
from fastinit.orthogonal import delta_orthogonal_, orthogonal_, special_orthogonal_
from fastinit.scaling import absolute_bounds, check_scaling, fan_of_mode, scaled
from fastinit.shards import Shard

__all__ = [
    "Custom",
    "DeltaOrthogonal",
    "Dirac",
    "Eye",
    "KaimingNormal",
    "KaimingUniform",
    "LecunNormal",
    "LecunUniform",
    "Leave",
    "Ones",
    "Orthogonal",
    "Sparse",
    "SpecialOrthogonal",
    "TruncNormalTF",
    "VarianceScaling",
    "XavierNormal",
    "XavierUniform",
    "Zeros",
]

_LAWS: dict[int | None, type[Initializer]] = {
    UNIFORM.law: Uniform,
    NORMAL.law: Normal,
    TRUNC_NORMAL.law: TruncNormal,
}


def _centred(std: float, distribution: str) -> Initializer:
    op, parameters = scaled(std, distribution)
    return _LAWS[op.law](*parameters)


@dataclass(frozen=True, repr=False)
class Leave(Initializer):
    """Nothing: the parameter is claimed, and keeps what it holds.

    Example:
        >>> import fastinit
        >>> fastinit.Rule(fastinit.Leave(), name="teacher.*")
        Rule(Leave(), name='teacher.*')
    """

    random = False


@dataclass(frozen=True, repr=False)
class Zeros(Initializer):
    """Zero everywhere."""

    random = False

    def _at(self, site: Site) -> Initializer:
        return Constant(0.0)


@dataclass(frozen=True, repr=False)
class Ones(Initializer):
    """One everywhere."""

    random = False

    def _at(self, site: Site) -> Initializer:
        return Constant(1.0)


@dataclass(frozen=True, repr=False)
class TruncNormalTF(Initializer):
    """`fastinit.trunc_normal_tf_`: a normal distribution cut ``a`` and ``b`` standard deviations from its mean."""

    mean: Number = 0.0
    std: Number = 1.0
    a: Number = -2.0
    b: Number = 2.0

    def _at(self, site: Site) -> Initializer:
        mean, std, a, b = (site.number(number) for number in (self.mean, self.std, self.a, self.b))
        return TruncNormal(mean, std, *absolute_bounds(mean, std, a, b)).at(site)


@dataclass(frozen=True, repr=False)
class VarianceScaling(Initializer):
    """`fastinit.variance_scaling_`: mean 0 and variance ``scale / fan``, with the fans of the parameter's layer.

    Args:
        scale: the variance is this over the fan.
        mode: "fan_in", "fan_out", "fan_avg" or "fan_geo_avg".
        distribution: "truncated_normal", "normal" or "uniform".

    Example:
        >>> import fastinit
        >>> fastinit.VarianceScaling(2.0, distribution="normal")
        VarianceScaling(scale=2.0, distribution='normal')
    """

    scale: Number = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"

    def _at(self, site: Site) -> Initializer:
        scale = site.number(self.scale)
        check_scaling(scale, self.mode, self.distribution)
        return _centred(_std(scale, fan_of_mode(*site.fans, self.mode)), self.distribution)


def _std(variance: float, fan: float) -> float:
    return math.sqrt(variance / fan) if fan else 0.0  # without elements nothing is written


@dataclass(frozen=True, repr=False)
class XavierUniform(Initializer):
    """`fastinit.xavier_uniform_`, with the fans of the parameter's layer: Glorot and Bengio 2010, eq. 16."""

    gain: Number = 1.0

    def _at(self, site: Site) -> Initializer:
        return _centred(abs(site.number(self.gain)) * _std(2.0, sum(site.fans)), "uniform")


@dataclass(frozen=True, repr=False)
class XavierNormal(Initializer):
    """`fastinit.xavier_normal_`, with the fans of the parameter's layer: Glorot and Bengio 2010, eq. 12."""

    gain: Number = 1.0

    def _at(self, site: Site) -> Initializer:
        return _centred(abs(site.number(self.gain)) * _std(2.0, sum(site.fans)), "normal")


@dataclass(frozen=True, repr=False)
class _Kaiming(Initializer):
    a: float = 0
    mode: str = "fan_in"
    nonlinearity: str = "leaky_relu"

    def _std(self, site: Site) -> float:
        mode = self.mode.lower()
        if mode not in ("fan_in", "fan_out"):
            raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
        return calculate_gain(self.nonlinearity, self.a) * _std(1.0, fan_of_mode(*site.fans, mode))


@dataclass(frozen=True, repr=False)
class KaimingUniform(_Kaiming):
    """`fastinit.kaiming_uniform_`, with the fans of the parameter's layer: He et al. 2015."""

    def _at(self, site: Site) -> Initializer:
        return _centred(self._std(site), "uniform")


@dataclass(frozen=True, repr=False)
class KaimingNormal(_Kaiming):
    """`fastinit.kaiming_normal_`, with the fans of the parameter's layer: He et al. 2015.

    Example:
        >>> import fastinit
        >>> fastinit.KaimingNormal(mode="fan_out", nonlinearity="relu")
        KaimingNormal(mode='fan_out', nonlinearity='relu')
    """

    def _at(self, site: Site) -> Initializer:
        return _centred(self._std(site), "normal")


@dataclass(frozen=True, repr=False)
class LecunUniform(Initializer):
    """`fastinit.lecun_uniform_`, with the fans of the parameter's layer: LeCun et al. 1998."""

    def _at(self, site: Site) -> Initializer:
        return _centred(_std(1.0, site.fans.fan_in), "uniform")


@dataclass(frozen=True, repr=False)
class LecunNormal(Initializer):
    """`fastinit.lecun_normal_`, with the fans of the parameter's layer: LeCun et al. 1998, cut as in JAX."""

    def _at(self, site: Site) -> Initializer:
        return _centred(_std(1.0, site.fans.fan_in), "truncated_normal")


@dataclass(frozen=True, repr=False)
class Orthogonal(Initializer):
    """`fastinit.orthogonal_`; where the layer's layout has batch axes (experts), one matrix for each.

    Args:
        gain: every element is multiplied by this.
    """

    gain: Number = 1.0

    def _at(self, site: Site) -> Initializer:
        batch_dims = site.batch_dims
        if len(site.shape) < 2 + batch_dims:
            raise ValueError("Only tensors with 2 or more dimensions are supported")
        return replace(_Matrices(site.number(self.gain), batch_dims), special=self.special)

    special = False


@dataclass(frozen=True, repr=False)
class SpecialOrthogonal(Orthogonal):
    """`fastinit.special_orthogonal_`: rotations; for square matrices only."""

    special = True


@dataclass(frozen=True, repr=False)
class _Matrices(Initializer):
    """Orthogonal matrices, as many as the leading dimensions count."""

    gain: float = 1.0
    batch_dims: int = 0
    special: bool = False

    def fill(self, target: Tensor | Shard, generator: Source) -> None:
        function: Any = special_orthogonal_ if self.special else orthogonal_
        function(target, self.gain, generator, batch_dims=self.batch_dims)

    def moments(self, shape: tuple[int, ...]) -> tuple[float, float] | None:
        """Each row, or column, is uniform on a sphere: the mean square of an element is 1 over the longer side."""
        rows, columns = shape[self.batch_dims], math.prod(shape[self.batch_dims + 1 :])
        if self.special and max(rows, columns) < 3:
            return None  # a rotation of the line or the plane has no such symmetry
        return 0.0, abs(self.gain) / math.sqrt(max(rows, columns, 1))

    def support(self) -> tuple[float, float]:
        """An element of a unit vector, to within rounding."""
        bound = abs(self.gain) * 1.01
        return -bound, bound

    def __repr__(self) -> str:
        shown = "SpecialOrthogonal" if self.special else "Orthogonal"
        return f"{shown}({'' if self.gain == 1.0 else f'gain={self.gain}'})"


@dataclass(frozen=True, repr=False)
class DeltaOrthogonal(Initializer):
    """`fastinit.delta_orthogonal_`, with the groups of the parameter's convolution."""

    gain: Number = 1.0
    groups: int | None = None

    def _at(self, site: Site) -> Initializer:
        return DeltaOrthogonal(site.number(self.gain), self.groups or site.layout.groups)

    def fill(self, target: Tensor | Shard, generator: Source) -> None:
        """See `Initializer`."""
        (gain,) = self.numbers(self.gain)
        delta_orthogonal_(target, gain, generator, groups=self.groups or 1)


@dataclass(frozen=True, repr=False)
class Eye(Initializer):
    """`fastinit.eye_`: the identity."""

    random = False

    def fill(self, target: Tensor | Shard, generator: Source) -> None:
        """See `Initializer`."""
        eye_(target)

    def support(self) -> tuple[float, float]:
        """See `Initializer`."""
        return 0.0, 1.0


@dataclass(frozen=True, repr=False)
class Dirac(Initializer):
    """`fastinit.dirac_`, with the groups of the parameter's convolution."""

    groups: int | None = None

    random = False

    def _at(self, site: Site) -> Initializer:
        return Dirac(self.groups or site.layout.groups)

    def fill(self, target: Tensor | Shard, generator: Source) -> None:
        """See `Initializer`."""
        dirac_(target, self.groups or 1)

    def support(self) -> tuple[float, float]:
        """See `Initializer`."""
        return 0.0, 1.0


@dataclass(frozen=True, repr=False)
class Sparse(Initializer):
    """`fastinit.sparse_`: normal, with the same number of zeros in each column."""

    sparsity: float = 0.9
    std: Number = 0.01

    def _at(self, site: Site) -> Initializer:
        return Sparse(self.sparsity, site.number(self.std))

    def fill(self, target: Tensor | Shard, generator: Source) -> None:
        """See `Initializer`."""
        (std,) = self.numbers(self.std)
        sparse_(target, self.sparsity, std, generator)

    def moments(self, shape: tuple[int, ...]) -> tuple[float, float]:
        """See `Initializer`."""
        (std,) = self.numbers(self.std)
        zeros = math.ceil(self.sparsity * shape[0]) / shape[0] if shape[0] else 0.0
        return 0.0, std * math.sqrt(max(1.0 - zeros, 0.0))


@dataclass(frozen=True, repr=False)
class Custom(Initializer):
    """A function of one's own.

    Args:
        function: called with the tensor to fill (a view, where the rule's layout splits the parameter) and
            ``generator=``, to be passed on to fastinit's functions. It must write all of it in place. What it refuses
            is not known before: it runs after all others, which are filled by then.

    Example:
        >>> import fastinit, torch
        >>> def ramp(tensor, generator):
        ...     with torch.no_grad():
        ...         tensor.copy_(torch.arange(1.0, 1.0 + tensor.numel(), device=tensor.device).view_as(tensor))
        >>> model = torch.nn.Linear(3, 2)
        >>> rules = [fastinit.Rule(fastinit.Custom(ramp), name="weight"), fastinit.Rule(fastinit.Zeros(), name="bias")]
        >>> report = fastinit.initialize_(model, rules, seed=0)
        >>> model.weight.tolist()
        [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    """

    function: Callable[..., object]

    judged = False

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise TypeError(f"expected a function, but got {self.function!r}")

    def fill(self, target: Tensor | Shard, generator: Source) -> None:
        """See `Initializer`."""
        self.function(target, generator=generator)
