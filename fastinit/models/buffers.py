"""Buffers of models that were built on meta: those whose values are known are computed, the others refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from fastinit.models.sites import Site

__all__ = ["compute", "unknown"]


def unknown(model: nn.Module, buffers: Iterable[Site]) -> list[str]:
    """The names of those buffers on meta whose values nothing here can compute.

    Running statistics of batch and instance norms are known; in a transformers model (version 5 or later) the model's
    own initialisation computes its buffers.
    """
    known = {module for pretrained in _pretrained(model) for module in pretrained.modules()}
    return [site.name for site in buffers if not isinstance(site.module, _NormBase) and site.module not in known]


def compute(model: nn.Module, lost: Sequence[Site]) -> None:
    """Compute the values of buffers that have just been given memory; whatever else there is stays as it is.

    To be called before the parameters are filled: code that does not ask whether a parameter is loaded writes to it.
    """
    with torch.no_grad():
        for site in lost:
            if isinstance(site.module, _NormBase):
                site.tensor.fill_(_RUNNING[site.param])
    others = {site.module for site in lost if not isinstance(site.module, _NormBase)}
    if not others:
        return
    kept = {id(site.tensor) for site in lost}
    for pretrained in _pretrained(model):
        if not others.isdisjoint(pretrained.modules()):
            _initialise_buffers(pretrained, [b for b in pretrained.buffers() if id(b) not in kept])


_RUNNING = {"running_mean": 0, "running_var": 1, "num_batches_tracked": 0}


def _initialise_buffers(pretrained: Any, real: Sequence[Tensor]) -> None:
    """Let a transformers model run its own initialisation with all else marked as loaded: the lost buffers remain."""
    everything = [*pretrained.parameters(), *real]
    marked = [tensor for tensor in everything if not getattr(tensor, "_is_hf_initialized", False)]
    before = [buffer.clone() for buffer in real]
    for tensor in marked:
        tensor._is_hf_initialized = True
    for module in pretrained.modules():
        module.__dict__.pop("_is_hf_initialized", None)
    try:
        pretrained.initialize_weights()
    finally:
        for tensor in marked:
            del tensor._is_hf_initialized
        with torch.no_grad():
            for buffer, value in zip(real, before, strict=True):
                buffer.copy_(value)


def _pretrained(model: nn.Module) -> list[nn.Module]:
    """The outermost transformers models in it."""
    found: list[nn.Module] = []
    inside: set[nn.Module] = set()
    for module in model.modules():
        if module not in inside and _is_pretrained(module):
            found.append(module)
            inside.update(module.modules())
    return found


def _is_pretrained(module: nn.Module) -> bool:
    return callable(getattr(module, "initialize_weights", None)) and any(
        base.__name__ == "PreTrainedModel" for base in type(module).__mro__
    )
