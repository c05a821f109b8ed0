"""Rules that several recipes share."""

from __future__ import annotations

from typing import Any

from torch import nn

from fastinit.models.initializer import Initializer
from fastinit.models.initializers import Ones, Zeros
from fastinit.models.rules import Rule
from fastinit.recipes.vocabulary import LINEAR, NORMS, OFFSET_NORMS

__all__ = ["EXPERTS", "biases", "experts", "fused", "norms", "rule"]

EXPERTS = ("*Experts", "*Router")
"""Stacked experts of transformers, and what chooses among them."""


def rule(init: Initializer, **selectors: Any) -> Rule:
    """A rule of a named recipe: models need not have what it is for."""
    return Rule(init, optional=True, **selectors)


def norms() -> tuple[Rule, ...]:
    """Every norm is the identity at first."""
    return (
        rule(Zeros(), module=OFFSET_NORMS, param="weight"),
        rule(Ones(), module=NORMS, param="weight"),
        rule(Zeros(), module=NORMS, param="bias"),
    )


def biases(*more: str | type[nn.Module]) -> Rule:
    """Zero biases: of matrices, and of more kinds of modules."""
    return rule(Zeros(), module=(*LINEAR, *more), param="bias")


def experts(init: Initializer) -> tuple[Rule, ...]:
    """The matrices of stacked experts, which are parameters without a module of their own, and of their router."""
    return (
        rule(init, module=EXPERTS, param=("gate_up_proj", "up_proj", "gate_proj", "down_proj", "weight")),
        rule(Zeros(), module="*Experts", param="*_bias"),
    )


def fused(init: Initializer) -> tuple[Rule, ...]:
    """The projections that `nn.MultiheadAttention` holds without modules of their own, each with its own fans."""
    return (
        rule(init, module=nn.MultiheadAttention, param="*_proj_weight"),
        rule(Zeros(), module=nn.MultiheadAttention, param="in_proj_bias"),
    )
