"""The values have the distributions that were asked for, in every dtype, and lie where they were asked to lie.

Every sample comes from a fixed key, so a test passes always or never. A single statistic is held to CERTAIN: there are
about 700, so a perfect generator would have failed one of them with a probability of 7e-4 when the keys were chosen.
That level overlooks small defects. SENSITIVE does not, but a perfect generator fails it one time in twenty: it is only
ever applied to all samples at once, where no more may fall below it than chance explains.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy import special, stats
from torch import Tensor

import fastinit
from fastinit import Key
from golden import cases
from golden.arithmetic import FORMATS

SENSITIVE = 0.05
CERTAIN = 1e-6
TOGETHER = 1e-3  # for the few tests over all samples at once
STANDARD_ERRORS = 5.0  # 6e-7, both sides
COUNT = 10**6

INF = math.inf
Array = npt.NDArray[np.float64]


pytestmark = pytest.mark.usefixtures("one_thread")


DTYPES = {name: getattr(torch, name) for name in FORMATS}
NARROW = [name for name, target in FORMATS.items() if target.bits < 32]


# The laws


def log_tail(z: Array | float) -> Array:
    """The logarithm of P(Z > z), Z standard normal."""
    result: Array = special.log_ndtr(-np.asarray(z))
    return result


@dataclass(frozen=True)
class Law:
    """A distribution by its initializer and its parameters."""

    function: Callable[..., Tensor]
    parameters: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.function.__name__}{self.parameters}"

    def fill(self, dtype: torch.dtype) -> Tensor:
        """COUNT values (half as many complex numbers, both parts), from a key of this law and dtype alone."""
        tensor = torch.empty(COUNT // 2 if dtype.is_complex else COUNT, dtype=dtype)
        self.function(tensor, *self.parameters, generator=Key(1).fold_in(f"{self} {dtype}"))
        return torch.view_as_real(tensor).flatten() if dtype.is_complex else tensor

    @property
    def limits(self) -> tuple[float, float]:
        """Where the values lie."""
        return (-INF, INF) if self.function is fastinit.normal_ else self.parameters[-2:]  # type: ignore[return-value]

    def cdf(self, x: Array) -> Array:
        """P(X <= x)."""
        a, b = self.limits
        if self.function is fastinit.uniform_:
            return np.clip((x - a) / (b - a), 0.0, 1.0)
        mean, std = self.parameters[:2]
        if (a, b) == (-INF, INF):
            return np.exp(log_tail((mean - x) / std))
        alpha, beta = (a - mean) / std, (b - mean) / std
        if alpha + beta < 0:
            return 1.0 - self.share((b - np.clip(x, a, b)) / std, -beta, (b - a) / std)
        return self.share((np.clip(x, a, b) - a) / std, alpha, (b - a) / std)

    @staticmethod
    def share(offset: Array, alpha: float, width: float) -> Array:
        """P(Z <= alpha + offset) for a standard normal Z in [alpha, alpha + width], with nothing that cancels."""
        if width * max(1.0, abs(alpha)) < 0.1:  # by quadrature of the density
            node, weight = np.polynomial.legendre.leggauss(5)

            def mass(d: Array) -> Array:
                t = np.multiply.outer((node + 1) / 2, d)
                result: Array = d * np.tensordot(weight, np.exp(-t * (alpha + t / 2)), 1)
                return result
        else:  # by the tails beyond, in units of that at alpha

            def mass(d: Array) -> Array:
                result: Array = -np.expm1(log_tail(alpha + d) - log_tail(alpha))
                return result

        return mass(offset) / mass(np.asarray(width))


def laws(function: Callable[..., Tensor], *parameters: tuple[float, ...]) -> list[Law]:
    return [Law(function, each) for each in parameters]


UNIFORM = laws(fastinit.uniform_, (0.0, 1.0), (-0.1, 0.3), (-3.0, 5.0), (-1e-3, 1e-3), (100.0, 120.0))
NORMAL = laws(fastinit.normal_, (0.0, 1.0), (0.0, 0.02), (-0.5, 0.02), (3.0, 10.0))
CENTRAL = laws(
    fastinit.trunc_normal_,
    (0.0, 1.0, -2.0, 2.0),
    (0.0, 0.02, -0.04, 0.04),
    (0.0, 1.0, -0.5, 1.5),
    (0.1, 1.0, -0.1, 0.3),
    (0.0, 1.0, -3.0, 3.0),
    (0.0, 1.0, -1.0, 8.5),
    (0.0, 1.0, 0.0, INF),
    (0.0, 1.0, -INF, 1.0),
    (0.0, 1.0, -100.0, 100.0),
    (0.0, 1.0, -INF, INF),
    (1.0, 30.0, -0.4, 50.0),
)
OUTLYING = laws(
    fastinit.trunc_normal_,
    (0.0, 1.0, 1.0, 1.001),
    (0.0, 1.0, 32.0, 32.1),
    (0.0, 1.0, 0.0, 1e-14),
    (0.0, 1e14, -1.0, 1.0),
    (0.0, 1.0, 2.0, 4.0),
    (0.0, 1.0, -4.0, -2.0),
    (0.0, 1.0, 8.0, 9.0),
    (0.0, 1.0, 20.0, INF),
    (0.0, 1.0, 100.0, INF),
    (0.0, 1.0, -INF, -20.0),
    (0.0, 1.0, 5.0, 1e5),  # which torch does not end on
    (0.0, 0.1, 1.0, 3.0),
    (-2.0, 0.3, -1.0, 1.0),
)
LAWS = UNIFORM + NORMAL + CENTRAL + OUTLYING
EVERY_LAW = pytest.mark.parametrize("law", LAWS, ids=str)


# Samples, and the laws as a dtype rounds them

Sample = tuple[Array, npt.NDArray[Any]]
"""The different values, ascending, and how often each occurs."""


@cache
def numbers(name: str) -> Array:
    """All finite numbers of a narrow format, ascending."""
    positive = [FORMATS[name].decode(code) for code in range(FORMATS[name].greatest_code + 1)]
    return np.array([*(-x for x in positive[:0:-1]), *positive])


def counted(tensor: Tensor) -> Sample:
    """The sample that a tensor holds. Counting the codes of a narrow dtype is faster than sorting."""
    name = str(tensor.dtype).removeprefix("torch.")
    if name not in NARROW:
        values, counts = np.unique(tensor.numpy(), return_counts=True)
        return values.astype(np.float64), counts
    target = FORMATS[name]
    tally = np.bincount(
        tensor.view(torch.uint16 if target.bits == 16 else torch.uint8).numpy(), minlength=2**target.bits
    )
    positive, negative = tally[: target.greatest_code + 1], tally[target.sign : target.sign + target.greatest_code + 1]
    counts = np.concatenate([negative[:0:-1], positive])
    if target.kind != "fnuz":  # where the code of negative zero is a NaN
        counts[target.greatest_code] += negative[0]
    assert counts.sum() == len(tensor), "infinities, or values that are not numbers"
    return numbers(name)[counts > 0], counts[counts > 0]


def support(law: Law, name: str) -> Array:
    """The numbers of a narrow format that may occur: those in [a, b], of a uniform law those that are not b either."""
    a, b = law.limits
    every = numbers(name)
    if law.function is fastinit.uniform_:
        b = math.nextafter(min(b, FORMATS[name].nearest(b)), -INF)
    return every[(every >= a) & (every <= b)]


def edges(law: Law, name: str, values: Array) -> tuple[Array, Array]:
    """Where what rounds to each value begins and ends; what the bounds cut off belongs to the value next to it."""
    if name in NARROW:
        every = numbers(name)
        middles = np.array([-INF, *((x + y) / 2 for x, y in pairwise(every)), INF])
        place = np.searchsorted(every, values)
        least, greatest = support(law, name)[[0, -1]]
        below, above = middles[place], middles[place + 1]
    else:
        least, greatest = law.limits
        typed = values.astype(name)
        below, above = ((values + np.nextafter(typed, typed.dtype.type(end))) / 2 for end in (-INF, INF))
    return np.where(values <= least, -INF, below), np.where(values >= greatest, INF, above)


def kolmogorov_smirnov(law: Law, name: str, sample: Sample) -> float:
    """The p-value of the greatest distance from the rounded law; an upper bound of it where values repeat."""
    values, counts = sample
    size = counts.sum()
    up_to = np.cumsum(counts) / size
    below, above = edges(law, name, values)
    distance = max(np.abs(up_to - law.cdf(above)).max(), np.abs(up_to - counts / size - law.cdf(below)).max())
    return float(special.kolmogorov(distance * math.sqrt(size)))


@cache
def p_value(law: Law, name: str) -> float:
    return kolmogorov_smirnov(law, name, counted(law.fill(DTYPES[name])))


@pytest.mark.parametrize("name", DTYPES)
@EVERY_LAW
def test_a_million_values_follow_the_law(law: Law, name: str) -> None:
    assert p_value(law, name) > CERTAIN


def test_all_samples_together_fit_as_well_as_chance_allows_and_no_better() -> None:
    p_values = [p_value(law, name) for law in LAWS for name in ("float32", "float64")]
    least, most = stats.binom.ppf([TOGETHER, 1 - TOGETHER], len(p_values), SENSITIVE)
    assert least <= sum(p < SENSITIVE for p in p_values) <= most
    assert stats.kstest(p_values, "uniform").pvalue > TOGETHER


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
@pytest.mark.parametrize("law", UNIFORM + NORMAL, ids=str)
def test_both_parts_of_complex_numbers_follow_the_law(law: Law, dtype: torch.dtype) -> None:
    """As torch has it: the parts of a normal number have half its variance each, and both its mean."""
    values, part = law.fill(dtype), law
    if law in NORMAL:
        part = Law(law.function, (law.parameters[0], law.parameters[1] / math.sqrt(2)))
    for half in (values[::2], values[1::2]):
        assert kolmogorov_smirnov(part, str(dtype.to_real()).removeprefix("torch."), counted(half)) > CERTAIN


@pytest.mark.parametrize("name", NARROW)
@EVERY_LAW
def test_each_number_of_a_narrow_dtype_is_as_frequent_as_what_rounds_to_it(law: Law, name: str) -> None:
    values, counts = counted(law.fill(DTYPES[name]))
    possible = support(law, name)
    assert np.isin(values, possible).all()
    observed = np.zeros(possible.size)
    observed[np.searchsorted(possible, values)] = counts
    below, above = edges(law, name, possible)
    expected = (law.cdf(above) - law.cdf(below)) * COUNT
    rare = expected < 20  # too few for the approximation by chi-square: taken together
    together, few = stats.poisson(expected[rare].sum()), observed[rare].sum()
    assert min(together.cdf(few), together.sf(few - 1)) > CERTAIN
    if np.sum(~rare) > 1:
        statistic = np.sum((observed - expected)[~rare] ** 2 / expected[~rare])
        assert stats.chi2.sf(statistic, np.sum(~rare) - 1) > CERTAIN


# Moments


def moments(law: Law, name: str) -> tuple[float, float, list[float]]:
    """Mean, standard deviation, and moments 1 to 8 of the standardised variable; as the dtype rounds, if narrow."""
    if name in NARROW:
        x = support(law, name)
        below, above = edges(law, name, x)
        weight = law.cdf(above) - law.cdf(below)
        x, weight = x[weight > 0], weight[weight > 0]
    else:
        a, b = law.limits
        if law.function is not fastinit.uniform_:  # what lies further out does not count
            mean, std = law.parameters[:2]
            a, b = max(a, mean - 12 * std), min(b, mean + 12 * std)
        grid = np.linspace(a, b, 200_001)
        x, weight = (grid[1:] + grid[:-1]) / 2, np.diff(law.cdf(grid))
    centre = float(np.sum(x * weight))
    spread = math.sqrt(float(np.sum((x - centre) ** 2 * weight)))
    return centre, spread, [float(np.sum(((x - centre) / spread) ** k * weight)) for k in range(1, 9)]


@pytest.mark.parametrize("name", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("law", UNIFORM + NORMAL + CENTRAL, ids=str)
def test_mean_variance_skewness_and_kurtosis(law: Law, name: str) -> None:
    centre, spread, exact = moments(law, name)
    y = (law.fill(DTYPES[name]).double().numpy() - centre) / spread
    power = np.ones_like(y)
    for k in range(1, 5):
        power *= y
        deviation = math.sqrt((exact[2 * k - 1] - exact[k - 1] ** 2) / COUNT)
        assert abs(power.mean() - exact[k - 1]) < STANDARD_ERRORS * deviation, f"moment {k}"


def test_the_moments_compared_with_are_those_of_the_books() -> None:
    centre, spread, exact = moments(UNIFORM[2], "float64")
    assert (centre, spread) == pytest.approx((1.0, 8 / math.sqrt(12)))
    assert exact[:4] == pytest.approx([0.0, 1.0, 0.0, 1.8], abs=1e-6)
    assert moments(NORMAL[3], "float64")[2][:4] == pytest.approx([0.0, 1.0, 0.0, 3.0], abs=1e-6)
    # The number by which variance scaling with truncated normals divides.
    assert moments(CENTRAL[0], "float64")[1] == pytest.approx(0.87962566103423978, abs=1e-8)


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (fastinit.kaiming_uniform_, {"a": math.sqrt(5)}),  # the default of nn.Linear
        (fastinit.uniform_, {"a": -1.0, "b": 1.0}),
        (fastinit.normal_, {"std": 0.02}),
        (fastinit.trunc_normal_, {"std": 0.02, "a": -0.04, "b": 0.04}),
    ],
    ids=["Linear", "uniform", "normal", "trunc_normal"],
)
def test_narrow_dtypes_have_no_bias(function: Callable[..., Tensor], arguments: dict[str, float], name: str) -> None:
    """Of 16 million values around 0; a quarter as many of torch's bfloat16 Linear are 14 standard errors off."""
    values = function(torch.empty(4096, 4096, dtype=DTYPES[name]), generator=Key(6), **arguments).float()
    assert abs(values.mean(dtype=torch.float64)) < STANDARD_ERRORS * values.std() / 4096


