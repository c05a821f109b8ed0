"""Shards: a part of a tensor, filled with what a fill of the whole would have put there.

An element's value depends on its index in the whole tensor and on nothing else, so whoever holds a part needs no
communication, and no memory for the rest, to write exactly its slice: under tensor parallelism, in a checkpoint
loader that streams rows, in a kernel's test.
"""

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from fastinit.interop import SupportsDLPack, as_tensor

__all__ = ["Shard", "shard"]


@dataclass(frozen=True, eq=False)
class Shard:
    """A tensor together with the place it takes in a larger one; made by `shard`.

    Every initializer accepts one in place of a tensor and returns it. To the initializers it looks like the whole:
    ``shape`` is the global shape.
    """

    local: Tensor | SupportsDLPack
    global_shape: tuple[int, ...]
    global_offset: tuple[int, ...]

    def __post_init__(self) -> None:
        local_shape = as_tensor(self.local).shape
        object.__setattr__(self, "global_shape", _integers(self.global_shape, "global_shape"))
        object.__setattr__(self, "global_offset", _integers(self.global_offset, "global_offset"))
        for name, values in (("global_shape", self.global_shape), ("global_offset", self.global_offset)):
            if len(values) != len(local_shape):
                raise ValueError(
                    f"{name} must have one entry a dimension of the local tensor, but {name} is {values} "
                    f"and the local shape is {tuple(local_shape)}"
                )
        for axis, (size, start, whole) in enumerate(
            zip(local_shape, self.global_offset, self.global_shape, strict=True)
        ):
            if start < 0 or whole < 0 or start + size > whole:
                raise ValueError(
                    f"the shard must lie within the global tensor, but takes [{start}, {start + size}) of "
                    f"{whole} in dimension {axis}"
                )
        if math.prod(self.global_shape) >= 1 << 63:
            raise ValueError(f"global_shape {self.global_shape} has more elements than a 64-bit index can count")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the whole, which is what fans are computed from."""
        return self.global_shape


def shard(local: Tensor | SupportsDLPack, global_shape: Sequence[int], global_offset: Sequence[int]) -> Shard:
    """Declare ``local`` to be the block of a tensor of ``global_shape`` that starts at ``global_offset``.

    For any initializer ``f``, ``f(shard(whole[block], whole.shape, start), ...)`` writes the very bits that
    ``f(whole, ...)`` writes into that block, given the same key, or generators in the same state; and it advances a
    generator as the fill of the whole does, so ranks that fill different shards of the same tensors stay in step.

    Args:
        local: the part that is in this process's memory: a tensor of any layout, or an array (see
            `fastinit.interop`). It may be empty.
        global_shape: the shape of the whole.
        global_offset: the index, in the whole, of local's first element.

    Raises:
        ValueError: lengths that do not match local's dimensions, entries that are not integers, or a block that
            does not lie within the whole.
        TypeError: local is not something an initializer can fill.

    Example:
        Two ranks hold the halves of a (6, 4) weight, split by columns; each writes its own.

        >>> import torch, fastinit
        >>> key = fastinit.Key(7)
        >>> whole = fastinit.kaiming_uniform_(torch.empty(6, 4), generator=key)
        >>> right = torch.empty(6, 2)
        >>> _ = fastinit.kaiming_uniform_(fastinit.shard(right, (6, 4), (0, 2)), generator=key)
        >>> torch.equal(right, whole[:, 2:])
        True
    """
    return Shard(local, tuple(global_shape), tuple(global_offset))


def _integers(values: Sequence[int], name: str) -> tuple[int, ...]:
    try:
        if any(isinstance(value, bool) for value in values):
            raise TypeError
        return tuple(operator.index(value) for value in values)
    except TypeError:
        raise ValueError(f"{name} must be a sequence of integers, but got {values!r}") from None
