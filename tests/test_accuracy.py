"""How far values are from the exact function of their words, in 40 digits.

The words are those of golden/reference.py. Exact means: Box and Muller's formula, and the inverse of the truncated
normal distribution at (W + 1/2) / 2^B. The bounds are those of docs/stream.md and of the comments in csrc/stream.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import mpmath
import pytest
import torch

import fastinit
from golden import cases
from golden.arithmetic import DOUBLE, SINGLE, Working
from golden.reference import Key, TruncNormal

INF = math.inf
KINDS = pytest.mark.parametrize(("name", "f"), [("float32", SINGLE), ("float64", DOUBLE)], ids=["float32", "float64"])

# Some elements of an ordinary key, and the first of those that hold extreme words.
SAMPLE = ((Key(4), 500), *((key, 4) for key in cases.EXTREMES))


@pytest.fixture(autouse=True)
def forty_digits() -> Iterator[None]:
    with mpmath.workdps(40):
        yield


def unit(x: float, f: Working) -> float:
    """The unit in the last place of x, 0 for 0."""
    return 2.0 ** f.format.step(x.as_integer_ratio()) if x and math.isfinite(x) else 0.0


def fill(op: str, name: str, key: Key, count: int, *parameters: float) -> list[float]:
    tensor = torch.empty(count, dtype=getattr(torch, name))
    values: list[float] = getattr(fastinit, op)(
        tensor, *parameters, generator=fastinit.Key(key.seed, key.offset)
    ).tolist()
    return values


def words(f: Working, key: Key, count: int) -> list[int]:
    return [key.word(i) if f is SINGLE else key.long_word(i) for i in range(count)]


# Box and Muller


def box_muller(f: Working, even: int, odd: int) -> tuple[Any, Any]:
    """The exact pair, for the radius and the angle as the working type rounds them."""
    u = mpmath.ldexp(f.fl(f.whole(even) + 0.5), -f.word_bits)
    r = mpmath.sqrt(-2 * mpmath.log(u))
    angle = mpmath.pi / 4 * mpmath.ldexp(f.whole(f.signed(odd * 4 % 2**f.word_bits)), 1 - f.word_bits)
    sine, cosine = mpmath.sin(angle), mpmath.cos(angle)
    if odd >> (f.word_bits - 1):
        cosine = -cosine
    return (r * sine, r * cosine) if odd >> (f.word_bits - 2) & 1 else (r * cosine, r * sine)


@KINDS
def test_normal_values_are_within_5_units_in_the_last_place(name: str, f: Working) -> None:
    for key, count in SAMPLE:
        values, w = fill("normal_", name, key, 4 * count), words(f, key, 4 * count)
        exact = [x for j in range(0, len(w), 2) for x in box_muller(f, w[j], w[j + 1])]
        for value, x in zip(values, exact, strict=True):
            assert abs(value - x) <= 5 * unit(float(x), f), (key, value, x)


@KINDS
def test_a_mean_and_a_standard_deviation_add_no_more_than_a_rounding_each(name: str, f: Working) -> None:
    standard = fill("normal_", name, Key(4), 1000)
    mean, std = f.fl(-0.7), f.fl(0.3)
    for z, value in zip(standard, fill("normal_", name, Key(4), 1000, mean, std), strict=True):
        x = mean + mpmath.mpf(z) * std
        assert abs(value - x) <= 1.5 * std * unit(z, f) + unit(float(x), f) / 2


# The truncated normal


def tail(z: Any) -> Any:
    """P(Z > z), Z standard normal."""
    return mpmath.erfc(z / mpmath.sqrt(2)) / 2


def density(z: Any) -> Any:
    return mpmath.npdf(z)


LAWS = [
    *((0.0, 1.0, 1.0, 1.001), (0.1, 0.7, -1.3, -1.29), (0.0, 1.0, -0.1, 0.13), (2.0, 0.5, 30.0, 30.001)),
    *((0.0, 1.0, -2.0, 2.0), (0.0, 0.02, -0.04, 0.03), (0.37, 2.0, -0.1, 4.3), (0.0, 1.0, -0.3, 0.3)),
    *((0.0, 1.0, 2.0, 4.0), (0.0, 1.0, -9.0, -8.0), (0.0, 1.0, 20.0, INF), (1.0, 0.01, -INF, 0.0)),
    *((0.0, 1.0, 100.0, INF), (0.0, 1.0, 5.0, 1e5), (0.0, 1.0, 1000.0, 1000.5), (0.0, 1.0, 0.0, 1e-6)),
    *((0.0, 1.0, 0.0, 1e-14), (0.0, 1e14, -1.0, 1.0), (0.0, 1.0, 0.01, 0.02), (0.0, 1.0, 40.0, 40.0004)),
    *((0.0, 1.0, -3.0, 3.0), (0.0, 1.0, 0.0, INF), (0.1, 1.0, -INF, 1.0), (0.0, 1.0, -5.0, 8.3)),
    *((0.3, 100.0, -700.0, 250.0), (0.0, 1.0, -1.0, 8.5)),
]


@KINDS
@pytest.mark.parametrize("parameters", LAWS, ids=str)
def test_truncated_normal_values_are_the_inverse_of_the_distribution(
    parameters: tuple[float, ...], name: str, f: Working
) -> None:
    """Within 1e-15 sigma in float64; in float32 within 3e-6 sigma far out and 8e-7 elsewhere.

    To that add half a unit in the last place of the value, and of the mean or the near bound, which the working type
    rounds. In a tail what counts is how far the value lies from the near bound: the error is a few units in the last
    place of that distance, and of the probability beside it. In a narrow interval it is that of the interval.
    """
    law = TruncNormal(name, parameters)
    form = law.served.form
    mean, std, a, b = map(mpmath.mpf, parameters)
    side = -1 if "reflected" in law.form else 1
    alpha, beta = sorted((side * (a - mean) / std, side * (b - mean) / std))
    at_alpha = tail(alpha)
    mass = at_alpha - (tail(beta) if beta != INF else 0)
    hazard = density(alpha) / at_alpha
    centre = law.near if form in ("narrow", "tail") else parameters[0]

    for key, count in SAMPLE:
        for word, value in zip(words(f, key, count), fill("trunc_normal_", name, key, count, *parameters), strict=True):
            if form == "central":
                word ^= 1 << (f.word_bits - 1)
            u = mpmath.ldexp(word + mpmath.mpf(0.5), -f.word_bits)
            z = side * (value - mean) / std
            # One Newton step from the value to the exact inverse: its length is the error.
            error = abs((at_alpha - tail(z) - u * mass) / density(z))
            total = error
            error -= (unit(value, f) + unit(centre, f)) / 2 / std
            if f is DOUBLE:
                assert total <= 2e-15 * max(1, abs(z))
                assert error <= 1e-15
            else:
                assert error <= (8e-7 if abs(z) <= 2 else 3e-6)
            if form in ("narrow", "tail"):
                assert error * hazard <= (1e-15 if f is DOUBLE else 2e-7) * (1 + (z - alpha) * hazard)
            if form == "narrow":
                assert error <= (2.0**-50 if f is DOUBLE else 2.0**-23) * (beta - alpha)
