"""Whether a parameter holds what a seed gives, looked at in a few thousand of its values."""

from __future__ import annotations

import torch

from fastinit.keys import Key
from fastinit.many import fill_many
from fastinit.models.entries import Entry
from fastinit.shards import Shard

__all__ = ["differs"]

_SAMPLE = 4096  # values, about


def differs(entry: Entry, seed: Key, overlay: Entry | None = None) -> bool:
    """Whether the first values are other ones than `fastinit.initialize_` writes under this seed.

    False where it cannot be told from a part: matrices are made as a whole. What an overlay writes over is not looked
    at.
    """
    law = entry.fill.law if entry.fill is not None else None
    target = entry.target
    if law is None or entry.tensor.numel() == 0:
        return False
    tensor = entry.tensor.detach()
    whole = target.global_shape if isinstance(target, Shard) else tuple(tensor.shape)
    offset = target.global_offset if isinstance(target, Shard) else (0,) * len(whole)
    part = tensor
    for axis in range(tensor.ndim):  # fewer rows until there are few enough values
        rest = max(part.numel() // part.shape[axis], 1)
        part = part.narrow(axis, 0, min(part.shape[axis], max(1, _SAMPLE // rest)))
    made = torch.empty_like(part, memory_format=torch.contiguous_format)
    fill_many([Shard(made, whole, offset)], [law], [entry.key(seed)])
    over = overlay.site.part if overlay else None
    if over is not None and over.start < part.shape[over.axis]:
        made.narrow(over.axis, over.start, 1).copy_(part.narrow(over.axis, over.start, 1))
    return not torch.equal(made.reshape(-1).view(torch.uint8), part.contiguous().reshape(-1).view(torch.uint8))
