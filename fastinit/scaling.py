"""Initializers whose variance follows from the weight's fans: the core of the family, and its general member.

Xavier's and Kaiming's initializers in `fastinit.init` are the same fill with torch's own formula for the standard
deviation. References: LeCun et al. 1998, "Efficient BackProp", section 4.6; Glorot and Bengio 2010; He et al. 2015.
"""

import math
from collections.abc import Sequence

from torch.overrides import has_torch_function_unary

from fastinit.dispatch import NORMAL, TRUNC_NORMAL, UNIFORM, Op, Source, Target, draw, overridden, shape_of
from fastinit.fans import Axes, fan_of_shape, fans, fans_of_shape
from fastinit.gains import calculate_gain

__all__ = ["lecun_normal_", "lecun_uniform_", "trunc_normal_tf_", "variance_scaling_"]

NO_ELEMENTS = "Initializing zero-element tensors is a no-op"  # what the Kaiming functions warn of

_SQRT_3 = math.sqrt(3.0)  # a uniform distribution on [-b, b] has the standard deviation b / sqrt(3)

# The standard deviation of a standard normal cut to [-2, 2]: its variance is 1 - 2 * 2 * pdf(2) / P(-2 < z < 2).
_CUT = 2.0
_STD_OF_CUT = math.sqrt(
    1.0 - 2.0 * _CUT * math.exp(-0.5 * _CUT * _CUT) / math.sqrt(2.0 * math.pi) / math.erf(_CUT / math.sqrt(2.0))
)


def scaled(std: float, distribution: str) -> tuple[Op, tuple[float, ...]]:
    """The law of mean 0 and standard deviation ``std`` (a complex element has it in each part where uniform)."""
    if distribution == "uniform":
        bound = _SQRT_3 * std
        return UNIFORM, (-bound, bound)
    if distribution == "normal":
        return NORMAL, (0.0, std)
    std /= _STD_OF_CUT
    return TRUNC_NORMAL, (0.0, std, -_CUT * std, _CUT * std)


def fill_scaled(target: Target, std: float, distribution: str, generator: Source) -> Target:
    """Fill by that law."""
    op, parameters = scaled(std, distribution)
    return draw(op, target, generator, *parameters)


def xavier_std(shape: Sequence[int], gain: float) -> float:
    """Glorot and Bengio 2010, eq. 12, times the gain; 0 where there are no elements, whose fans may both be 0."""
    fan_in, fan_out = fans_of_shape(shape)
    return gain * math.sqrt(2.0 / float(fan_in + fan_out)) if fan_in + fan_out else 0.0


def kaiming_std(shape: Sequence[int], a: float, mode: str, nonlinearity: str) -> float:
    """He et al. 2015, eq. 10 and 14."""
    fan = fan_of_shape(shape, mode)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def variance_scaling_(
    tensor: Target,
    scale: float = 1.0,
    mode: str = "fan_in",
    distribution: str = "truncated_normal",
    generator: Source = None,
    *,
    in_axis: Axes = 1,
    out_axis: Axes = 0,
    batch_axis: Axes = (),
    groups: int = 1,
    transposed: bool = False,
) -> Target:
    """Fill with mean 0 and variance ``scale / fan``, in place.

    The rule, the modes and the distributions are those of JAX's and Keras's initializers of this name; the default
    axes are torch's layout, ``(out, in, *kernel)``.

    Args:
        tensor: what to fill: 2 or more dimensions.
        scale: the variance is this over the fan; 2 is He's rule for rectifiers. Not negative.
        mode: "fan_in", "fan_out", "fan_avg" (their mean) or "fan_geo_avg" (their geometric mean).
        distribution: "truncated_normal" (cut at two standard deviations, and widened so that the variance is as
            stated after the cut), "normal" or "uniform".
        generator: see `fastinit.init`; one draw is consumed.
        in_axis: see `fastinit.fans`, as for the four arguments after it.
        out_axis: as above.
        batch_axis: as above.
        groups: as above.
        transposed: as above.

    Returns:
        ``tensor`` itself. A tensor without elements is left alone.

    Raises:
        ValueError: an unknown mode or distribution, a negative or NaN scale, or what `fastinit.fans` refuses.

    Example:
        >>> import torch, fastinit
        >>> experts = torch.empty(8, 256, 512)          # eight (in, out) matrices
        >>> _ = fastinit.variance_scaling_(experts, in_axis=1, out_axis=2, batch_axis=0, generator=fastinit.Key(0))
        >>> round(experts.std().item() * 256**0.5, 2)
        1.0
    """
    if has_torch_function_unary(tensor):
        return overridden(
            variance_scaling_,
            tensor,
            scale=scale,
            mode=mode,
            distribution=distribution,
            generator=generator,
            in_axis=in_axis,
            out_axis=out_axis,
            batch_axis=batch_axis,
            groups=groups,
            transposed=transposed,
        )
    shape = shape_of(tensor)
    std = variance_scaling_std(
        shape,
        scale,
        mode,
        distribution,
        in_axis=in_axis,
        out_axis=out_axis,
        batch_axis=batch_axis,
        groups=groups,
        transposed=transposed,
    )
    if 0 in shape:
        return tensor
    return fill_scaled(tensor, std, distribution, generator)