# Tails


@pytest.mark.parametrize(("name", "chunks"), [("float32", 128), ("float64", 8)])
def test_normal_tails_are_as_heavy_as_they_should_be(name: str, chunks: int) -> None:
    """Of 2^29 values in float32, some lie beyond 5.8 sigma (chance would have none at 3 %); torch has none there."""
    values = torch.empty(2**22, dtype=DTYPES[name])
    tail = []
    for i in range(chunks):
        fastinit.normal_(values, generator=Key(9).fold_in(i))
        tail += values[values.abs_() > 4.5].tolist()
    for limit in (4.5, 5.0, 5.5, 5.8):
        expected = stats.poisson(2 * stats.norm.sf(limit) * chunks * 2**22)
        count = sum(value > limit for value in tail)
        assert min(expected.cdf(count), expected.sf(count - 1)) > CERTAIN, limit
    assert max(tail) > 5.8 or name == "float64"


@pytest.mark.parametrize("key", cases.EXTREMES[:3], ids=["0 even", "0 odd", "2^32 - 1 even"])
def test_the_ends_of_the_word_range_give_the_ends_of_the_normal_law(key: Any) -> None:
    values = fastinit.normal_(torch.empty(4), generator=Key(key.seed, key.offset))
    radii = values.view(2, 2).square().sum(1).sqrt()
    if key is cases.ZERO_EVEN:
        assert radii[0] == pytest.approx(math.sqrt(66 * math.log(2)), rel=1e-6)  # 6.76 sigma
    elif key is cases.ONES_EVEN:
        assert radii[1] == 0
    else:  # the angle of word 0: the sine is exactly 0
        assert values[0] > 0
        assert values[1] == 0


