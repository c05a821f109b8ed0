"""What a recipe plans for a model, compared with laws that are written down."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from torch import nn

import fastinit
from fastinit import Constant, Initializer, Normal, Recipe, TruncNormal, Uniform

__all__ = ["ONE", "ZERO", "D", "H", "V", "cut", "fills", "lecun", "same", "xavier", "xavier_uniform"]

D, H, V = 8, 24, 12  # width, width of the MLP, vocabulary


def fills(model: nn.Module, recipe: Recipe) -> dict[str, Initializer | None]:
    """What the recipe plans, by name."""
    return {entry.name: entry.fill for entry in fastinit.plan(model, recipe).entries}


def same(found: Mapping[str, Initializer | None], expected: Mapping[str, Initializer]) -> None:
    """Require the same laws with the same numbers, up to rounding."""
    assert set(found) == set(expected)
    for name, law in expected.items():
        fill = found[name]
        assert type(fill) is type(law), name
        given, wanted = vars(fill), vars(law)
        assert {k: pytest.approx(v, rel=1e-12, abs=0.0) for k, v in wanted.items()} == given, name


def xavier(gain: float, fan_in: int, fan_out: int) -> Normal:
    """Glorot and Bengio 2010, eq. 12."""
    return Normal(0.0, gain * math.sqrt(2.0 / (fan_in + fan_out)))


def xavier_uniform(gain: float, fan_in: int, fan_out: int) -> Uniform:
    """Glorot and Bengio 2010, eq. 16."""
    bound = gain * math.sqrt(6.0 / (fan_in + fan_out))
    return Uniform(-bound, bound)


def cut(std: float, at: float) -> TruncNormal:
    """A normal distribution cut at so many standard deviations."""
    return TruncNormal(0.0, std, -at * std, at * std)


ZERO, ONE = Constant(0.0), Constant(1.0)


def lecun(fan_in: int) -> TruncNormal:
    """JAX's: variance 1 / fan_in after a cut at two standard deviations."""
    kept = 1 - 2 * 2 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2))
    return cut(1 / math.sqrt(fan_in * kept), 2)
