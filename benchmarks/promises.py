"""What the project promises of whole models, each promise beside its figure in this run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from fastinit.bench.floors import Verdict
from measured import Measured
from small import Small

LIMITS: Final = {"patch": 1.5, "defer": 1.5, "recipe": 1.2}  # times the limit in fresh memory, for the GPT-2 family
TORCH_TO: Final = {"patch": 4.0, "defer": 4.0}
TORCH_TO_RECIPE_AGAIN: Final = 8.0
EXTRA: Final = 0.05  # of the parameters' bytes
SMALL: Final = 10.0  # times torch's loop, for many small parameters


def promises(measured: Sequence[Measured], smalls: Sequence[Small], threads: int) -> list[Verdict]:
    """Every promise and its figure; they are made for two threads, and others get figures without bounds.

    The limit binds GPT-2 alone: what other models write beyond one pass is a matter of their code.
    """
    bound = threads == 2

    def verdict(what: str, value: float | None, unit: str, sense: str, floor: float | None) -> Verdict:
        return Verdict(what, threads, value, unit, sense, floor if bound else None)

    def of(one: Measured) -> Iterator[Verdict]:
        name, gpt2 = one.definition.name, one.definition.family == "gpt2"
        for way, times in LIMITS.items():
            ratio = one.ratio(way, "limit")
            yield verdict(f"{name}: {way} against the limit", ratio, "x", "at most", times if gpt2 else None)
            extra = one.extra(way)
            yield verdict(
                f"{name}: {way}, extra memory", None if extra is None else extra * 100, "%", "at most", EXTRA * 100
            )
        for way, times in TORCH_TO.items():
            yield verdict(f"{name}: {way} against torch", one.ratio("torch", way), "x", "at least", times)
        again = one.ratio_again("torch", "recipe")
        yield verdict(f"{name}: recipe against torch, again", again, "x", "at least", TORCH_TO_RECIPE_AGAIN)

    of_models = [line for one in measured for line in of(one)]
    of_small = [
        verdict(f"1,000 of 64 x 64, {one.law}: {own} against torch", one.ratio(own), "x", "at least", SMALL)
        for one in smalls
        for own in one.own
    ]
    return [*of_models, *of_small]
