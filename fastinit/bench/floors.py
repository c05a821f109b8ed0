"""``floors``: what the project promises, each promise beside the figure of this machine in this run.

The bounds hold for float32, 2**26 elements, touched pages and an AVX-512 machine.  With AVX2 alone, a rate need
only reach half of its bound; without either there is no bound on rates.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch
from torch import Tensor

import fastinit

from .device import CPU, Device
from .fills import FILLS, empty, shape_of
from .memory import peak_extra_bytes, release_freed, touch, write_limit
from .overhead import import_time, small_calls
from .report import progress
from .timing import Run, Timing, interleave, once

ELEMENTS: Final = 2**26
FRESH_BYTES: Final = 2**30
FRESH_SAMPLES: Final = 6
MIB: Final = 2.0**20
RATE_SCALE: Final = {"v4": 1.0, "v3": 0.5}  # by instruction set; others have no bound on rates


@dataclass(frozen=True)
class Verdict:
    """One promise and its figure.  ``met`` is None where nothing is promised (or nothing could be measured)."""

    promise: str
    threads: int
    value: float | None
    unit: str
    sense: str  # "at least" or "at most"
    bound: float | None

    @property
    def met(self) -> bool | None:
        """Whether the figure keeps the promise."""
        if self.bound is None or self.value is None:
            return None
        compare = operator.ge if self.sense == "at least" else operator.le
        return bool(compare(self.value, self.bound))

    def record(self) -> dict[str, object]:
        """The verdict as it stands in the JSON file."""
        return {**self.__dict__, "met": self.met}


@dataclass(frozen=True)
class Ratio:
    """A promise about the time an element takes: ``subject``'s beside ``against``'s."""

    subject: str
    against: str
    sense: str
    bounds: dict[int, float]  # by thread count

    def verdict(self, cost: Mapping[str, float], threads: int, scale: float | None = 1.0) -> Verdict:
        """``cost`` is seconds an element.  "At least" speaks of rates, "at most" of times.

        Bounds on rates are multiplied by ``scale``; where that is None there are none.
        """
        if self.sense == "at least":
            value = cost[self.against] / cost[self.subject]
        else:
            value = cost[self.subject] / cost[self.against]
            scale = 1.0
        bound = self.bounds.get(threads)
        bound = None if bound is None or scale is None else bound * scale
        return Verdict(f"{self.subject} against {self.against}", threads, value, "x", self.sense, bound)


RATIOS: Final = (
    Ratio("uniform_", "torch uniform_", "at least", {1: 8.0, 2: 14.0}),
    Ratio("normal_", "torch normal_", "at least", {1: 5.5, 2: 10.0}),
    Ratio("kaiming_normal_", "torch kaiming_normal_", "at least", {1: 5.5, 2: 10.0}),
    Ratio("trunc_normal_ [-2, 2]", "torch trunc_normal_ [-2, 2]", "at least", {1: 90.0, 2: 130.0}),
    Ratio("uniform_", "memset", "at least", {1: 0.40, 2: 0.75}),
    Ratio("normal_", "memset", "at least", {1: 0.24, 2: 0.45}),
    Ratio("trunc_normal_ [-2, 2]", "memset", "at least", {1: 0.24, 2: 0.45}),
    Ratio("trunc_normal_ [2, 4]", "normal_", "at most", {1: 2.0, 2: 2.0}),
    Ratio("trunc_normal_ [8, 9]", "normal_", "at most", {1: 2.0, 2: 2.0}),
    Ratio("normal_ transposed", "normal_", "at most", {1: 1.5}),
    Ratio("normal_ row-strided", "normal_", "at most", {1: 1.5}),
    Ratio("normal_ bfloat16", "normal_", "at most", {1: 1.1}),
)
FRESH: Final = Ratio("uniform_ on fresh memory", "torch fill_ on fresh memory", "at most", {1: 0.6, 2: 0.6})


def floors(threads: Sequence[int], isa: str) -> list[Verdict]:
    """Measures every promise at the sizes it is meant for; about two minutes."""
    steps: list[Callable[[], list[Verdict]]] = []
    for count in threads:
        steps += [partial(rates, count, isa), partial(fresh, count), partial(extra_memory, count)]
    steps += [overheads, imports]
    verdicts: list[Verdict] = []
    before = torch.get_num_threads()
    try:
        for step in progress(steps, "floors"):
            verdicts += step()
    finally:
        torch.set_num_threads(before)
    return verdicts


def rates(threads: int, isa: str, elements: int = ELEMENTS, samples: int = 7) -> list[Verdict]:
    """Times an element, of fastinit and of what it is held against, all in one round."""
    torch.set_num_threads(threads)
    side = int(elements**0.5)
    # One block twice as wide as the matrix: its first half is the matrix, its left half the strided one.
    block = touch(torch.empty(side, 2 * side))
    matrix, strided = block.view(-1)[: side * side].view(side, side), block[:, :side]
    low = touch(torch.empty(side, side, dtype=torch.bfloat16))
    with write_limit(threads) as memset, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about far bounds at every call
        runs: dict[str, Run] = {
            "memset": lambda: memset(matrix),
            "normal_ transposed": lambda: fastinit.normal_(matrix.t()),
            "normal_ row-strided": lambda: fastinit.normal_(strided),
            "normal_ bfloat16": lambda: fastinit.normal_(low),
            "trunc_normal_ [2, 4]": lambda: fastinit.trunc_normal_(matrix, 0.0, 1.0, 2.0, 4.0),
            "trunc_normal_ [8, 9]": lambda: fastinit.trunc_normal_(matrix, 0.0, 1.0, 8.0, 9.0),
        }
        for init, label in ((fastinit, ""), (torch.nn.init, "torch ")):
            runs[label + "uniform_"] = partial(init.uniform_, matrix)
            runs[label + "normal_"] = partial(init.normal_, matrix)
            runs[label + "kaiming_normal_"] = partial(init.kaiming_normal_, matrix)
            runs[label + "trunc_normal_ [-2, 2]"] = partial(init.trunc_normal_, matrix, 0.0, 1.0, -2.0, 2.0)
        timings = interleave(runs, samples=samples)
    cost = {name: timing.seconds / side**2 for name, timing in timings.items()}
    return [ratio.verdict(cost, threads, RATE_SCALE.get(isa)) for ratio in RATIOS]


def fresh(threads: int, size: int = FRESH_BYTES) -> list[Verdict]:
    """A fill of ``size`` bytes that were never touched, so that page faults are part of it."""
    torch.set_num_threads(threads)
    runs: dict[str, Callable[[Tensor], object]] = {
        FRESH.subject: fastinit.uniform_,
        FRESH.against: lambda tensor: tensor.fill_(1.0),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(FRESH_SAMPLES):
        for name, run in runs.items():
            release_freed()
            seconds[name].append(once(partial(run, torch.empty(size // 4))))
    # The first round is not counted: a virtual machine is given its memory by the host when it first touches it, which
    # costs several times the rest and would be charged to whoever comes first.
    cost = {name: Timing.of(samples[1:]).seconds for name, samples in seconds.items()}
    return [FRESH.verdict(cost, threads)]


def extra_memory(threads: int, elements: int = ELEMENTS) -> list[Verdict]:
    """The hungriest of all fills; `orthogonal_` has a suite of its own."""
    torch.set_num_threads(threads)
    log2 = elements.bit_length() - 1
    peaks: dict[str, int] = {}
    for name, fill in FILLS.items():
        if name != "orthogonal_":
            tensor = empty(shape_of(log2, fill.dims[0]), torch.float32, "contiguous")
            peak = peak_extra_bytes(partial(fill.call, fastinit), tensor)
            if peak is not None:
                peaks[name] = peak
    worst = max(peaks, key=peaks.__getitem__, default="any fill")
    value = peaks[worst] / MIB if peaks else None
    return [Verdict(f"peak extra memory, worst of {len(peaks)} fills: {worst}", threads, value, "MiB", "at most", 1.0)]


def overheads(samples: int = 21, device: Device = CPU) -> list[Verdict]:
    """Each public function on an 8 x 8 tensor beside torch's."""
    timed = small_calls(samples, device=device)
    return [
        Verdict(f"8 x 8 {name} against torch", 1, own.seconds / other.seconds, "x", "at most", 1.0)
        for name, (own, other) in timed.items()
    ]


def imports(samples: int = 5) -> list[Verdict]:
    """What importing fastinit adds to importing torch."""
    return [Verdict("import fastinit after torch", 1, import_time(samples).seconds * 1e3, "ms", "at most", 50.0)]
