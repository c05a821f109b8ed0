"""The surface of torch.nn.init: the same names, signatures, defaults, errors and return values.

What holds for every function here, and for those of `fastinit.scaling` and `fastinit.orthogonal`:

* ``tensor`` is filled in place and returned: a `torch.Tensor` (parameters, leaves that require grad, views, any
  strides and memory format), a `fastinit.Shard`, a NumPy array, or another that exports writable CPU memory by DLPack.
  No autograd history is left, the version counter moves, and meta tensors are left alone.
* ``generator`` is where randomness comes from. None is the default generator of the tensor's device, the one that
  `torch.manual_seed` seeds. A `torch.Generator` is advanced by one draw a call, which is the same amount for every
  size, type and distribution (docs/stream.md). A `fastinit.Key` is never used up: each call fills the same values.
  A tensor without elements consumes nothing, and neither does a call that raises.
* What is random may be float32, float64, float16, bfloat16, an 8-bit float or, except for truncated normals, complex;
  other types raise NotImplementedError. Narrow types hold the float32 values rounded to nearest even, complex ones are
  filled as pairs of real numbers. constant_, ones_, zeros_, eye_ and dirac_ take every type.
* Each value is a pure function of its key, its row-major index, the distribution and the type. Threads, vector width,
  strides and shards change nothing.
"""

import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from torch.overrides import has_torch_function_unary

from fastinit.dispatch import (
    DIRAC,
    EYE,
    NORMAL,
    SPARSE,
    TRUNC_NORMAL,
    UNIFORM,
    Source,
    Target,
    draw,
    overridden,
    shape_of,
    write,
    write_everywhere,
)
from fastinit.fans import _calculate_correct_fan, _calculate_fan_in_and_fan_out
from fastinit.gains import calculate_gain
from fastinit.orthogonal import orthogonal_
from fastinit.scaling import NO_ELEMENTS, fill_scaled, kaiming_std, xavier_std

__all__ = [
    "_calculate_correct_fan",
    "_calculate_fan_in_and_fan_out",
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]


def uniform_(tensor: Target, a: float = 0.0, b: float = 1.0, generator: Source = None) -> Target:
    """Fill from the uniform distribution on [a, b): b itself is never written, in any type.

    Args:
        tensor: what to fill.
        a: the lower end.
        b: the upper end.
        generator: see above; one draw is consumed.

    Returns:
        ``tensor`` itself.

    Raises:
        RuntimeError: a > b, or an end that the type cannot hold.

    Example:
        >>> import torch, fastinit
        >>> w = fastinit.uniform_(torch.empty(3, 5), -1.0, 1.0)
        >>> bool(((w >= -1.0) & (w < 1.0)).all())
        True
    """
    if has_torch_function_unary(tensor):
        return overridden(uniform_, tensor, a=a, b=b, generator=generator)
    return draw(UNIFORM, tensor, generator, a, b)


def normal_(tensor: Target, mean: float = 0.0, std: float = 1.0, generator: Source = None) -> Target:
    """Fill from the normal distribution.

    A complex element has the variance ``std**2`` in all, half of it in each part; ``mean`` is added to both parts.

    Args:
        tensor: what to fill.
        mean: the mean.
        std: the standard deviation, not negative.
        generator: see above; one draw is consumed.

    Returns:
        ``tensor`` itself.

    Raises:
        RuntimeError: std is negative or NaN.

    Example:
        >>> import torch, fastinit
        >>> w = fastinit.normal_(torch.empty(3, 5), std=0.02, generator=fastinit.Key(1))
        >>> w.shape
        torch.Size([3, 5])
    """
    if has_torch_function_unary(tensor):
        return overridden(normal_, tensor, mean=mean, std=std, generator=generator)
    return draw(NORMAL, tensor, generator, mean, std)


