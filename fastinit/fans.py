"""Fans: how many terms each unit of a layer sums, forwards and backwards, from the shape of its weight alone.

Plain Python over shapes. `fans` can be told which axes are what; the two underscored functions are those that other
projects import from torch.nn.init.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

__all__ = ["Fans", "fans"]

Axes: TypeAlias = int | Sequence[int]


class HasShape(Protocol):
    """A torch tensor, a NumPy array, a `fastinit.Shard` (whose shape is the global one)..."""

    @property
    def shape(self) -> Sequence[int]: ...


class Fans(NamedTuple):
    """What `fans` returns."""

    fan_in: int
    fan_out: int


def fans(
    weight: HasShape | Sequence[int],
    *,
    in_axis: Axes = 1,
    out_axis: Axes = 0,
    batch_axis: Axes = (),
    groups: int = 1,
    transposed: bool = False,
) -> Fans:
    """Count the terms that one output unit sums (fan-in) and the output units that one input unit reaches (fan-out).

    Backwards the roles are exchanged: fan-out is the number of terms summed into the gradient of one input unit.

    Args:
        weight: a tensor, an array, a shard, or a shape.
        in_axis: the axis, or axes, that run over input units. The defaults are torch's layout, ``(out, in, *kernel)``.
        out_axis: the axis, or axes, that run over output units.
        batch_axis: axes that merely stack independent weights (experts, heads, layers); they count towards neither.
        groups: the layer's number of groups. A grouped convolution stores ``(out, in / groups, *kernel)``: each output
            already sees only its group's inputs, but each input reaches ``out / groups`` outputs, which is what the
            shape alone does not say (and torch.nn.init overestimates ``groups`` times).
        transposed: the weight belongs to a transposed convolution, stored ``(in, out / groups, *kernel)``: the roles
            of ``in_axis`` and ``out_axis`` are exchanged, and the groups divide the inputs. A stride is not accounted
            for: with stride s only one kernel tap in s a dimension meets a given output.

    All axes named by none of the three are the receptive field, and multiply both fans.

    Raises:
        ValueError: fewer than 2 dimensions; an axis out of range or named twice; groups that do not divide the
            grouped axis.

    Example:
        >>> from fastinit import fans
        >>> fans((64, 32, 3, 3))                                  # Conv2d(32, 64, 3)
        Fans(fan_in=288, fan_out=576)
        >>> fans((64, 1, 3, 3), groups=64)                        # depthwise: Conv2d(64, 64, 3, groups=64)
        Fans(fan_in=9, fan_out=9)
        >>> fans((32, 64, 3, 3), transposed=True)                 # ConvTranspose2d(32, 64, 3)
        Fans(fan_in=288, fan_out=576)
        >>> fans((8, 1024, 4096), in_axis=1, out_axis=2, batch_axis=0)   # 8 experts, used as x @ w
        Fans(fan_in=1024, fan_out=4096)
    """
    shape = _shape(weight)
    dimensions = len(shape)
    if dimensions < 2:
        raise ValueError(_TOO_FEW)
    inputs = _normalised(in_axis, dimensions)
    outputs = _normalised(out_axis, dimensions)
    batches = _normalised(batch_axis, dimensions)
    named = inputs + outputs + batches
    if len(set(named)) != len(named):
        raise ValueError(f"an axis is named twice in in_axis={in_axis}, out_axis={out_axis}, batch_axis={batch_axis}")
    if transposed:
        inputs, outputs = outputs, inputs
    fan_in = math.prod([shape[axis] for axis in inputs])  # lists, since Dynamo hands math.prod no generator
    fan_out = math.prod([shape[axis] for axis in outputs])

    if groups < 1:
        raise ValueError(f"groups must be at least 1, but got {groups}")
    grouped = fan_in if transposed else fan_out
    if grouped % groups != 0:
        raise ValueError(
            f"groups must divide the {'input' if transposed else 'output'} units, but got {groups} for {grouped}"
        )
    if transposed:
        fan_in //= groups
    else:
        fan_out //= groups

    field = math.prod([size for axis, size in enumerate(shape) if axis not in named])
    return Fans(fan_in * field, fan_out * field)


_TOO_FEW = "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"


def fans_of_shape(shape: Sequence[int]) -> tuple[int, int]:
    """``fans(shape)`` with every default: the hot path of the named initializers."""
    if len(shape) < 2:
        raise ValueError(_TOO_FEW)
    fan_out, fan_in, *field = shape
    for size in field:
        fan_in *= size
        fan_out *= size
    return fan_in, fan_out


def fan_of_shape(shape: Sequence[int], mode: str) -> int:
    """The one of the two that torch's ``mode`` asks for; case does not matter."""
    mode = mode.lower()
    if mode not in _MODES:
        raise ValueError(f"Mode {mode} not supported, please use one of {_MODES}")
    fan_in, fan_out = fans_of_shape(shape)
    return fan_in if mode == "fan_in" else fan_out


_MODES = ["fan_in", "fan_out"]


def _calculate_fan_in_and_fan_out(tensor: HasShape) -> tuple[int, int]:
    """Fans of a weight in torch's layout, as the function of this name in torch.nn.init (see `fans` for others)."""
    return fans_of_shape(tensor.shape)


def _calculate_correct_fan(tensor: HasShape, mode: str) -> int:
    """The fan that ``mode`` ("fan_in" or "fan_out") names, as the function of this name in torch.nn.init."""
    return fan_of_shape(tensor.shape, mode)


def _shape(weight: Any) -> tuple[int, ...]:
    return tuple(getattr(weight, "shape", weight))


def _normalised(axes: Axes, dimensions: int) -> tuple[int, ...]:
    listed: Iterable[int] = (axes,) if isinstance(axes, int) else axes
    result = []
    for axis in listed:
        if not -dimensions <= axis < dimensions:
            raise ValueError(f"axis {axis} is out of range for {dimensions} dimensions")
        result.append(axis % dimensions)
    return tuple(result)
