"""One model, made once, in a process of its own: seconds, memory, and a look at what was written.

A process that has held a model before has memory which is touched, cached by its allocator, or given back late; so
every sample comes from a new one.  They are forked from a server that has imported everything and run nothing
(starting an interpreter for each would take longer than most of what is measured).
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.context import ForkServerContext
from typing import Final, ParamSpec, TypeVar

import torch

from catalogue import Definition
from fastinit.bench.memory import peak_lift, release_freed
from fastinit.bench.timing import once
from histograms import Picture, check, pictures
from ways import FILLING, WAYS

P = ParamSpec("P")
T = TypeVar("T")
PRELOADED: Final = (
    *("fastinit", "fastinit.bench", "matplotlib.figure", "rich.table", "tqdm", "transformers"),
    *(f"transformers.models.{family}.modeling_{family}" for family in ("bert", "gpt2", "llama", "mixtral", "vit")),
)


@dataclass(frozen=True)
class Sample:
    """What one process has seen."""

    seconds: float
    """Of making the model in fresh memory."""
    again: float
    """Of filling the same memory again."""
    extra: int | None
    """Bytes by which making it lifted the process's peak beyond the model's own; None where the system does not say."""
    deviation: float | None = None
    """The farthest mean or spread of any parameter from its rule, in standard errors, if it was looked for."""
    pictures: dict[str, Picture] = field(default_factory=dict)


def sample(definition: Definition, way: str, seed: int, threads: int, look: bool) -> Sample:
    """Make a model in one of the ``WAYS``, then again; with ``look`` check and picture what each has written."""
    torch.set_num_threads(threads)
    make, again = WAYS[way]
    small = definition.smallest()
    again(small, make(small, seed), seed)()  # loads the code
    release_freed()
    made = []
    seconds, peak = peak_lift(lambda: once(lambda: made.append(make(definition, seed))))
    (model,) = made
    own = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()) if tensor.device.type != "meta")
    look = look and way in FILLING
    first = check(model, definition.recipe) if look else None
    repeated = once(again(definition, model, seed + 1))
    return Sample(
        seconds,
        repeated,
        None if peak is None else peak - own,
        None if first is None else max(first, check(model, definition.recipe)),
        pictures(model, definition.recipe) if look else {},
    )


def in_fresh_process(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a function returns (or raises) in a process that has done nothing yet.

    Raises:
        BrokenProcessPool: the process was ended from outside, as the system does where memory runs out.
    """
    with ProcessPoolExecutor(1, mp_context=_server()) as pool:
        return pool.submit(function, *args, **kwargs).result()


@cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context