# Bounds, at the extremes of what a generator can yield: the words at which one transform or other is extreme

EXTREMES = [Key(key.seed, key.offset) for key in cases.EXTREMES]
FINITE = st.floats(-100, 100) | st.floats(-1e5, 1e5)
NAMES = st.sampled_from([*DTYPES])


def extremes(function: Callable[..., Tensor], name: str, *parameters: float) -> Tensor:
    return torch.stack([function(torch.empty(8, dtype=DTYPES[name]), *parameters, generator=key) for key in EXTREMES])


@given(name=NAMES, a=FINITE, b=FINITE)
@example("bfloat16", 0.0, 1.00390625)  # half-way between two numbers, of which torch's cast takes the lower
@example("float32", 0.0, 1.0 + 2.0**-24)
@example("bfloat16", 1.0, 1.001)  # only 1 lies between
@example("float8_e5m2", -1.0, 1.0)
@example("float16", -0.1, 0.3)
def test_uniform_values_lie_from_a_to_below_b_whatever_the_word(name: str, a: float, b: float) -> None:
    """Below b as it is, and below b as a tensor of the dtype holds it."""
    a, b = sorted((a, b))
    target = FORMATS[name]
    assume(max(-a, b, b - a) <= target.max)  # others are refused
    values = extremes(fastinit.uniform_, name, a, b).double()
    if target.above(a) < min(b, target.nearest(b)):
        assert values.min() >= a
        assert values.max() < b
        assert values.max() < torch.tensor(b, dtype=DTYPES[name]).double()
    else:  # no number of the dtype will do: what a constant a would be
        assert torch.equal(values, torch.tensor(a, dtype=DTYPES[name]).double().expand_as(values))


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("law", UNIFORM, ids=str)
def test_no_uniform_value_of_millions_equals_b(law: Law, name: str) -> None:
    a, b = law.limits
    values = fastinit.uniform_(torch.empty(2**21, dtype=DTYPES[name]), a, b, generator=Key(5)).double()
    assert values.min() >= a
    assert values.max() < b
    assert values.max() < torch.tensor(b, dtype=DTYPES[name]).double()


