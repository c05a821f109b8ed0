"""What can be wrong with a parameter, and the tests that say so.

The three statistical tests use bounds that hold for any number of elements, not limits for many: Chernoff's for the
mean and the standard deviation (which hold for the normal distribution and for symmetric ones that are flatter, as the
uniform is), and Massart's for the Kolmogorov-Smirnov distance ("The tight constant in the Dvoretzky-Kiefer-Wolfowitz
inequality", 1990). So a stated level is an upper bound on the probability of a false alarm. From a thousand elements on
the spread of a sum of squares follows from the law's fourth moment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastinit.auditing.declared import Declared
from fastinit.auditing.statistics import Statistics

__all__ = ["HUGE", "Flag", "against", "tests", "without"]

HUGE = 1e4
"""No initialisation writes such a weight; memory that was never written often holds one."""

_MANY = 1000  # elements from which on the spread of a sum of squares is that of a normal number
# A skewed law's mean has a heavier tail than the bound allows for, as long as there are few elements; then its
# distribution is judged alone, by a test that holds for all laws.
_SKEWED, _MANY_OF_SKEWED = 0.05, 10_000


@dataclass(frozen=True)
class Flag:
    """Something that is wrong."""

    kind: str
    """One word: "meta", "empty", "non-finite", "huge", "constant", "dead", "mean", "std", "distribution", "bounds",
    "values", "seed", "duplicate" or "stream"."""
    message: str
    """A sentence."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


def tests(declared: Declared | None) -> int:
    """How many statistical tests `against` makes, at most."""
    if declared is None or not declared.random or math.isnan(declared.std) or declared.std == 0.0:
        return 0
    return 2 if declared.below is None else 3


def against(found: Statistics, declared: Declared, distance: float | None, level: float) -> list[Flag]:
    """What contradicts the declaration; each test raises a false alarm with a probability of at most ``level``."""
    n = found.finite
    if n == 0:
        return []
    if declared.std == 0.0:
        off = max(abs(found.min - declared.mean), abs(found.max - declared.mean))
        if off <= declared.mean_slack:
            return []
        return [Flag("values", f"{declared.mean:.6g} was declared, and values lie in {_range(found)}")]
    flags = []
    if found.min < declared.low or found.max > declared.high:
        flags.append(Flag("bounds", f"values in {_range(found)} leave [{declared.low:.6g}, {declared.high:.6g}]"))
    if not tests(declared):
        return flags
    if found.squares == 0.0 and n > 1:
        return [*flags, Flag("constant", f"all values are {found.mean:.6g} where a random law was declared")]

    limit = math.log(level / 2.0)
    if abs(declared.skewness) <= _SKEWED or n >= _MANY_OF_SKEWED:
        flags += _moments(found, declared, limit)
    if distance is not None and -2.0 * n * distance * distance < limit:
        ordinary = math.sqrt(-limit / (2.0 * n))
        message = f"the distance from the declared law is {distance:.2g}, and chance explains {ordinary:.2g} at most"
        flags.append(Flag("distribution", message))
    return flags


def _moments(found: Statistics, declared: Declared, limit: float) -> list[Flag]:
    """The tests of mean and standard deviation; ``limit`` is the logarithm of half of the level."""
    flags = []
    n = found.finite
    error = declared.std / math.sqrt(n)
    z = max(abs(found.mean - declared.mean) - declared.mean_slack, 0.0) / error
    if -z * z / 2.0 < limit:
        flags.append(
            Flag("mean", f"{found.mean:.4g} where {declared.mean:.4g} was declared: {z:.1f} standard errors off")
        )
    spread = math.sqrt(found.squares / n + (found.mean - declared.mean) ** 2)
    nearest = min(max(spread, declared.std - declared.std_slack), declared.std + declared.std_slack)
    ratio = (spread / nearest) ** 2 if nearest > 0.0 else math.inf
    freedom = _freedom(found, declared)
    if ratio == 0.0 or -freedom / 2.0 * (ratio - 1.0 - math.log(ratio)) < limit:
        errors = abs(spread / declared.std - 1.0) * math.sqrt(2.0 * freedom)
        message = f"{found.std:.4g} where {declared.std:.4g} was declared: {errors:.1f} standard errors off"
        flags.append(Flag("std", message))
    return flags


def _freedom(found: Statistics, declared: Declared) -> float:
    """The degrees of freedom of the chi-squared law whose spread is that of the mean square."""
    n = found.finite
    # Where there is no density there may be zeros among normal numbers, which make the square more variable.
    kurtosis = declared.kurtosis or 3.0 / max(1.0 - found.zeros / n, 1.0 / n)
    freedom = 2.0 * n / (kurtosis - 1.0)
    return freedom if n >= _MANY else min(freedom, float(n))


def without(found: Statistics, dims: int) -> list[Flag]:
    """What is wrong whatever was meant: nothing was declared."""
    flags = []
    if found.finite and max(-found.min, found.max) > HUGE:
        flags.append(Flag("huge", f"values in {_range(found)}: memory that was never written looks like this"))
    if dims >= 2 and found.numel > 1 and found.finite == found.numel and found.squares == 0.0:
        flags.append(Flag("constant", f"all values of this weight are {found.mean:.6g}"))
    return flags


def non_finite(found: Statistics) -> list[Flag]:
    """NaNs and infinities."""
    kinds = {"NaN": found.nan, "inf": found.inf, "-inf": found.minus_inf}
    parts = [f"{count:,} {name}" for name, count in kinds.items() if count]
    return [Flag("non-finite", f"{', '.join(parts)} among {found.numel:,} values")] if parts else []


def _range(found: Statistics) -> str:
    return f"[{found.min:.6g}, {found.max:.6g}]"