def trunc_normal_(
    tensor: Target,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Source = None,
) -> Target:
    """Fill from the normal distribution conditioned on [a, b], by its inverse: one evaluation a value, no rejection.

    The bounds are absolute, and any will do: narrow, many standard deviations out, infinite on one side or both, with
    the mean in or out of them. (So torch's warning about a mean beyond them has no counterpart: the distribution is
    right there too.) For bounds in standard deviations see `fastinit.trunc_normal_tf_`.

    Args:
        tensor: what to fill; not complex.
        mean: the mean before the cut.
        std: the standard deviation before the cut, not negative.
        a: the lower bound; may be -inf.
        b: the upper bound; may be inf.
        generator: see above; one draw is consumed.

    Returns:
        ``tensor`` itself. Values lie within [a, b] in every type.

    Raises:
        RuntimeError: std is negative or NaN, or a > b.

    Example:
        >>> import torch, fastinit
        >>> w = fastinit.trunc_normal_(torch.empty(1000), a=3.0, b=float("inf"))
        >>> bool((w >= 3.0).all())
        True
    """
    if has_torch_function_unary(tensor):
        return overridden(trunc_normal_, tensor, mean=mean, std=std, a=a, b=b, generator=generator)
    return draw(TRUNC_NORMAL, tensor, generator, mean, std, a, b)


def constant_(tensor: Target, val: float) -> Target:
    """Fill with one value.

    Args:
        tensor: what to fill, of any type.
        val: a number, or a tensor of 0 dimensions.

    Returns:
        ``tensor`` itself.

    Raises:
        RuntimeError: a value the type cannot hold.

    Example:
        >>> import torch, fastinit
        >>> fastinit.constant_(torch.empty(3), 0.5)
        tensor([0.5000, 0.5000, 0.5000])
    """
    if has_torch_function_unary(tensor):
        return overridden(constant_, tensor, val=val)
    return write_everywhere(val, tensor)


def ones_(tensor: Target) -> Target:
    """Fill with 1.

    Args:
        tensor: what to fill, of any type.

    Returns:
        ``tensor`` itself.

    Example:
        >>> import torch, fastinit
        >>> fastinit.ones_(torch.empty(3))
        tensor([1., 1., 1.])
    """
    if has_torch_function_unary(tensor):
        return overridden(ones_, tensor)
    return write_everywhere(1.0, tensor)


def zeros_(tensor: Target) -> Target:
    """Fill with 0.

    Args:
        tensor: what to fill, of any type.

    Returns:
        ``tensor`` itself.

    Example:
        >>> import torch, fastinit
        >>> fastinit.zeros_(torch.empty(3))
        tensor([0., 0., 0.])
    """
    if has_torch_function_unary(tensor):
        return overridden(zeros_, tensor)
    return write_everywhere(0.0, tensor)


def eye_(tensor: Target) -> Target:
    """Fill a matrix with the identity: 1 where the row is the column, 0 elsewhere; it need not be square.

    Args:
        tensor: what to fill: 2 dimensions, any type.

    Returns:
        ``tensor`` itself.

    Raises:
        ValueError: not 2 dimensions.

    Example:
        >>> import torch, fastinit
        >>> fastinit.eye_(torch.empty(2, 3))
        tensor([[1., 0., 0.],
                [0., 1., 0.]])
    """
    if has_torch_function_unary(tensor):
        return overridden(eye_, tensor)
    if len(shape_of(tensor)) != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return write(EYE, tensor)


