"""Recipes by name, for configuration files and command lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastinit.models.rules import Recipe
from fastinit.recipes.depth import deepnorm, fixup, t_fixup
from fastinit.recipes.fields import siren
from fastinit.recipes.frameworks import flax, keras
from fastinit.recipes.language import bert, gpt2, llama, neox, olmo, olmo2, small_init, t5
from fastinit.recipes.torch_default import torch_default
from fastinit.recipes.vision import resnet, vit
from fastinit.recipes.width import mup

__all__ = ["named", "names"]

_LANGUAGE = (bert, gpt2, llama, neox, olmo, olmo2, small_init, t5)
_OTHERS = (deepnorm, fixup, flax, keras, mup, resnet, siren, t_fixup, torch_default, vit)
_RECIPES: dict[str, Callable[..., Recipe]] = {function.__name__: function for function in (*_LANGUAGE, *_OTHERS)}


def names() -> tuple[str, ...]:
    """The names of all recipes.

    Example:
        >>> import fastinit
        >>> "gpt2" in fastinit.recipes.names()
        True
    """
    return tuple(sorted(_RECIPES))


def named(recipe: str, **arguments: Any) -> Recipe:
    """A recipe by its name.

    Args:
        recipe: one of `names`.
        arguments: what its function takes.

    Raises:
        ValueError: an unknown name.
        TypeError: arguments that the recipe does not have.

    Example:
        >>> import fastinit
        >>> config = {"recipe": "gpt2", "std": 0.01}
        >>> dict(fastinit.recipes.named(**config).constants)
        {'std': 0.01}
    """
    if recipe not in _RECIPES:
        raise ValueError(f"unknown recipe {recipe!r}; known are {', '.join(names())}")
    return _RECIPES[recipe](**arguments)
