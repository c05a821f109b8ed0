"""The ways in which a model comes into being: what is timed against what."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

import fastinit
from catalogue import Definition
from fastinit.bench.timing import Run

Make = Callable[[Definition, int], PreTrainedModel]
Again = Callable[[Definition, PreTrainedModel, int], Run]


def by_torch(definition: Definition, seed: int) -> PreTrainedModel:
    """The plain constructor."""
    torch.manual_seed(seed)
    return definition.build()


def by_patch(definition: Definition, seed: int) -> PreTrainedModel:
    """The same call, with torch's fills carried out by fastinit."""
    torch.manual_seed(seed)
    with fastinit.patch():
        return definition.build()


def by_defer(definition: Definition, seed: int) -> PreTrainedModel:
    """The same, with fills put off: those that would be written over are never done."""
    torch.manual_seed(seed)
    with fastinit.patch(defer=True):
        return definition.build()


def by_recipe(definition: Definition, seed: int) -> PreTrainedModel:
    """The shapes alone, then every parameter allocated and filled once."""
    model = definition.on_meta()
    fastinit.initialize_(model, definition.recipe, seed=seed, device="cpu")
    return model


def by_zeros(definition: Definition, seed: int) -> PreTrainedModel:
    """The limit: the shapes alone, then every parameter allocated and touched once, by torch's ``zero_``."""
    model = definition.on_meta()
    made: dict[nn.Parameter, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            if parameter not in made:
                memory = torch.empty_like(parameter, device="cpu", requires_grad=False)
                made[parameter] = nn.Parameter(memory.zero_())
            setattr(module, name, made[parameter])
    return model


def torch_again(definition: Definition, model: PreTrainedModel, seed: int) -> Run:
    """The same rules by torch.nn.init: each parameter once, its numbers worked out beforehand."""
    plan = fastinit.plan(model, definition.recipe, skip=False)
    calls = [partial(in_torch(entry.fill), entry.tensor) for entry in (*plan.entries, *plan.overlays)]

    def run() -> None:
        torch.manual_seed(seed)
        for call in calls:
            call()

    return run


def in_torch(fill: fastinit.Initializer | None) -> Callable[[Tensor], object]:
    """The function of torch.nn.init that a resolved initializer stands for."""
    init = torch.nn.init
    match fill:
        case fastinit.Normal(mean, std):
            return lambda tensor: init.normal_(tensor, mean, std)  # type: ignore[arg-type]
        case fastinit.TruncNormal(mean, std, a, b):
            return lambda tensor: init.trunc_normal_(tensor, mean, std, a, b)  # type: ignore[arg-type]
        case fastinit.Constant(val):
            return lambda tensor: init.constant_(tensor, val)  # type: ignore[arg-type]
    raise TypeError(f"torch.nn.init has no function for {fill!r}")


def patch_again(definition: Definition, model: PreTrainedModel, seed: int) -> Run:
    """The same calls under the patch."""
    return _within(fastinit.patch(), torch_again(definition, model, seed))


def defer_again(definition: Definition, model: PreTrainedModel, seed: int) -> Run:
    """The same calls under the patch that puts them off."""
    return _within(fastinit.patch(defer=True), torch_again(definition, model, seed))


def _within(scope: AbstractContextManager[object], calls: Run) -> Run:
    def run() -> None:
        with scope:
            calls()

    return run


def recipe_again(definition: Definition, model: PreTrainedModel, seed: int) -> Run:
    """The recipe, with all that it has to work out."""
    return lambda: fastinit.initialize_(model, definition.recipe, seed=seed, skip=False)


def zeros_again(definition: Definition, model: PreTrainedModel, seed: int) -> Run:
    """The limit in that memory."""

    @torch.no_grad()
    def run() -> None:
        for parameter in model.parameters():
            parameter.zero_()

    return run


# How a model is made in fresh memory, and what fills the same memory again.
WAYS: Final[dict[str, tuple[Make, Again]]] = {
    "torch": (by_torch, torch_again),
    "patch": (by_patch, patch_again),
    "defer": (by_defer, defer_again),
    "recipe": (by_recipe, recipe_again),
    "limit": (by_zeros, zeros_again),
}
FILLING: Final = ("torch", "patch", "defer", "recipe")  # those whose weights are worth looking at
OWN: Final = ("patch", "defer", "recipe")  # fastinit's
