"""Models made of names alone: what recipes that go by names are tested on."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

__all__ = ["tree", "twin"]


def tree(modules: dict[str, nn.Module]) -> nn.Module:
    """A model that has these modules under these names; numbers make stacks."""
    grown: dict[str, Any] = {}
    for name, module in modules.items():
        *path, last = name.split(".")
        inner = grown
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = module
    return _module(grown)


def _module(grown: dict[str, Any]) -> nn.Module:
    return nn.ModuleDict({name: _module(part) if isinstance(part, dict) else part for name, part in grown.items()})


def twin(name: str, module: nn.Module, **attributes: Any) -> nn.Module:
    """The module under a class of another name, as code elsewhere calls its own."""
    made = type(name, (type(module),), {})
    module.__class__ = made
    for attribute, value in attributes.items():
        setattr(module, attribute, torch.nn.Parameter(value) if isinstance(value, torch.Tensor) else value)
    return module
