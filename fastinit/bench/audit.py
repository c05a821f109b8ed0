"""``audit``: reading every parameter of a model and judging it, beside what merely reading the same memory takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn

import fastinit
from fastinit.auditing.statistics import statistics

from .floors import Verdict
from .memory import available_bytes, read_limit
from .parameters import GPT2, GPT2_XL, Model
from .report import progress
from .timing import Run, Timing, interleave

MODELS: Final = {"small": GPT2, "xl": GPT2_XL}
SHARE: Final = 0.5
"""Of the rate of the fastest reader, on two threads."""
AUDIT: Final = "audit against its recipe"
PLAIN: Final = "audit without a recipe"
READERS: Final = ("memcmp", "torch amax", "statistics")


@dataclass(frozen=True)
class Audited:
    """A model on so many threads: the audits, and what reads the same memory and judges nothing."""

    model: Model
    threads: int
    timings: dict[str, Timing]

    @property
    def limit(self) -> float:
        """Seconds that the fastest reader takes."""
        return min(self.timings[name].seconds for name in READERS)

    def share(self, name: str) -> float:
        """Its rate as a share of the fastest reader's."""
        return self.limit / self.timings[name].seconds

    def record(self) -> dict[str, object]:
        """As it stands in the JSON file."""
        return {
            "model": self.model.name,
            "elements": self.model.elements,
            "bytes": self.model.size,
            "threads": self.threads,
            "seconds": {name: timing.seconds for name, timing in self.timings.items()},
            "samples": {name: timing.samples for name, timing in self.timings.items()},
            "share_of_fastest_reader": {name: self.share(name) for name in (AUDIT, PLAIN)},
        }


def no_room(name: str) -> str | None:
    """Why the model cannot be audited here, or None."""
    available, needed = available_bytes(), MODELS[name].size
    if available is None or needed + 2**30 < available:
        return None
    return f"{MODELS[name].name} needs {needed / 2**30:.3g} GiB; try --model small"


def build(model: Model) -> tuple[nn.Module, fastinit.Recipe, Tensor]:
    """The parameters as a module, their rules as a recipe, and the one block of memory that they lie in, filled."""
    block = torch.empty(model.elements, dtype=model.dtype)
    sizes = [torch.Size(parameter.shape).numel() for parameter in model.parameters]
    module = nn.Module()
    names: dict[fastinit.Initializer, list[str]] = defaultdict(list)
    for i, (parameter, part) in enumerate(zip(model.parameters, torch.split(block, sizes), strict=True)):
        name = f"parameter_{i}"
        module.register_parameter(name, nn.Parameter(part.view(parameter.shape), requires_grad=False))
        constant = parameter.std is None
        law = fastinit.Constant(parameter.constant) if constant else fastinit.Normal(std=parameter.std or 0.0)
        names[law].append(name)
    recipe = fastinit.Recipe(tuple(fastinit.Rule(law, name=tuple(own)) for law, own in names.items()))
    fastinit.initialize_(module, recipe, seed=0)
    return module, recipe, block


def audits(name: str, threads: Sequence[int], samples: int = 7) -> list[Audited]:
    """Measures one model on each number of threads.

    Raises:
        RuntimeError: the audit flagged what was written as declared.
    """
    model = MODELS[name]
    module, recipe, block = build(model)
    fastinit.audit(module, recipe).raise_if_flagged()
    results: list[Audited] = []
    before = torch.get_num_threads()
    try:
        for count in progress(threads, "audit"):
            torch.set_num_threads(count)
            with read_limit(count) as read:
                runs: dict[str, Run] = {
                    AUDIT: partial(fastinit.audit, module, recipe),
                    PLAIN: partial(fastinit.audit, module),
                    "memcmp": partial(read, block),
                    "torch amax": partial(torch.amax, block),
                    "statistics": partial(statistics, block),
                }
                results.append(Audited(model, count, interleave(runs, samples=samples, budget_s=30.0)))
    finally:
        torch.set_num_threads(before)
    return results


def verdicts(results: Sequence[Audited]) -> list[Verdict]:
    """The promise is about two threads and GPT-2 XL; the rest is for the record."""
    return [
        Verdict(
            f"{name}, {result.model.name}, of the fastest reader's rate",
            result.threads,
            result.share(name),
            "x",
            "at least",
            SHARE if result.threads == 2 and result.model is GPT2_XL and name == AUDIT else None,
        )
        for result in results
        for name in (AUDIT, PLAIN)
    ]