BOUNDS = FINITE | st.sampled_from([-INF, INF])
STDS = st.floats(-40, 40).map(lambda exponent: 2.0**exponent)


@given(name=NAMES, mean=FINITE, std=STDS | st.just(0.0), a=BOUNDS, b=BOUNDS)
@example("bfloat16", 0.0, 1.0, -0.1, 0.3)
@example("float8_e4m3fn", 0.0, 1.0, -1.1, 1.1)
@example("float8_e5m2fnuz", 0.0, 0.5, 0.51, 0.52)  # no number of the dtype between
@example("float32", 0.0, 2.0**-20, 1.0, 2.0)  # a million sigma out
@example("float64", 0.0, 2.0**-20, 1.0, 2.0)
@example("float16", 0.0, 1e6, -66000.0, 66000.0)  # beyond the greatest number of the dtype
@example("float8_e4m3fn", 0.0, 1e3, -500.0, 500.0)
@example("float8_e4m3fn", 266.0, 32.0, 0.0, INF)  # a dtype without infinity is a bound of its own
@example("float8_e5m2fnuz", 0.0, 1e5, -INF, INF)
@example("float16", 0.0, 1e5, -INF, INF)
def test_truncated_normal_values_lie_within_the_bounds_whatever_the_word(
    name: str, mean: float, std: float, a: float, b: float
) -> None:
    a, b = sorted((a, b))
    target = FORMATS[name]
    least, greatest = target.above(a), target.below(b)
    values = extremes(fastinit.trunc_normal_, name, mean, std, a, b).double()
    if least <= greatest:
        assert values.min() >= least
        assert values.max() <= greatest
    else:  # the bounds lie between two neighbours
        assert torch.equal(values, values[0, 0].expand_as(values))
        assert values[0, 0] in (least, greatest)


