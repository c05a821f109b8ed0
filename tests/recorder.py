"""What a model's own code fills its parameters with, noted while it is built: the source for tests of recipes.

All of torch.nn.init, and nearly all code beside it, ends in ``Tensor.normal_`` and ``Tensor.uniform_``; the truncated
normal distribution in one function of torch, and one of timm's. Those are wrapped, and the last law written over the
whole of a tensor is kept, with its numbers as they were passed. A multiplication in place changes the law, and a copy
has that of its original. Constants need no notes: the tensor shows them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from fastinit import Constant, Initializer, Normal, Plan, TruncNormal, Uniform

__all__ = ["Recorder", "disagreements", "recording"]


class Recorder:
    """The last law of every tensor filled, by the memory it was written to."""

    def __init__(self) -> None:
        self.laws: dict[int, tuple[Initializer, Tensor]] = {}  # the tensor is kept, so that its memory is not reused
        self.inside = False

    def note(self, tensor: Tensor, law: Initializer) -> None:
        """A fill; of a part of a tensor (the row of padding) only if it is all there is."""
        if not self.inside and tensor.numel() == tensor.untyped_storage().nbytes() // tensor.element_size():
            self.laws[tensor.untyped_storage().data_ptr()] = law, tensor

    def scale(self, tensor: Tensor, factor: Any) -> None:
        """A multiplication of what was filled."""
        law = self.of(tensor)
        if law is not None and not self.inside and isinstance(factor, float | int):
            self.note(tensor, type(law)(*(number * factor for number in astuple(law))))

    def of(self, tensor: Tensor) -> Initializer | None:
        """What a tensor was filled with."""
        found = self.laws.get(tensor.untyped_storage().data_ptr())
        return found and found[0]


@contextmanager
def recording() -> Iterator[Recorder]:
    """Note what is filled within."""
    recorder = Recorder()

    def wrapped(original: Callable[..., Any], law: Callable[..., Initializer]) -> Callable[..., Any]:
        def fill(tensor: Tensor, *args: Any, generator: Any = None, **kwargs: Any) -> Any:
            recorder.note(tensor, law(*args, **kwargs))
            before, recorder.inside = recorder.inside, True
            try:
                return original(tensor, *args, generator=generator, **kwargs)
            finally:
                recorder.inside = before

        return fill

    def scaled(original: Callable[..., Any], power: int) -> Callable[..., Any]:
        def scale(tensor: Tensor, other: Any, **kwargs: Any) -> Any:
            recorder.scale(tensor, other**power if isinstance(other, float | int) else other)
            return original(tensor, other, **kwargs)

        return scale

    def copied(parameter: nn.Parameter, memo: dict[int, Any]) -> Any:
        made = original_copy(parameter, memo)
        if (law := recorder.of(parameter)) is not None:
            recorder.note(made, law)
        return made

    original_copy: Callable[..., Any] = nn.Parameter.__deepcopy__
    truncated = wrapped(nn.init._no_grad_trunc_normal_, TruncNormal)
    patches = [
        patch.object(Tensor, "normal_", wrapped(Tensor.normal_, Normal)),
        patch.object(Tensor, "uniform_", wrapped(Tensor.uniform_, lambda a=0.0, b=1.0: Uniform(a, b))),
        patch.object(Tensor, "mul_", scaled(Tensor.mul_, 1)),
        patch.object(Tensor, "div_", scaled(Tensor.div_, -1)),
        patch.object(nn.Parameter, "__deepcopy__", copied),
        patch.object(nn.init, "_no_grad_trunc_normal_", truncated),
    ]
    if (timm := sys.modules.get("timm.layers.weight_init")) is not None:
        patches.append(patch.object(timm, "_trunc_normal_", _without_generator(wrapped, timm._trunc_normal_)))
    for one in patches:
        one.start()
    try:
        yield recorder
    finally:
        for one in reversed(patches):
            one.stop()


def _without_generator(wrapped: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    def trunc_normal_(tensor: Tensor, *args: Any, generator: Any = None) -> Any:
        return original(tensor, *args)

    return wrapped(trunc_normal_, TruncNormal)  # type: ignore[no-any-return]


def disagreements(plan: Plan, recorder: Recorder, within: float = 1e-12) -> list[str]:
    """The entries of a plan for which the model's own code did something else; numbers may differ by rounding."""
    return [
        f"{entry.name}: {entry.fill} planned, {source} found"
        for entry in plan.entries
        if not _alike(entry.fill, source := recorder.of(entry.site.tensor), entry.tensor, within)
    ]


def _alike(planned: Initializer | None, source: Initializer | None, tensor: Tensor, within: float) -> bool:
    if isinstance(planned, Constant):
        return bool((tensor == torch.tensor(planned.val, dtype=tensor.dtype)).all())
    if planned is None or source is None or type(planned) is not type(source):
        return False
    pairs = zip(astuple(planned), astuple(source), strict=True)
    return all(math.isclose(a, b, rel_tol=within, abs_tol=0.0) for a, b in pairs)
