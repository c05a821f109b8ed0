"""The one stopwatch.  Rivals are timed in turn, never one after the other, and medians are compared.

A machine's speed drifts (clock, neighbours, temperature), so two figures are comparable only when their samples
are interleaved.  Everything in this package that measures a duration does it here, by the clock of its device.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

Run = Callable[[], object]

# OpenMP workers spin for about a millisecond after a parallel region, and would take a core from the next rival.
SETTLE_S: Final = 0.002
# A median of fewer samples than this is a single measurement by another name.
MIN_SAMPLES: Final = 3
MAX_CALLS: Final = 1_000_000
RETRY_S: Final = 0.2  # a first call longer than this is slow, and no interruption


@dataclass(frozen=True)
class Timing:
    """Seconds per call: the median of ``samples`` samples of ``calls`` calls each, with the fastest and slowest."""

    seconds: float
    low: float
    high: float
    samples: int
    calls: int

    @classmethod
    def of(cls, samples: list[float], calls: int = 1) -> Timing:
        """Summarises samples that are already in seconds per call."""
        return cls(statistics.median(samples), min(samples), max(samples), len(samples), calls)


class Clock(Protocol):
    """How a device is brought to the same state before every sample, and how its time is read."""

    def settle(self) -> None:
        """Comes before every sample."""

    def elapsed(self, run: Run, calls: int) -> float:
        """Seconds that so many calls take, one after the other."""


class HostClock:
    """The time of the processor that makes the calls, for what is done when a call returns."""

    def settle(self) -> None:
        """Waits until the threads of the call before have gone to sleep."""
        time.sleep(SETTLE_S)

    def elapsed(self, run: Run, calls: int) -> float:
        """Seconds that so many calls take, one after the other."""
        start = time.perf_counter()
        for _ in range(calls):
            run()
        return time.perf_counter() - start


HOST: Final = HostClock()


def once(run: Run) -> float:
    """Seconds that one call takes."""
    return HOST.elapsed(run, 1)


def interleave(
    rivals: Mapping[str, Run],
    *,
    samples: int = 7,
    sample_s: float = 0.01,
    budget_s: float = 4.0,
    clock: Clock = HOST,
) -> dict[str, Timing]:
    """Times the rivals in turn, ``samples`` rounds, and returns one :class:`Timing` for each.

    A sample lasts at least ``sample_s`` seconds: quick calls are repeated within it (0: a sample is one call).  A rival
    that has used ``budget_s`` seconds sits out the remaining rounds once it has three samples.  Every other round runs
    backwards, so that no rival always follows the same one.
    """
    calls = {name: _calibrate(run, sample_s, clock) for name, run in rivals.items()}
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    order = list(rivals)
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(max(samples, 1)):
            for name in order:
                taken = seconds[name]
                if len(taken) >= MIN_SAMPLES and sum(taken) * calls[name] > budget_s:
                    continue
                taken.append(_sample(rivals[name], calls[name], clock))
            order.reverse()
    finally:
        if collecting:
            gc.enable()
    return {name: Timing.of(seconds[name], calls[name]) for name in rivals}


def _sample(run: Run, calls: int, clock: Clock) -> float:
    clock.settle()
    if calls > 1:
        run()  # wakes the threads and warms the caches, which a call of many milliseconds does for itself
    return clock.elapsed(run, calls) / calls


def _calibrate(run: Run, sample_s: float, clock: Clock) -> int:
    """Calls that fill ``sample_s`` seconds; also the warm-up, so the first samples are not the first calls.

    Each estimate is the fastest of three: one interrupted call must not pass for a slow one, for a sample of a few
    calls would then be compared with samples of thousands.
    """
    calls, seconds = 1, clock.elapsed(run, 1)
    while True:
        if seconds < RETRY_S:
            seconds = min(seconds, clock.elapsed(run, calls), clock.elapsed(run, calls))
        if seconds >= sample_s / 2 or calls >= MAX_CALLS:
            return max(1, min(MAX_CALLS, round(calls * sample_s / max(seconds, 1e-9))))
        calls = min(MAX_CALLS, calls * max(2, min(16, int(sample_s / max(seconds, 1e-9)))))
        seconds = clock.elapsed(run, calls)
