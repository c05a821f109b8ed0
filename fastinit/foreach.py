"""The initializers on lists of tensors: what a loop of calls writes, in one call.

What holds for every function here:

* ``tensors`` is a sequence of what `fastinit.init`'s functions take (tensors, parameters, shards, arrays), of any
  types, sizes, layouts and devices. The same sequence is returned. Where two share memory the last one counts.
* Every other argument may be one value for all, or a sequence of one for each.
* ``generator`` may be None or a `torch.Generator`: each tensor draws from it as in a call of its own, in order, so the
  values and the generator's state are those of the loop. With a `fastinit.Key`, tensor i is filled with
  ``key.fold_in(i)``; a sequence of keys holds one for each tensor.
* All is judged before anything is written or drawn, but for tensors on several devices: neighbours on one are filled
  together, and those before the refused ones have been.

On a GPU some hundred tensors go into each launch; on the CPU all of them share one parallel region. For a model's worth
of small parameters the loop of calls costs more than the filling.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from torch.overrides import handle_torch_function, has_torch_function

from fastinit.dispatch import CONSTANT, NORMAL, TRUNC_NORMAL, UNIFORM, Op, shape_of, write_everywhere
from fastinit.fans import Axes
from fastinit.many import Law, Sources, each, fill_many
from fastinit.scaling import NO_ELEMENTS, absolute_bounds, kaiming_std, scaled, variance_scaling_std, xavier_std

__all__ = [
    "constant_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "lecun_normal_",
    "lecun_uniform_",
    "normal_",
    "ones_",
    "trunc_normal_",
    "trunc_normal_tf_",
    "uniform_",
    "variance_scaling_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

Targets = TypeVar("Targets", bound=Sequence[Any])
Each = float | Sequence[float]


def _fill(tensors: Targets, op: Op, generator: Sources, **parameters: Any) -> Targets:
    """All by one operator, its parameters by name, each one value or one for each tensor."""
    if any(isinstance(value, Sequence) for value in parameters.values()):
        columns = [each(value, len(tensors), name) for name, value in parameters.items()]
        laws: list[Law] = [(op, row) for row in zip(*columns, strict=True)]
    else:
        laws = [(op, tuple(parameters.values()))]
    fill_many(tensors, laws, generator)
    return tensors


def _fill_scaled(
    tensors: Targets, distribution: str, generator: Sources, std: Callable[..., float], **arguments: Any
) -> Targets:
    """Each with mean 0 and the standard deviation that ``std`` gives for its shape and its arguments."""
    count = len(tensors)
    columns = [each(value, count, name) for name, value in arguments.items()]
    rows = zip(*columns, strict=True) if columns else [()] * count
    laws = [scaled(std(shape_of(t), *row), distribution) for t, row in zip(tensors, rows, strict=True)]
    fill_many(tensors, laws, generator)
    return tensors


def uniform_(tensors: Targets, a: Each = 0.0, b: Each = 1.0, generator: Sources = None) -> Targets:
    """Fill each from the uniform distribution on [a, b), as `fastinit.uniform_` does.

    Args:
        tensors: what to fill.
        a: the lower end.
        b: the upper end.
        generator: see above; one draw a tensor is consumed.

    Returns:
        ``tensors`` itself.

    Raises:
        RuntimeError: a > b, or an end that a type cannot hold.
        ValueError: a sequence of another length than ``tensors``.

    Example:
        >>> import torch, fastinit
        >>> weights = [torch.empty(3, 5), torch.empty(7)]
        >>> _ = fastinit.foreach.uniform_(weights, -1.0, 1.0)
        >>> all(bool(((w >= -1.0) & (w < 1.0)).all()) for w in weights)
        True
    """
    if has_torch_function(tuple(tensors)):
        return _overridden(uniform_, tensors, a=a, b=b, generator=generator)
    return _fill(tensors, UNIFORM, generator, a=a, b=b)


def normal_(tensors: Targets, mean: Each = 0.0, std: Each = 1.0, generator: Sources = None) -> Targets:
    """Fill each from the normal distribution, as `fastinit.normal_` does.

    Args:
        tensors: what to fill.
        mean: the mean.
        std: the standard deviation, not negative.
        generator: see above; one draw a tensor is consumed.

    Returns:
        ``tensors`` itself.

    Raises:
        RuntimeError: a standard deviation is negative or NaN.
        ValueError: a sequence of another length than ``tensors``.

    Example:
        >>> import torch, fastinit
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 2))
        >>> key = fastinit.Key(1)
        >>> _ = fastinit.foreach.normal_(list(net.parameters()), std=0.02, generator=key)
        >>> torch.equal(net[0].weight, fastinit.normal_(torch.empty(8, 4), std=0.02, generator=key.fold_in(0)))
        True
    """
    if has_torch_function(tuple(tensors)):
        return _overridden(normal_, tensors, mean=mean, std=std, generator=generator)
    return _fill(tensors, NORMAL, generator, mean=mean, std=std)


def trunc_normal_(
    tensors: Targets,
    mean: Each = 0.0,
    std: Each = 1.0,
    a: Each = -2.0,
    b: Each = 2.0,
    generator: Sources = None,
) -> Targets:
    """Fill each from the normal distribution conditioned on [a, b], as `fastinit.trunc_normal_` does.

    Args:
        tensors: what to fill; not complex.
        mean: the mean before the cut.
        std: the standard deviation before the cut, not negative.
        a: the lower bound, absolute; may be -inf.
        b: the upper bound, absolute; may be inf.
        generator: see above; one draw a tensor is consumed.

    Returns:
        ``tensors`` itself.

    Raises:
        RuntimeError: a standard deviation is negative or NaN, or a > b.
        ValueError: a sequence of another length than ``tensors``.

    Example:
        >>> import torch, fastinit
        >>> weights = [torch.empty(100), torch.empty(100)]
        >>> _ = fastinit.foreach.trunc_normal_(weights, b=[0.5, 1.0])
        >>> [bool(w.max() <= b) for w, b in zip(weights, [0.5, 1.0])]
        [True, True]
    """
    if has_torch_function(tuple(tensors)):
        return _overridden(trunc_normal_, tensors, mean=mean, std=std, a=a, b=b, generator=generator)
    return _fill(tensors, TRUNC_NORMAL, generator, mean=mean, std=std, a=a, b=b)


def trunc_normal_tf_(
    tensors: Targets,
    mean: Each = 0.0,
    std: Each = 1.0,
    a: Each = -2.0,
    b: Each = 2.0,
    generator: Sources = None,
) -> Targets:
    """Fill each from a normal distribution cut ``a`` and ``b`` standard deviations from its mean.

    Args:
        tensors: what to fill; not complex.
        mean: the mean before the cut.
        std: the standard deviation before the cut.
        a: the lower bound, in standard deviations from the mean; may be -inf.
        b: the upper bound, in standard deviations from the mean; may be inf.
        generator: see above; one draw a tensor is consumed.

    Returns:
        ``tensors`` itself.

    Raises:
        RuntimeError: a standard deviation is negative or NaN, or a > b.
        ValueError: a sequence of another length than ``tensors``.

    Example:
        >>> import torch, fastinit
        >>> weights = [torch.empty(1000), torch.empty(1000)]
        >>> _ = fastinit.foreach.trunc_normal_tf_(weights, std=[0.02, 0.1])
        >>> [bool(w.abs().max() <= 2 * std) for w, std in zip(weights, [0.02, 0.1])]
        [True, True]
    """
    if has_torch_function(tuple(tensors)):
        return _overridden(trunc_normal_tf_, tensors, mean=mean, std=std, a=a, b=b, generator=generator)
    count = len(tensors)
    columns = [each(value, count, name) for name, value in (("mean", mean), ("std", std), ("a", a), ("b", b))]
    rows = zip(*columns, strict=True)
    laws = [(TRUNC_NORMAL, (m, s, *absolute_bounds(m, s, lower, upper))) for m, s, lower, upper in rows]
    fill_many(tensors, laws, generator)
    return tensors


def constant_(tensors: Targets, val: Each) -> Targets:
    """Fill each with one value.

    Args:
        tensors: what to fill, of any types.
        val: a number, or a tensor of 0 dimensions. What a float64 does not hold as it is (a tensor, a complex number, a
            negative integer, one beyond 2**53) is written one tensor after the other, each as it is judged.

    Returns:
        ``tensors`` itself.

    Raises:
        RuntimeError: a value that a type cannot hold.
        ValueError: a sequence of another length than ``tensors``.

    Example:
        >>> import torch, fastinit
        >>> fastinit.foreach.constant_([torch.empty(2), torch.empty(1)], [0.5, 2.0])
        [tensor([0.5000, 0.5000]), tensor([2.])]
    """
    if has_torch_function(tuple(tensors)):
        return _overridden(constant_, tensors, val=val)
    values = each(val, len(tensors), "val")
    if all(isinstance(v, float) or (isinstance(v, int) and 0 <= v <= 2**53) for v in values):
        return _fill(tensors, CONSTANT, None, val=values)
    for tensor, value in zip(tensors, values, strict=True):
        write_everywhere(value, tensor)
    return tensors


def ones_(tensors: Targets) -> Targets:
    """Fill each with 1.

    Args:
        tensors: what to fill, of any types.

    Returns:
        ``tensors`` itself.

    Example:
        >>> import torch, fastinit
        >>> fastinit.foreach.ones_([torch.empty(2), torch.empty(1)])
        [tensor([1., 1.]), tensor([1.])]
    """
    if has_torch_function(tuple(tensors)):
        return _overridden(ones_, tensors)
    return _fill(tensors, CONSTANT, None, val=1.0)


def zeros_(tensors: Targets) -> Targets:
    """Fill each with 0.

    Args:
        tensors: what to fill, of any types.

    Returns:
        ``tensors`` itself.

    Example:
        >>> import torch, fastinit
        >>> fastinit.foreach.zeros_([torch.empty(2), torch.empty(1)])
        [tensor([0., 0.]), tensor([0.])]
    """
    if has_torch_function(tuple(tensors)):
        return _overridden(zeros_, tensors)
    return _fill(tensors, CONSTANT, None, val=0.0)


def xavier_uniform_(tensors: Targets, gain: Each = 1.0, generator: Sources = None) -> Targets:
    """Fill each as `fastinit.xavier_uniform_` does: Glorot and Bengio 2010, eq. 16.

    Args:
        tensors: what to fill: 2 or more dimensions each, ``(out, in, *kernel)``.
        gain: a factor for the activation.
        generator: see above; one draw a tensor is consumed.

    Returns:
        ``tensors`` itself.

    Raises:
        ValueError: fewer than 2 dimensions; a sequence of another length than ``tensors``.

    Example:
        >>> import torch, fastinit
        >>> weights = [torch.empty(100, 50), torch.empty(4, 2)]
        >>> _ = fastinit.foreach.xavier_uniform_(weights)
        >>> [bool(w.abs().max() <= bound) for w, bound in zip(weights, [0.2, 1.0])]
        [True, True]
    """
    if has_torch_function(tuple(tensors)):
        return _overridden(xavier_uniform_, tensors, gain=gain, generator=generator)
    return _fill_scaled(tensors, "uniform", generator, xavier_std, gain=gain)


def xavier_normal_(tensors: Targets, gain: Each = 1.0, generator: Sources = None) -> Targets:
    """Fill each as `fastinit.xavier_normal_` does: Glorot and Bengio 2010, eq. 12.

    Args:
        tensors: what to fill: 2 or more dimensions each, ``(out, in, *kernel)``.
        gain: a factor for the activation.
        generator: see above; one draw a tensor is consumed.

    Returns:
        ``tensors`` itself.

    Raises:
        ValueError: fewer than 2 dimensions; a sequence of another length than ``tensors``.

    Example:
        >>> import torch, fastinit
        >>> weights = fastinit.foreach.xavier_normal_([torch.empty(500, 300)], generator=fastinit.Key(0))
        >>> round(weights[0].std().item(), 2)
        0.05
    """
    if has_torch_function(tuple(tensors)):
        return _overridden(xavier_normal_, tensors, gain=gain, generator=generator)
    return _fill_scaled(tensors, "normal", generator, xavier_std, gain=gain)


def kaiming_uniform_(
    tensors: Targets,
    a: Each = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Sources = None,
) -> Targets:
    """Fill each as `fastinit.kaiming_uniform_` does: He et al. 2015.

    Args:
        tensors: what to fill: 2 or more dimensions each, ``(out, in, *kernel)``.
        a: the negative slope of a leaky_relu that follows.
        mode: "fan_in" or "fan_out", for all.
        nonlinearity: what follows the layers, see `fastinit.calculate_gain`.
        generator: see above; one draw a tensor is consumed.

    Returns:
        ``tensors`` itself.

    Raises:
        ValueError: fewer than 2 dimensions, an unknown mode or nonlinearity, a slope that is not a number, a sequence
            of another length than ``tensors``.

    Warns:
        UserWarning: a tensor has no elements.

    Example:
        >>> import torch, fastinit
        >>> weights = fastinit.foreach.kaiming_uniform_([torch.empty(64, 150)], nonlinearity="relu")
        >>> bool(weights[0].abs().max() <= 0.2)
        True
    """
    if has_torch_function(tuple(tensors)):
        return _overridden(kaiming_uniform_, tensors, a=a, mode=mode, nonlinearity=nonlinearity, generator=generator)
    return _fill_kaiming(tensors, "uniform", generator, a, mode, nonlinearity)


def kaiming_normal_(
    tensors: Targets,
    a: Each = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Sources = None,
) -> Targets:
    """Fill each as `fastinit.kaiming_normal_` does: He et al. 2015.

    Args:
        tensors: what to fill: 2 or more dimensions each, ``(out, in, *kernel)``.
        a: the negative slope of a leaky_relu that follows.
        mode: "fan_in" or "fan_out", for all.
        nonlinearity: what follows the layers, see `fastinit.calculate_gain`.
        generator: see above; one draw a tensor is consumed.

    Returns:
        ``tensors`` itself.

    Raises:
        ValueError: fewer than 2 dimensions, an unknown mode or nonlinearity, a slope that is not a number, a sequence
            of another length than ``tensors``.

    Warns:
        UserWarning: a tensor has no elements.

    Example:
        >>> import torch, fastinit
        >>> weights = [torch.empty(500, 800)]
        >>> _ = fastinit.foreach.kaiming_normal_(weights, nonlinearity="relu", generator=fastinit.Key(0))
        >>> round(weights[0].std().item(), 2)
        0.05
    """
    if has_torch_function(tuple(tensors)):
        return _overridden(kaiming_normal_, tensors, a=a, mode=mode, nonlinearity=nonlinearity, generator=generator)
    return _fill_kaiming(tensors, "normal", generator, a, mode, nonlinearity)


def _fill_kaiming(
    tensors: Targets, distribution: str, generator: Sources, a: Each, mode: str, nonlinearity: str
) -> Targets:
    slopes = each(a, len(tensors), "a")
    laws = []
    empty = False
    for tensor, slope in zip(tensors, slopes, strict=True):
        shape = shape_of(tensor)
        empty = empty or 0 in shape
        std = 0.0 if 0 in shape else kaiming_std(shape, slope, mode, nonlinearity)
        laws.append(scaled(std, distribution))
    if empty:
        warnings.warn(NO_ELEMENTS, stacklevel=3)
    fill_many(tensors, laws, generator)
    return tensors


def lecun_uniform_(tensors: Targets, generator: Sources = None) -> Targets:
    """Fill each as `fastinit.lecun_uniform_` does: variance ``1 / fan_in``, uniform.

    Args:
        tensors: what to fill: 2 or more dimensions each, ``(out, in, *kernel)``.
        generator: see above; one draw a tensor is consumed.

    Returns:
        ``tensors`` itself.

    Raises:
        ValueError: fewer than 2 dimensions.

    Example:
        >>> import torch, fastinit
        >>> weights = fastinit.foreach.lecun_uniform_([torch.empty(64, 300)])
        >>> bool(weights[0].abs().max() <= 0.1)
        True
    """
    if has_torch_function(tuple(tensors)):
        return _overridden(lecun_uniform_, tensors, generator=generator)
    return variance_scaling_(tensors, 1.0, "fan_in", "uniform", generator)


def lecun_normal_(tensors: Targets, generator: Sources = None) -> Targets:
    """Fill each as `fastinit.lecun_normal_` does: variance ``1 / fan_in``, cut at two standard deviations.

    Args:
        tensors: what to fill: 2 or more dimensions each, ``(out, in, *kernel)``.
        generator: see above; one draw a tensor is consumed.

    Returns:
        ``tensors`` itself.

    Raises:
        ValueError: fewer than 2 dimensions.

    Example:
        >>> import torch, fastinit
        >>> weights = fastinit.foreach.lecun_normal_([torch.empty(512, 400)], generator=fastinit.Key(0))
        >>> round(weights[0].std().item(), 3)
        0.05
    """
    if has_torch_function(tuple(tensors)):
        return _overridden(lecun_normal_, tensors, generator=generator)
    return variance_scaling_(tensors, 1.0, "fan_in", "truncated_normal", generator)


def variance_scaling_(
    tensors: Targets,
    scale: Each = 1.0,
    mode: str = "fan_in",
    distribution: str = "truncated_normal",
    generator: Sources = None,
    *,
    in_axis: Axes = 1,
    out_axis: Axes = 0,
    batch_axis: Axes = (),
    groups: int = 1,
    transposed: bool = False,
) -> Targets:
    """Fill each with mean 0 and variance ``scale / fan``, as `fastinit.variance_scaling_` does.

    Args:
        tensors: what to fill: 2 or more dimensions each.
        scale: the variance is this over the fan. Not negative.
        mode: "fan_in", "fan_out", "fan_avg" or "fan_geo_avg", for all.
        distribution: "truncated_normal", "normal" or "uniform", for all.
        generator: see above; one draw a tensor is consumed.
        in_axis: see `fastinit.fans`, as for the four arguments after it; for all.
        out_axis: as above.
        batch_axis: as above.
        groups: as above.
        transposed: as above.

    Returns:
        ``tensors`` itself.

    Raises:
        ValueError: an unknown mode or distribution, a negative or NaN scale, what `fastinit.fans` refuses, or a
            sequence of another length than ``tensors``.

    Example:
        >>> import torch, fastinit
        >>> layers = [torch.empty(8, 256, 512) for _ in range(2)]          # eight (in, out) experts each
        >>> axes = {"in_axis": 1, "out_axis": 2, "batch_axis": 0}
        >>> _ = fastinit.foreach.variance_scaling_(layers, generator=fastinit.Key(0), **axes)
        >>> [round(w.std().item() * 256**0.5, 2) for w in layers]
        [1.0, 1.0]
    """
    axes: dict[str, Any] = {
        "in_axis": in_axis,
        "out_axis": out_axis,
        "batch_axis": batch_axis,
        "groups": groups,
        "transposed": transposed,
    }
    if has_torch_function(tuple(tensors)):
        return _overridden(
            variance_scaling_,
            tensors,
            scale=scale,
            mode=mode,
            distribution=distribution,
            generator=generator,
            **axes,
        )

    def std(shape: Sequence[int], own: float) -> float:
        return variance_scaling_std(shape, own, mode, distribution, **axes)

    return _fill_scaled(tensors, distribution, generator, std, scale=scale)


def _overridden(function: Any, tensors: Targets, **arguments: Any) -> Targets:
    """Let a tensor's class, or an active mode, take over the whole call (``__torch_function__``)."""
    result: Targets = handle_torch_function(function, tuple(tensors), tensors=tensors, **arguments)
    return result
