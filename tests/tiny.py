"""A small language model in shape, and a recipe for it: what the tests of whole models fill."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fastinit import Normal, Ones, Rule, Uniform, Zeros

RULES = [
    Rule(Uniform(-0.5, 0.5), module=nn.Embedding),
    Rule(Normal(std="0.02 / sqrt(2 * layers)"), name="*.out.weight", optional=True),
    Rule(Ones(), module="*Norm", param="weight", optional=True),
    Rule(Normal(std=0.02), param="weight", optional=True),
    Rule(Zeros(), param="bias", optional=True),
]


class Block(nn.Module):
    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.norm, self.up, self.out = nn.LayerNorm(width), nn.Linear(width, 32), nn.Linear(32, width)


class Tiny(nn.Module):
    """A language model in shape only: blocks, and an output head tied to the embedding."""

    def __init__(self, blocks: int = 3, *, tied: bool = True) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 16, padding_idx=3)
        self.h: Any = nn.ModuleList(Block() for _ in range(blocks))
        self.head = nn.Linear(16, 50, bias=False)
        if tied:
            self.head.weight = self.embed.weight


def on_meta(**arguments: Any) -> Tiny:
    with torch.device("meta"):
        return Tiny(**arguments)


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name
