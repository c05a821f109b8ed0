"""What the project promises of whole models, each promise beside its figure in this run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from fastinit.bench.floors import Verdict
from measured import Measured
from small import Small

LIMITS: Final = {"patch": 1.5, "defer": 1.5, "recipe": 1.2}  # times the limit in fresh memory
TORCH_TO: Final = {"patch": 4.0, "defer": 4.0}
TORCH_TO_RECIPE_AGAIN: Final = 8.0
EXTRA_PERCENT: Final = 5.0  # of the parameters' bytes
SMALL: Final = 10.0  # times torch's loop, for many small parameters
FAMILY: Final = "gpt2"  # what others' code writes beyond one pass differs from model to model: no bounds on those
THREADS: Final = 2


def promises(measured: Sequence[Measured], smalls: Sequence[Small], threads: int) -> list[Verdict]:
    """Every promise of GPT-2's sizes and of many small parameters; without bounds where there are not two threads."""

    def verdict(what: str, value: float | None, unit: str, sense: str, bound: float) -> Verdict:
        return Verdict(what, threads, value, unit, sense, bound if threads == THREADS else None)

    def of(one: Measured) -> Iterator[Verdict]:
        name = one.definition.name
        for way, times in LIMITS.items():
            extra = one.extra(way)
            percent = None if extra is None else 100 * extra
            yield verdict(f"{name}: {way} against the limit", one.ratio(way, "limit"), "x", "at most", times)
            yield verdict(f"{name}: {way}, extra memory", percent, "%", "at most", EXTRA_PERCENT)
        for way, times in TORCH_TO.items():
            yield verdict(f"{name}: {way} against torch", one.ratio("torch", way), "x", "at least", times)
        again = one.ratio_again("torch", "recipe")
        yield verdict(f"{name}: recipe against torch, again", again, "x", "at least", TORCH_TO_RECIPE_AGAIN)

    of_models = [line for one in measured if one.definition.family == FAMILY for line in of(one)]
    of_small = [
        verdict(f"1,000 of 64 x 64, {one.law}: {own} against torch", one.ratio(own), "x", "at least", SMALL)
        for one in smalls
        for own in one.own
    ]
    return [*of_models, *of_small]
