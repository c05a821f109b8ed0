"""Parameters that are not independent: equal ones, and those that begin alike because one key was used twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fastinit.auditing.flags import Flag
from fastinit.auditing.statistics import Statistics

__all__ = ["Candidate", "twins"]

_LEADING = 64
"""Values that are compared between tensors of different shapes, laws or types."""
_ALIKE = 0.99
"""The correlation that counts. Two independent sequences of 64 exceed it with a probability of 1e-53."""
_BITS = 128
"""Random bits that equal tensors must have in common to be more than a coincidence."""
_PIECE = 1 << 22


@dataclass(frozen=True)
class Candidate:
    """A parameter that should be independent of all others."""

    name: str
    tensor: Tensor
    found: Statistics


def twins(candidates: Sequence[Candidate]) -> dict[str, Flag]:
    """A flag for each parameter that repeats an earlier one."""
    varied = [c for c in candidates if c.found.finite == c.found.numel and c.found.squares > 0.0]
    flags = _begin_alike([c for c in varied if c.found.numel >= _LEADING])
    return {**flags, **_equal(varied)}


def _equal(candidates: Sequence[Candidate]) -> dict[str, Flag]:
    """Those with equal statistics, which then turn out to be equal."""
    groups: dict[object, list[Candidate]] = defaultdict(list)
    for c in candidates:
        dtype = c.tensor.dtype
        digits = 1 - int(torch.tensor(torch.finfo(dtype).eps).log2()) if dtype.is_floating_point else 1
        if c.found.numel * digits >= _BITS:
            key = (c.tensor.shape, dtype, c.tensor.device, c.found.min, c.found.max, c.found.zeros)
            groups[key].append(c)
    flags = {}
    for group in groups.values():
        for i, c in enumerate(group):
            first = next((other for other in group[:i] if _same(other.tensor, c.tensor)), None)
            if first is not None:
                flags[c.name] = Flag("duplicate", f"all values are those of {first.name}")
    return flags


def _same(a: Tensor, b: Tensor) -> bool:
    width = max(1, _PIECE // max(a.numel() // max(a.shape[0], 1), 1))
    a, b = a.detach(), b.detach()
    if a.element_size() == 1:  # torch compares no 8-bit floats
        a, b = a.view(torch.uint8), b.view(torch.uint8)
    return all(torch.equal(x, y) for x, y in zip(torch.split(a, width), torch.split(b, width), strict=True))


def _begin_alike(candidates: Sequence[Candidate]) -> dict[str, Flag]:
    """Those whose first values are, up to their mean and scale, those of an earlier one."""
    if len(candidates) < 2:
        return {}
    rows = torch.stack([_leading(c.tensor) for c in candidates])
    rows -= rows.mean(1, keepdim=True)
    norms = rows.norm(dim=1, keepdim=True)
    rows = torch.where(norms > 0.0, rows / norms, 0.0)
    correlation, best = (rows @ rows.t()).abs().tril(-1).max(1)
    flags = {}
    for i in (correlation > _ALIKE).nonzero()[:, 0].tolist():
        message = f"begins with the values of {candidates[int(best[i])].name}: was one key used twice?"
        flags[candidates[i].name] = Flag("stream", message)
    return flags


def _leading(tensor: Tensor) -> Tensor:
    """The first values in logical order, without a copy of the rest."""
    part = tensor.detach()
    while part.ndim > 1:
        inner = max(part[0].numel(), 1)
        part = part[: -(-_LEADING // inner)]
        part = part.flatten(0, 1) if inner < _LEADING else part[0]
    part = part[:_LEADING].cpu()
    part = part.real if part.is_complex() else part
    return part.double()
