"""Whether the losses of two groups of training runs agree within what the seeds alone make of them."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from scipy.stats import t as student
from scipy.stats import ttest_ind
from torch import Tensor

LEVEL: Final = 0.01  # of both tests: how often a group that is no different is called so
POWER: Final = 0.9  # with which the detectable difference is detected
SMOOTH: Final = 10  # steps of a curve that are averaged before curves are compared


@dataclass(frozen=True)
class Agreement:
    """One group of runs beside the runs from torch's initialisation."""

    difference: float
    """Of the mean final losses, in nats a byte."""
    interval: tuple[float, float]
    """What the difference may be: Welch's confidence interval at ``1 - LEVEL``."""
    p_final: float
    """Of Welch's test that the mean final losses are equal."""
    p_curve: float
    """Of a permutation test that the whole curves come from one distribution."""
    detectable: float
    """The difference of final losses that Welch's test would have found with probability ``POWER``."""

    @property
    def agrees(self) -> bool:
        """Whether neither test tells the groups apart."""
        return min(self.p_final, self.p_curve) > LEVEL

    def record(self) -> dict[str, object]:
        """As it stands in the JSON file."""
        return {**self.__dict__, "interval": list(self.interval), "level": LEVEL, "agrees": self.agrees}


def compare(finals: Sequence[float], curves: Tensor, others: Sequence[float], other_curves: Tensor) -> Agreement:
    """Compare a group with another, of as many runs or not.

    Args:
        finals: the final losses of the first group, at least two.
        curves: its losses by step, of shape (runs, steps).
        others: the same of the group it is compared with.
        other_curves: the same.
    """
    difference = statistics.fmean(finals) - statistics.fmean(others)
    parts = [statistics.variance(group) / len(group) for group in (finals, others)]
    error = math.sqrt(sum(parts))
    # Welch's degrees of freedom (Biometrika 34, 1947).
    freedom = sum(parts) ** 2 / sum(p * p / (len(g) - 1) for p, g in zip(parts, (finals, others), strict=True))
    reach = float(student.ppf(1 - LEVEL / 2, freedom)) * error
    return Agreement(
        difference,
        (difference - reach, difference + reach),
        float(ttest_ind(finals, others, equal_var=False).pvalue),
        permutation(curves, other_curves),
        reach + float(student.ppf(POWER, freedom)) * error,
    )


def permutation(curves: Tensor, others: Tensor) -> float:
    """The exact permutation test of two groups of curves.

    The statistic is the largest distance of the mean curves over all steps, in standard deviations of the pooled runs
    at each.  Every division of the runs into groups of these sizes is as likely where the groups are no different, so
    the p-value is the share of divisions that lie at least as far apart as the one that was observed.

    Args:
        curves: losses by step, of shape (runs, steps).
        others: the same of the other group.
    """
    runs = _smooth(torch.cat([curves, others]).double())
    scaled = (runs - runs.mean(0)) / runs.std(0)
    count, size = len(runs), len(curves)
    members = torch.tensor(list(itertools.combinations(range(count), size)))  # the first is the observed division
    inside = torch.zeros(len(members), count, dtype=torch.float64).scatter_(1, members, 1.0)
    apart = (inside @ scaled / size - (1 - inside) @ scaled / (count - size)).abs().amax(1)
    return float((apart >= apart[0] * (1 - 1e-9)).double().mean())


def _smooth(curves: Tensor) -> Tensor:
    """Means over ``SMOOTH`` steps each; a shorter rest at the end is left out."""
    width = min(SMOOTH, curves.shape[1])
    steps = curves.shape[1] // width * width
    return curves[:, :steps].reshape(len(curves), -1, width).mean(2)
