"""A scale by depth, and what to call it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["FAR", "Trend", "trend"]

FAR = 100.0
"""From the first block to the last a scale may change by so much before it is called vanishing or exploding. A residual
stream grows by about the square root of the depth, which is less; a factor of 0.8 a layer is more after 21 layers."""


@dataclass(frozen=True)
class Trend:
    """How a scale goes from block to block, in the direction in which it is computed."""

    factor: float
    """By which it changes a block: a straight line through the logarithms. NaN for fewer than two blocks."""
    total: float
    """``factor`` over all blocks."""
    verdict: str
    """"steady", "vanishing", "exploding", "non-finite", or "unknown" where there are fewer than two."""


def trend(scales: Sequence[float], non_finite: bool = False) -> Trend:
    """The trend of positive numbers in order.

    Args:
        scales: root mean squares; zeros are what vanishes.
        non_finite: whether there were infinities or NaNs among the numbers behind them.

    Example:
        >>> found = trend([1.0, 0.5, 0.25, 0.125])
        >>> round(found.factor, 6), round(found.total, 6), found.verdict
        (0.5, 0.125, 'steady')
        >>> trend([0.5**i for i in range(20)]).verdict
        'vanishing'
    """
    if non_finite or any(math.isnan(s) for s in scales):
        return Trend(math.nan, math.nan, "non-finite")
    n = len(scales)
    if n < 2:
        return Trend(math.nan, math.nan, "unknown")
    if min(scales) == 0.0:
        return Trend(0.0, 0.0, "vanishing")
    logs = [math.log(s) for s in scales]
    middle, mean = (n - 1) / 2, sum(logs) / n
    slope = sum((i - middle) * (y - mean) for i, y in enumerate(logs)) / sum((i - middle) ** 2 for i in range(n))
    total = slope * (n - 1)
    far = math.log(FAR)
    verdict = "exploding" if total > far else "vanishing" if total < -far else "steady"
    # A float holds what a trend may exceed.
    return Trend(math.exp(min(slope, 700.0)), math.exp(min(total, 700.0)), verdict)
