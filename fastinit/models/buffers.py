"""Buffers of models that were built on meta: those whose values are known are computed, the others refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn
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


def compute(model: nn.Module, buffers: Sequence[Site]) -> None:
    """Compute the values of buffers that have just been given memory."""
    for module in {site.module for site in buffers if isinstance(site.module, _NormBase)}:
        module.reset_running_stats()
    if not buffers:
        return
    others = {site.module for site in buffers if not isinstance(site.module, _NormBase)}
    for pretrained in _pretrained(model):
        if not others.isdisjoint(pretrained.modules()):
            _initialise_buffers(pretrained)


def _initialise_buffers(pretrained: Any) -> None:
    """Let a transformers model run its own initialisation with every parameter marked as loaded: buffers remain."""
    marked = [p for p in pretrained.parameters() if not getattr(p, "_is_hf_initialized", False)]
    for parameter in marked:
        parameter._is_hf_initialized = True
    for module in pretrained.modules():
        module.__dict__.pop("_is_hf_initialized", None)
    try:
        pretrained.initialize_weights()
    finally:
        for parameter in marked:
            del parameter._is_hf_initialized


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
