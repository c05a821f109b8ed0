"""The one stopwatch.  Rivals are timed in turn, never one after the other, and medians are compared.

A machine's speed drifts (clock, neighbours, temperature), so two figures are comparable only when their samples
are interleaved.  Everything in this package that measures a duration does it here.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

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


def once(run: Run) -> float:
    """Seconds that one call takes."""
    return _batch(run, 1)


def interleave(
    rivals: Mapping[str, Run], *, samples: int = 7, sample_s: float = 0.01, budget_s: float = 4.0
) -> dict[str, Timing]:
    """Times the rivals in turn, ``samples`` rounds, and returns one :class:`Timing` for each.

    A sample lasts at least ``sample_s`` seconds: quick calls are repeated within it.  A rival that has used
    ``budget_s`` seconds sits out the remaining rounds once it has three samples.  Every other round runs
    backwards, so that no rival always follows the same one.
    """
    calls = {name: _calibrate(run, sample_s) for name, run in rivals.items()}
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
                taken.append(_sample(rivals[name], calls[name]))
            order.reverse()
    finally:
        if collecting:
            gc.enable()
    return {name: Timing.of(seconds[name], calls[name]) for name in rivals}


def _sample(run: Run, calls: int) -> float:
    time.sleep(SETTLE_S)
    if calls > 1:
        run()  # wakes the threads and warms the caches, which a call of many milliseconds does for itself
    return _batch(run, calls) / calls


def _batch(run: Run, calls: int) -> float:
    """Seconds that so many calls take."""
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return time.perf_counter() - start


def _calibrate(run: Run, sample_s: float) -> int:
    """Calls that fill ``sample_s`` seconds; also the warm-up, so the first samples are not the first calls.

    Each estimate is the fastest of three: one interrupted call must not pass for a slow one, for a sample of a few
    calls would then be compared with samples of thousands.
    """
    calls, seconds = 1, once(run)
    while True:
        if seconds < RETRY_S:
            seconds = min(seconds, _batch(run, calls), _batch(run, calls))
        if seconds >= sample_s / 2 or calls >= MAX_CALLS:
            return max(1, min(MAX_CALLS, round(calls * sample_s / max(seconds, 1e-9))))
        calls = min(MAX_CALLS, calls * max(2, min(16, int(sample_s / max(seconds, 1e-9)))))
        seconds = _batch(run, calls)
