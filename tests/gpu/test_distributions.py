"""What a GPU writes has the distribution that was asked for, measured on the device over tens of millions of values.

The values are the CPU's, whose distributions tests/test_distributions.py examines; this is the independent look at the
device's own output, from its default generator, that would notice if both were compared wrongly. Seeds are fixed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import fastinit
from gpu.device import DEVICE

pytestmark = pytest.mark.gpu

COUNT = 2**26 if DEVICE.type == "cuda" else 2**20
# Kolmogorov's statistic, times the root of the number of values, is beyond this once in 220,000.
KOLMOGOROV = 2.55


def cdf(z: Tensor) -> Tensor:
    """Of the standard normal, in double precision."""
    below: Tensor = torch.special.ndtr(z.double())
    return below


def probability(z: float) -> float:
    """That a standard normal value is below z."""
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def distance(values: Tensor, distribution: Callable[[Tensor], Tensor]) -> float:
    """Kolmogorov's: the greatest difference between the values' distribution and the declared one, scaled."""
    below = distribution(values.flatten().sort().values)
    steps = torch.arange(values.numel() + 1, dtype=torch.float64, device=values.device) / values.numel()
    furthest = torch.maximum((steps[1:] - below).max(), (below - steps[:-1]).max())
    return float(furthest) * math.sqrt(values.numel())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_uniform(dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    values = fastinit.uniform_(torch.empty(COUNT, dtype=dtype, device=DEVICE), -1.0, 3.0)
    assert bool(((values >= -1.0) & (values < 3.0)).all())
    assert distance(values, lambda x: (x.double() + 1.0) / 4.0) < KOLMOGOROV


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_normal(dtype: torch.dtype) -> None:
    torch.manual_seed(2)
    z = (fastinit.normal_(torch.empty(COUNT, dtype=dtype, device=DEVICE), 0.5, 2.0).double() - 0.5) / 2.0
    # Moments in units of their standard errors.
    root = math.sqrt(COUNT)
    assert abs(float(z.mean())) * root < 5
    assert abs(float((z * z).mean()) - 1.0) * root < 5 * math.sqrt(2)
    assert abs(float((z**3).mean())) * root < 5 * math.sqrt(15)
    assert abs(float((z**4).mean()) - 3.0) * root < 5 * math.sqrt(96)
    assert distance(z, cdf) < KOLMOGOROV
    # As many values far out as there should be: of 2^26 some 4,000 beyond 4 sigma and 38 beyond 5.
    for far in (4.0, 5.0):
        expected = COUNT * math.erfc(far / math.sqrt(2.0))
        assert abs(int((z.abs() > far).sum()) - expected) < 5 * math.sqrt(expected) + 1


@pytest.mark.parametrize(
    ("low", "high"), [(-2.0, 2.0), (-3.0, 3.0), (2.0, 4.0), (-0.5, 6.0), (-math.inf, -3.0), (0.3, 0.31)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_truncated_normal(low: float, high: float, dtype: torch.dtype) -> None:
    torch.manual_seed(3)
    values = fastinit.trunc_normal_(torch.empty(COUNT, dtype=dtype, device=DEVICE), 0.0, 1.0, low, high)
    assert bool(((values >= low) & (values <= high)).all())
    # In the tail that is nearer, where probabilities do not cancel.
    sign = -1.0 if low > 0 else 1.0
    start, end = sorted((probability(sign * low), probability(sign * high)))

    def within(x: Tensor) -> Tensor:
        share = (cdf(sign * x) - start) / (end - start)
        return share if sign > 0 else 1.0 - share

    assert distance(values, within) < KOLMOGOROV


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_a_narrow_type_holds_the_rounded_values_of_its_twin(dtype: torch.dtype) -> None:
    """So their distribution needs no test of its own; the bias that rounding towards zero would bring is not there."""
    for fill in (fastinit.uniform_, fastinit.normal_, fastinit.trunc_normal_):
        torch.manual_seed(4)
        wide = fill(torch.empty(COUNT, device=DEVICE))
        torch.manual_seed(4)
        narrow = fill(torch.empty(COUNT, dtype=dtype, device=DEVICE))
        rounded = wide.to(dtype)
        if fill is fastinit.uniform_:  # which never reaches its upper bound, where rounding would
            rounded = rounded.clamp(max=1.0 - torch.finfo(dtype).eps / 2)
        assert torch.equal(narrow, rounded)


def test_two_fills_from_one_generator_are_unrelated() -> None:
    torch.manual_seed(5)
    x, y = (fastinit.normal_(torch.empty(COUNT, device=DEVICE)).double() for _ in range(2))
    for lag in (0, 1, 2, 4):
        assert abs(float((x[lag:] * y[: COUNT - lag]).mean())) * math.sqrt(COUNT) < 5
        if lag:
            assert abs(float((x[lag:] * x[: COUNT - lag]).mean())) * math.sqrt(COUNT) < 5
