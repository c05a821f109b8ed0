"""What the project promises of a GPU, each promise beside the figure of this card in this run.

The bounds on rates hold for Hopper cards (H100, H200), on 4 GiB; other cards get figures without bounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import torch

import fastinit

from .device import Device
from .floors import Ratio, Verdict, overheads
from .initialise import measure
from .parameters import SMALL, Model
from .report import progress
from .timing import Run, interleave

SIZE: Final = 2**32  # bytes of the buffer
HOPPER: Final = (9, 0)  # compute capability

# The cost of each is the time that all of the same buffer takes, whatever type it is taken for.
RATIOS: Final = (
    Ratio("uniform_", "memset", "at least", {1: 0.90}),
    Ratio("normal_", "memset", "at least", {1: 0.65}),
    Ratio("trunc_normal_ [-2, 2]", "memset", "at least", {1: 0.50}),
    Ratio("constant_", "memset", "at least", {1: 0.95}),
    Ratio("uniform_ bfloat16", "memset", "at least", {1: 0.75}),
    Ratio("uniform_", "torch uniform_", "at least", {1: 1.5}),
    Ratio("normal_", "torch normal_", "at least", {1: 1.8}),
    Ratio("trunc_normal_ [-2, 2]", "torch trunc_normal_ [-2, 2]", "at least", {1: 15.0}),
    Ratio("normal_ transposed", "torch normal_ transposed", "at least", {1: 3.0}),
)
AT_ONCE: Final = 20.0  # how many times torch's loop over small parameters


def gpu_floors(device: Device, capability: tuple[int, int]) -> list[Verdict]:
    """Measures every promise on a card of that compute capability."""
    scale = 1.0 if capability == HOPPER else None
    steps: list[Callable[[], list[Verdict]]] = [
        partial(rates, device, scale),
        partial(overheads, device=device),
        partial(at_once, device),
    ]
    return [verdict for step in progress(steps, "floors") for verdict in step()]


def rates(device: Device, scale: float | None, size: int = SIZE, samples: int = 15) -> list[Verdict]:
    """Times a buffer of ``size`` bytes (a power of four) that is filled in every way.

    Where there is no room for that, a quarter of it, and so on; the promises then say so and have no bounds.
    """
    side = math.isqrt(fitting(size, device.room()) // 4)
    matrix = torch.empty(side, side, device=device.name)
    half = matrix.view(torch.bfloat16)
    with device.write_limit(torch.get_num_threads()) as memset:
        runs: dict[str, Run] = {
            "memset": lambda: memset(matrix),
            "uniform_ bfloat16": lambda: fastinit.uniform_(half),
        }
        for init, label in ((fastinit, ""), (torch.nn.init, "torch ")):
            runs[label + "uniform_"] = partial(init.uniform_, matrix)
            runs[label + "normal_"] = partial(init.normal_, matrix)
            runs[label + "normal_ transposed"] = partial(init.normal_, matrix.t())
            runs[label + "trunc_normal_ [-2, 2]"] = partial(init.trunc_normal_, matrix, 0.0, 1.0, -2.0, 2.0)
            runs[label + "constant_"] = partial(init.constant_, matrix, 0.5)
        timings = interleave(runs, samples=samples, sample_s=0.0, clock=device.clock)
    cost = {name: timing.seconds for name, timing in timings.items()}
    if matrix.nbytes == size:
        return [ratio.verdict(cost, 1, scale) for ratio in RATIOS]
    verdicts = [ratio.verdict(cost, 1, None) for ratio in RATIOS]
    return [replace(verdict, promise=f"{verdict.promise}, {matrix.nbytes} bytes") for verdict in verdicts]


def fitting(size: int, room: int | None) -> int:
    """``size``, or the largest quarter of a quarter of it that leaves room for torch's trunc_normal_.

    Its temporaries take more than four times the tensor.
    """
    while room is not None and size > 4 and 6 * size > room:
        size //= 4
    return size


def at_once(device: Device, models: Sequence[Model] = (SMALL,), samples: int = 11) -> list[Verdict]:
    """Models of many small parameters, in one call against torch's loop."""
    return [
        Verdict(
            f"{model.name} in one call against torch's loop",
            1,
            measure(model, device, samples).ratio("torch loop"),
            "x",
            "at least",
            AT_ONCE,
        )
        for model in models
    ]