def dirac_(tensor: Target, groups: int = 1) -> Target:
    """Fill a convolution's weight so that the layer passes its input channels through, as far as there are outputs.

    Args:
        tensor: what to fill: ``(out, in / groups, *kernel)`` with 1 to 3 kernel dimensions, any type. Within each
            group, output channel d gets a 1 at the kernel's centre (``size // 2``) for input channel d; the rest is 0.
        groups: the number of groups the output channels are divided into.

    Returns:
        ``tensor`` itself.

    Raises:
        ValueError: not 3, 4 or 5 dimensions, or groups that do not divide dimension 0, or negative groups.

    Example:
        >>> import torch, fastinit
        >>> conv = torch.nn.Conv1d(2, 2, 3, padding=1, bias=False)
        >>> _ = fastinit.dirac_(conv.weight)
        >>> x = torch.arange(8.0).reshape(1, 2, 4)
        >>> torch.equal(conv(x), x)
        True
    """
    if has_torch_function_unary(tensor):
        return overridden(dirac_, tensor, groups=groups)
    shape = shape_of(tensor)
    if len(shape) not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if shape[0] % groups != 0:
        raise ValueError("dim 0 must be divisible by groups")
    if groups < 0:  # torch writes zeros only
        raise ValueError(f"groups must be positive, but got {groups}")
    return write(DIRAC, tensor, groups)


def xavier_uniform_(tensor: Target, gain: float = 1.0, generator: Source = None) -> Target:
    """Fill uniformly on [-bound, bound), bound = gain * sqrt(6 / (fan_in + fan_out)): Glorot and Bengio 2010, eq. 16.

    Args:
        tensor: what to fill: 2 or more dimensions, ``(out, in, *kernel)``.
        gain: a factor for the activation, see `calculate_gain`.
        generator: see above; one draw is consumed.

    Returns:
        ``tensor`` itself.

    Raises:
        ValueError: fewer than 2 dimensions.

    Example:
        >>> import torch, fastinit
        >>> w = fastinit.xavier_uniform_(torch.empty(100, 50), gain=fastinit.calculate_gain("tanh"))
        >>> bool(w.abs().max() <= 5 / 3 * 0.2)
        True
    """
    if has_torch_function_unary(tensor):
        return overridden(xavier_uniform_, tensor, gain=gain, generator=generator)
    return _fill_xavier(tensor, gain, "uniform", generator)


def xavier_normal_(tensor: Target, gain: float = 1.0, generator: Source = None) -> Target:
    """Fill from the normal distribution of std = gain * sqrt(2 / (fan_in + fan_out)): Glorot and Bengio 2010, eq. 12.

    Args:
        tensor: what to fill: 2 or more dimensions, ``(out, in, *kernel)``.
        gain: a factor for the activation, see `calculate_gain`.
        generator: see above; one draw is consumed.

    Returns:
        ``tensor`` itself.

    Raises:
        ValueError: fewer than 2 dimensions.

    Example:
        >>> import torch, fastinit
        >>> w = fastinit.xavier_normal_(torch.empty(500, 300), generator=fastinit.Key(0))
        >>> round(w.std().item(), 2)
        0.05
    """
    if has_torch_function_unary(tensor):
        return overridden(xavier_normal_, tensor, gain=gain, generator=generator)
    return _fill_xavier(tensor, gain, "normal", generator)


def _fill_xavier(tensor: Target, gain: float, distribution: str, generator: Source) -> Target:
    return fill_scaled(tensor, xavier_std(shape_of(tensor), gain), distribution, generator)


def kaiming_uniform_(
    tensor: Target,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Source = None,
) -> Target:
    """Fill uniformly on [-bound, bound), bound = gain * sqrt(3 / fan): He et al. 2015.

    Args:
        tensor: what to fill: 2 or more dimensions, ``(out, in, *kernel)``; for a weight used as ``x @ w`` pass ``w.T``.
        a: the negative slope of a leaky_relu that follows; read for no other nonlinearity.
        mode: "fan_in" keeps the variance of activations, "fan_out" that of gradients. Case does not matter.
        nonlinearity: what follows the layer, see `calculate_gain`.
        generator: see above; one draw is consumed.

    Returns:
        ``tensor`` itself.

    Raises:
        ValueError: fewer than 2 dimensions, an unknown mode or nonlinearity, a slope that is not a number.

    Warns:
        UserWarning: the tensor has no elements.

    Example:
        >>> import torch, fastinit
        >>> w = fastinit.kaiming_uniform_(torch.empty(64, 150), nonlinearity="relu")
        >>> bool(w.abs().max() <= 0.2)
        True
    """
    if has_torch_function_unary(tensor):
        return overridden(kaiming_uniform_, tensor, a=a, mode=mode, nonlinearity=nonlinearity, generator=generator)
    shape = shape_of(tensor)
    if 0 in shape:
        warnings.warn(NO_ELEMENTS, stacklevel=2)
        return tensor
    return fill_scaled(tensor, kaiming_std(shape, a, mode, nonlinearity), "uniform", generator)


