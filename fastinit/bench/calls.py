"""What a call costs when there is little to fill: in a stream of calls, and replayed from a CUDA graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import torch

import fastinit

from .device import Device
from .fills import FILLS, shape_of
from .report import progress
from .timing import Run, Timing, interleave

OPS: Final = ("uniform_", "normal_", "trunc_normal_ [-2, 2]", "constant_", "kaiming_normal_")
SIZES: Final = (6, 10, 14, 18, 20)
CALLS_A_GRAPH: Final = 100
# Since torch 2.12 its trunc_normal_ asks the device after every round whether it is done, which no graph can hold.
TORCH_ASKS: Final = tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 12)


@dataclass(frozen=True)
class Calls:
    """Seconds a call of one op at one size: of ``fastinit``, ``torch`` and ``memset``, each also with `` in graph``."""

    op: str
    log2: int
    timings: dict[str, Timing]

    def ratio(self, where: str = "") -> float | None:
        """How many times as long torch's call takes; ``where`` may be " in graph"."""
        if f"torch{where}" not in self.timings:
            return None
        return self.timings[f"torch{where}"].seconds / self.timings[f"fastinit{where}"].seconds

    def record(self) -> dict[str, object]:
        """The figures as they stand in the JSON file."""
        return {
            "op": self.op,
            "elements": 2**self.log2,
            "seconds": {name: timing.seconds for name, timing in self.timings.items()},
            "samples": {name: timing.samples for name, timing in self.timings.items()},
            "ratio_to_torch": self.ratio(),
            "ratio_to_torch_in_graph": self.ratio(" in graph"),
        }


def calls(ops: Sequence[str], sizes: Sequence[int], device: Device, samples: int = 11) -> list[Calls]:
    """Measures float32 tensors of 2**n elements, for each n in ``sizes``."""
    pairs = [(op, log2) for op in ops for log2 in sizes]
    return [measure(op, log2, device, samples) for op, log2 in progress(pairs, "calls")]


def measure(op: str, log2: int, device: Device, samples: int = 11, sample_s: float = 0.005) -> Calls:
    """One op at one size: each rival's calls one after the other, and as many of them replayed from a graph."""
    fill = FILLS[op]
    tensor = torch.empty(shape_of(log2, fill.dims[0]), device=device.name)
    with device.write_limit(1) as memset:
        eager: dict[str, Run] = {
            "fastinit": partial(fill.call, fastinit, tensor),
            "torch": partial(fill.call, torch.nn.init, tensor),
            "memset": partial(memset, tensor),
        }
        timings = interleave(eager, samples=samples, sample_s=sample_s, clock=device.wall)
        graphs = {
            f"{name} in graph": device.recorded(run, CALLS_A_GRAPH)
            for name, run in eager.items()
            if not (name == "torch" and op.startswith("trunc_normal_") and TORCH_ASKS)
        }
        replayed = interleave(graphs, samples=samples, sample_s=sample_s, clock=device.wall)
    return Calls(op, log2, timings | {name: a_call(timing) for name, timing in replayed.items()})


def a_call(timing: Timing) -> Timing:
    """The timing of one call, from that of a graph of them."""
    return replace(
        timing,
        seconds=timing.seconds / CALLS_A_GRAPH,
        low=timing.low / CALLS_A_GRAPH,
        high=timing.high / CALLS_A_GRAPH,
        calls=timing.calls * CALLS_A_GRAPH,
    )