def test_a_mean_that_float32_rounds_towards_a_bound_does_not_carry_values_over_it() -> None:
    """The spread is that of the last places, so the rounding of the mean counts."""
    ulp = 2.0**-23
    values = fastinit.trunc_normal_(torch.empty(2**20), 1.5 + 0.49 * ulp, 0.144 * ulp, 1.5, 2.0, generator=Key(1))
    assert values.min() >= 1.5


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("law", [law for law in CENTRAL + OUTLYING if law.limits != (-INF, INF)], ids=str)
def test_no_truncated_normal_value_of_millions_lies_outside(law: Law, name: str) -> None:
    a, b = law.limits
    values = law.function(torch.empty(2**21, dtype=DTYPES[name]), *law.parameters, generator=Key(5)).double()
    assert values.min() >= a
    assert values.max() <= b


@pytest.mark.parametrize(("std", "a", "b"), [(1.0, 0.0, 1e-14), (1.0, -1e-20, 0.0), (1e17, -1.0, 1.0)])
def test_float64_keeps_its_resolution_on_the_narrowest_intervals(std: float, a: float, b: float) -> None:
    # Against the interval's own width: an absolute error of 1e-16 sigma would leave a few values, or one.
    values = fastinit.trunc_normal_(torch.empty(10**6, dtype=torch.float64), 0.0, std, a, b, generator=Key(3)).numpy()
    assert len(np.unique(values)) > 0.999 * len(values)
    assert stats.kstest((values - a) / (b - a), "uniform").pvalue > CERTAIN