def kaiming_normal_(
    tensor: Target,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Source = None,
) -> Target:
    """Fill from the normal distribution of std = gain / sqrt(fan): He et al. 2015.

    Args:
        tensor: what to fill: 2 or more dimensions, ``(out, in, *kernel)``; for a weight used as ``x @ w`` pass ``w.T``.
        a: the negative slope of a leaky_relu that follows; read for no other nonlinearity.
        mode: "fan_in" keeps the variance of activations, "fan_out" that of gradients. Case does not matter.
        nonlinearity: what follows the layer, see `calculate_gain`.
        generator: see above; one draw is consumed.

    Returns:
        ``tensor`` itself.

    Raises:
        ValueError: fewer than 2 dimensions, an unknown mode or nonlinearity, a slope that is not a number.

    Warns:
        UserWarning: the tensor has no elements.

    Example:
        >>> import torch, fastinit
        >>> w = fastinit.kaiming_normal_(torch.empty(500, 800), nonlinearity="relu", generator=fastinit.Key(0))
        >>> round(w.std().item(), 2)
        0.05
    """
    if has_torch_function_unary(tensor):
        return overridden(kaiming_normal_, tensor, a=a, mode=mode, nonlinearity=nonlinearity, generator=generator)
    shape = shape_of(tensor)
    if 0 in shape:
        warnings.warn(NO_ELEMENTS, stacklevel=2)
        return tensor
    return fill_scaled(tensor, kaiming_std(shape, a, mode, nonlinearity), "normal", generator)


def sparse_(tensor: Target, sparsity: float, std: float = 0.01, generator: Source = None) -> Target:
    """Fill a matrix from the normal distribution, then zero the same number of randomly chosen rows in each column.

    Martens 2010, "Deep learning via Hessian-free optimization".

    Args:
        tensor: what to fill: 2 dimensions.
        sparsity: the fraction of each column that is zeroed, rounded up to whole elements.
        std: the standard deviation of the others.
        generator: see above; one draw is consumed. It decides the values and the places of the zeros.

    Returns:
        ``tensor`` itself.

    Raises:
        ValueError: not 2 dimensions; a sparsity that is negative or NaN.
        RuntimeError: std is negative or NaN.

    Example:
        >>> import torch, fastinit
        >>> w = fastinit.sparse_(torch.empty(10, 4), sparsity=0.25)
        >>> (w == 0).sum(dim=0)
        tensor([3, 3, 3, 3])
    """
    if has_torch_function_unary(tensor):
        return overridden(sparse_, tensor, sparsity=sparsity, std=std, generator=generator)
    if len(shape_of(tensor)) != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return draw(SPARSE, tensor, generator, sparsity, std)


_P = ParamSpec("_P")
_R = TypeVar("_R")


def _deprecated(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The old name of an initializer, without its underscore, which warns as torch's does."""
    new = function.__name__
    old = new.removesuffix("_")

    def alias(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        warnings.warn(f"`nn.init.{old}` is now deprecated in favor of `nn.init.{new}`.", FutureWarning, stacklevel=2)
        return function(*args, **kwargs)

    alias.__name__ = alias.__qualname__ = old
    alias.__doc__ = f"Deprecated name of `{new}`."
    return alias


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)
