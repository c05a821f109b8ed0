"""Rows and columns of a weight that are zero throughout: units that nothing reaches, or that reach nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from fastinit.auditing.flags import Flag
from fastinit.auditing.statistics import Statistics

__all__ = ["dead"]

_PIECE = 1 << 22  # elements looked at together


def dead(tensor: Tensor, found: Statistics) -> list[Flag]:
    """Flags for zero rows (along dimension 0) and columns (dimension 1) of a weight that is not zero altogether.

    The tensor is read again only if its zeros could fill one.
    """
    if tensor.ndim < 2 or min(tensor.shape) == 0 or found.zeros == found.numel:
        return []
    tensor = tensor.detach()
    flags = []
    for axis, word in ((0, "rows"), (1, "columns")):
        size = tensor.shape[axis]
        if size > 1 and found.zeros >= tensor.numel() // size and (count := _zero(tensor, axis)):
            flags.append(Flag("dead", f"{count:,} of {size:,} {word} are zero"))
    return flags


def _zero(tensor: Tensor, axis: int) -> int:
    """How many slices along an axis are zero."""
    size = tensor.shape[axis]
    width = max(1, _PIECE // max(tensor.numel() // size, 1))
    others = [d for d in range(tensor.ndim) if d != axis]
    count = 0
    for part in torch.split(tensor, width, axis):
        some = part.bool() if part.element_size() == 1 else part != 0  # torch compares no 8-bit floats
        count += int(some.sum(dim=others).eq(0).sum())
    return count
