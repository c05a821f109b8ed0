"""Hooks that note the scale of what goes through each module, forward and back."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from fastinit.auditing.statistics import Statistics, statistics

__all__ = ["Seen", "first_tensor", "recording", "rms"]


@dataclass(eq=False)
class Seen:
    """One call of one module."""

    name: str
    module: nn.Module
    output: Statistics
    gradient: Statistics | None = None
    """Of the loss with regard to the output; None where none arrived."""
    parameters: dict[str, tuple[Statistics, Statistics | None]] = field(default_factory=dict)
    """The module's own parameters by name: their values, and the gradient with regard to them."""


def rms(found: Statistics) -> float:
    """The root of the mean square of the finite elements; NaN without any."""
    n = found.finite
    return float((found.squares / n + found.mean * found.mean) ** 0.5) if n else float("nan")


def first_tensor(value: Any) -> Tensor | None:
    """The first floating-point tensor in a module's output, however it is wrapped."""
    if isinstance(value, Tensor):
        return value if value.is_floating_point() or value.is_complex() else None
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return next((found for item in inside if (found := first_tensor(item)) is not None), None)


@contextmanager
def recording(model: nn.Module, blocks: Collection[str]) -> Iterator[list[Seen]]:
    """Note every call of a module without members of its own, and of the blocks named, in the order of their ends."""
    seen: list[Seen] = []
    calls: dict[str, int] = {}
    handles = []

    def watch(name: str, module: nn.Module) -> None:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            tensor = first_tensor(output)
            if tensor is None:
                return
            calls[name] = calls.get(name, 0) + 1
            with torch.no_grad():
                shown = name if calls[name] == 1 else f"{name} (call {calls[name]})"
                entry = Seen(shown, module, statistics(tensor))
            seen.append(entry)
            if tensor.requires_grad:
                tensor.register_hook(lambda gradient: _note(entry, gradient))  # type: ignore[no-untyped-call]

        handles.append(module.register_forward_hook(hook))

    try:
        for name, module in model.named_modules():
            if next(module.children(), None) is None or name in blocks:
                watch(name, module)
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _note(entry: Seen, gradient: Tensor) -> None:
    with torch.no_grad():
        entry.gradient = statistics(gradient)