def variance_scaling_std(
    shape: Sequence[int],
    scale: float,
    mode: str,
    distribution: str,
    *,
    in_axis: Axes,
    out_axis: Axes,
    batch_axis: Axes,
    groups: int,
    transposed: bool,
) -> float:
    """Judge the arguments of `variance_scaling_`, and give the standard deviation they ask for; 0 without elements."""
    check_scaling(scale, mode, distribution)
    fan_in, fan_out = fans(
        shape, in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis, groups=groups, transposed=transposed
    )
    return 0.0 if 0 in shape else math.sqrt(scale / fan_of_mode(fan_in, fan_out, mode))


def check_scaling(scale: float, mode: str, distribution: str) -> None:
    """Refuse what `variance_scaling_` refuses of these."""
    if mode not in _MODES:
        raise ValueError(f"Mode {mode} not supported, please use one of {_MODES}")
    if distribution not in _DISTRIBUTIONS:
        raise ValueError(f"Distribution {distribution} not supported, please use one of {_DISTRIBUTIONS}")
    if not scale >= 0.0:  # so that NaN is refused too
        raise ValueError(f"scale must not be negative, but got {scale}")


def fan_of_mode(fan_in: int, fan_out: int, mode: str) -> float:
    """The fan that a mode of `variance_scaling_` names."""
    if mode == "fan_in":
        return fan_in
    if mode == "fan_out":
        return fan_out
    return (fan_in + fan_out) / 2 if mode == "fan_avg" else math.sqrt(fan_in * fan_out)


_MODES = ["fan_in", "fan_out", "fan_avg", "fan_geo_avg"]
_DISTRIBUTIONS = ["truncated_normal", "normal", "uniform"]


def lecun_uniform_(tensor: Target, generator: Source = None) -> Target:
    """Fill from the uniform distribution of variance ``1 / fan_in``, that is on +-sqrt(3 / fan_in), in place.

    Args:
        tensor: what to fill: 2 or more dimensions, ``(out, in, *kernel)``. For other layouts see `variance_scaling_`.
        generator: see `fastinit.init`; one draw is consumed.

    Returns:
        ``tensor`` itself.

    Raises:
        ValueError: fewer than 2 dimensions.

    Example:
        >>> import torch, fastinit
        >>> w = fastinit.lecun_uniform_(torch.empty(64, 300))
        >>> bool(w.abs().max() <= 0.1)
        True
    """
    if has_torch_function_unary(tensor):
        return overridden(lecun_uniform_, tensor, generator=generator)
    return variance_scaling_(tensor, 1.0, "fan_in", "uniform", generator)


def lecun_normal_(tensor: Target, generator: Source = None) -> Target:
    """Fill from the normal distribution of variance ``1 / fan_in``, cut at two standard deviations, in place.

    The distribution is widened to have that variance after the cut, as in JAX and Keras; for the uncut one use
    ``variance_scaling_(w, distribution="normal")``. The initialisation that self-normalising networks (SELU) ask for.

    Args:
        tensor: what to fill: 2 or more dimensions, ``(out, in, *kernel)``. For other layouts see `variance_scaling_`.
        generator: see `fastinit.init`; one draw is consumed.

    Returns:
        ``tensor`` itself.

    Raises:
        ValueError: fewer than 2 dimensions.

    Example:
        >>> import torch, fastinit
        >>> w = fastinit.lecun_normal_(torch.empty(512, 400), generator=fastinit.Key(0))
        >>> round(w.std().item(), 3)
        0.05
    """
    if has_torch_function_unary(tensor):
        return overridden(lecun_normal_, tensor, generator=generator)
    return variance_scaling_(tensor, 1.0, "fan_in", "truncated_normal", generator)


def trunc_normal_tf_(
    tensor: Target,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Source = None,
) -> Target:
    """Fill from a normal distribution cut ``a`` and ``b`` standard deviations from its mean, in place.

    The values are ``mean + std * z`` with z standard normal on [a, b]: the bounds move with mean and std, as in timm's
    function of this name and in ``jax.random.truncated_normal``, while those of `trunc_normal_` are absolute. The
    result's standard deviation is less than ``std``, about 0.88 of it for the default bounds. JAX's variance-scaling
    initializers divide by that factor first; this function, like timm's, does not, and `variance_scaling_` does.

    Args:
        tensor: what to fill.
        mean: the mean before the cut.
        std: the standard deviation before the cut.
        a: the lower bound, in standard deviations from the mean; may be -inf.
        b: the upper bound, in standard deviations from the mean; may be inf.
        generator: see `fastinit.init`; one draw is consumed.

    Returns:
        ``tensor`` itself.

    Raises:
        RuntimeError: std negative or NaN, or a > b.
        NotImplementedError: a type that is not floating point, or complex.

    Example:
        >>> import torch, fastinit
        >>> w = fastinit.trunc_normal_tf_(torch.empty(1000), mean=1.0, std=0.02)
        >>> bool(w.min() >= 0.96 and w.max() <= 1.04)
        True
    """
    if has_torch_function_unary(tensor):
        return overridden(trunc_normal_tf_, tensor, mean=mean, std=std, a=a, b=b, generator=generator)
    return draw(TRUNC_NORMAL, tensor, generator, mean, std, *absolute_bounds(mean, std, a, b))


def absolute_bounds(mean: float, std: float, a: float, b: float) -> tuple[float, float]:
    """Bounds in standard deviations as numbers. With std 0 all sits at the mean; infinity times 0 would be NaN."""
    return (mean + a * std, mean + b * std) if std != 0.0 else (mean, mean)
