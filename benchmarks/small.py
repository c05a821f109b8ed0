"""A model of many small parameters, where what counts is the way to each fill and not the fill."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn

import fastinit
from fastinit.bench.memory import touch
from fastinit.bench.report import figure
from fastinit.bench.timing import Run, Timing, interleave

COUNT: Final = 1000
SIDE: Final = 64


@dataclass(frozen=True)
class Law:
    """One initializer, as torch's call, as a rule, and as fastinit's call over one tensor or a list."""

    torch: Callable[[Tensor], object]
    rule: fastinit.Initializer
    one: Callable[[Tensor], object]
    all: Callable[[Sequence[Tensor]], object]


LAWS: Final = {
    "normal": Law(
        lambda t: torch.nn.init.normal_(t, std=0.02),
        fastinit.Normal(std=0.02),
        lambda t: fastinit.normal_(t, std=0.02),
        lambda ts: fastinit.foreach.normal_(ts, std=0.02),
    ),
    "kaiming_uniform": Law(
        lambda t: torch.nn.init.kaiming_uniform_(t, a=5**0.5),  # what nn.Linear does
        fastinit.KaimingUniform(a=5**0.5),
        lambda t: fastinit.kaiming_uniform_(t, a=5**0.5),
        lambda ts: fastinit.foreach.kaiming_uniform_(ts, a=5**0.5),
    ),
    "trunc_normal": Law(
        lambda t: torch.nn.init.trunc_normal_(t, std=0.02, a=-0.04, b=0.04),
        fastinit.TruncNormal(std=0.02, a=-0.04, b=0.04),
        lambda t: fastinit.trunc_normal_(t, std=0.02, a=-0.04, b=0.04),
        lambda ts: fastinit.foreach.trunc_normal_(ts, std=0.02, a=-0.04, b=0.04),
    ),
}


@dataclass(frozen=True)
class Small:
    """One law's timings: ``torch``, ``recipe``, ``plan``, ``foreach`` and ``loop``."""

    law: str
    parameters: int
    timings: dict[str, Timing]

    @property
    def own(self) -> tuple[str, ...]:
        """The ways through a recipe, which is what is promised."""
        return ("recipe", "plan")

    def ratio(self, way: str) -> float:
        """How many times as long torch's loop takes."""
        return self.timings["torch"].seconds / self.timings[way].seconds

    def record(self) -> dict[str, object]:
        """The entry in the JSON file."""
        return {
            "law": self.law,
            "parameters": self.parameters,
            "shape": [SIDE, SIDE],
            "seconds": {name: timing.seconds for name, timing in self.timings.items()},
            "samples": {name: timing.samples for name, timing in self.timings.items()},
            **{f"torch_to_{name}": self.ratio(name) for name in self.timings if name != "torch"},
        }

    def row(self) -> tuple[str, ...]:
        """Its line in the table, in milliseconds."""
        times = (figure(timing.seconds * 1e3) for timing in self.timings.values())
        return (self.law, *times, *(f"{self.ratio(name):.1f}x" for name in self.own))


def small(laws: Sequence[str], threads: int, count: int = COUNT, samples: int = 9) -> list[Small]:
    """Measure ``count`` linear layers of 64 x 64 without biases, in memory that is touched."""
    torch.set_num_threads(threads)
    with torch.device("meta"):
        model = nn.ModuleList(nn.Linear(SIDE, SIDE, bias=False) for _ in range(count))
    model.to_empty(device="cpu")
    tensors = list(model.parameters())
    for tensor in tensors:
        touch(tensor)
    return [Small(name, count, _timed(LAWS[name], model, tensors, samples)) for name in laws]


def _timed(law: Law, model: nn.Module, tensors: Sequence[Tensor], samples: int) -> dict[str, Timing]:
    recipe = [fastinit.Rule(law.rule)]
    plan = fastinit.plan(model, recipe)
    runs: dict[str, Run] = {
        "torch": partial(_loop, law.torch, tensors),
        "recipe": lambda: fastinit.initialize_(model, recipe, seed=0),
        "plan": lambda: plan.fill_(seed=0),
        "foreach": partial(law.all, tensors),
        "loop": partial(_loop, law.one, tensors),
    }
    return interleave(runs, samples=samples)


def _loop(call: Callable[[Tensor], object], tensors: Sequence[Tensor]) -> None:
    for tensor in tensors:
        call(tensor)
