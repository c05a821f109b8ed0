"""The words behind the values, and the keys: uniform, uncorrelated, and different for different keys.

Every statistic is computed from fixed keys, so a test passes always or never. LEVEL is the probability with which a
perfect generator would have failed one of them when the keys were chosen: with a hundred statistics, 2e-4 for the whole
file. The samples are large instead, so that a defect of one in a thousand is far beyond it.
"""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import stats

import fastinit
from fastinit import _C, Key
from golden.cases import KEYS

LEVEL = 1e-6
Array = npt.NDArray[Any]


pytestmark = pytest.mark.usefixtures("one_thread")


def assert_plausible(p: float) -> None:
    """Neither a bad fit nor one that is too good."""
    assert LEVEL < p < 1 - LEVEL


def assert_standard_normal(z: Array) -> None:
    """Independent statistics that are each standard normal, by the sum of their squares and by the greatest."""
    assert_plausible(stats.chi2.sf(np.sum(z * z), z.size))
    assert_plausible(1 - (1 - 2 * stats.norm.sf(np.abs(z).max())) ** z.size)


def assert_evenly_spread(cells: Array, count: int) -> None:
    """Cell numbers below `count`, each as likely as any other."""
    observed = np.bincount(cells.ravel(), minlength=count)
    assert_plausible(stats.chisquare(observed).pvalue)


def words(key: Any, count: int, domain: int = 0) -> Array:
    return np.array(_C.words(key.seed, key.offset, domain, 0, count), dtype=np.uint32)


def uniform(key: Key | torch.Generator, count: int = 2**20) -> Array:
    values: Array = fastinit.uniform_(torch.empty(count), generator=key).numpy()
    return values


# Words

SOME_KEYS = pytest.mark.parametrize("key", KEYS[:5], ids=lambda key: f"{key.seed:x}+{key.offset:x}")


@SOME_KEYS
def test_every_bit_is_as_often_one_as_zero_and_no_two_agree_more_often_than_not(key: Any) -> None:
    """Within a word, and between neighbouring words."""
    count = 2**17
    unpacked = np.unpackbits(words(key, count).view(np.uint8).reshape(-1, 4), axis=1)
    bits = 1 - 2 * torch.from_numpy(unpacked).float()  # sums below 2^24 are exact
    assert_standard_normal(bits.sum(0).numpy() / np.sqrt(count))
    within = (bits.T @ bits).numpy()[np.triu_indices(32, 1)]
    assert_standard_normal(within / np.sqrt(count))
    for lag in (1, 2, 3, 4, 32):
        assert_standard_normal((bits[:-lag].T @ bits[lag:]).numpy().ravel() / np.sqrt(count - lag))


@SOME_KEYS
def test_bytes_and_pairs_of_bytes_are_evenly_spread(key: Any) -> None:
    octets = words(key, 2**20).view(np.uint8).astype(np.int64)
    for position in range(4):
        assert_evenly_spread(octets[position::4], 256)
    assert_evenly_spread(octets[0::2] * 256 + octets[1::2], 2**16)
    assert_evenly_spread(octets[3:-4:4] * 256 + octets[7::4], 2**16)  # the top byte, and that of the next word


@pytest.mark.parametrize("domain", range(1, 6))
def test_the_words_of_two_domains_share_nothing(domain: int) -> None:
    ones = np.bitwise_count(words(Key(5), 2**18) ^ words(Key(5), 2**18, domain))
    assert_standard_normal(np.array([(ones.mean() - 16) / np.sqrt(8 / 2**18)]))


# Values in a row

LAGS = 64


def autocorrelations(x: Array) -> Array:
    """Those at lags 1 to LAGS, each standard normal where values are independent."""
    x = (x - x.mean()) / x.std()
    spectrum = np.abs(np.fft.rfft(x, 2 * x.size)) ** 2
    result: Array = np.fft.irfft(spectrum)[1 : LAGS + 1] / np.sqrt(x.size - np.arange(1, LAGS + 1))
    return result


@pytest.mark.parametrize(
    ("law", "dtype"),
    [
        (law, dtype)
        for law in (("uniform_", -1.0, 1.0), ("normal_", 0.0, 1.0))
        for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.complex64)
    ]
    + [
        (("trunc_normal_", 0.0, 1.0, *bounds), dtype)
        for bounds in ((1.0, 1.1), (-2.0, 2.0), (2.0, 4.0), (-3.0, 3.0))
        for dtype in (torch.float32, torch.float64)
    ],
    ids=str,
)
def test_values_at_lags_1_to_64_are_uncorrelated(law: tuple[Any, ...], dtype: torch.dtype) -> None:
    """And so are their squares: the two values that one pair of words becomes share a radius and an angle."""
    name, *parameters = law
    tensor = getattr(fastinit, name)(torch.empty(2**19, dtype=dtype), *parameters, generator=Key(77))
    values = (torch.view_as_real(tensor).flatten() if dtype.is_complex else tensor).double().numpy()
    assert_standard_normal(autocorrelations(values))
    assert_standard_normal(autocorrelations((values - values.mean()) ** 2))


# Keys


def assert_independent(x: Array, y: Array) -> None:
    """Of two fills of uniform values: no correlation, and pairs that are spread evenly over a square of 64 x 64."""
    z = 12 * np.mean((x.astype(np.float64) - 0.5) * (y - 0.5)) * np.sqrt(x.size)
    assert_standard_normal(np.array([z]))
    assert_evenly_spread((x * 64).astype(np.int64) * 64 + (y * 64).astype(np.int64), 64 * 64)


@pytest.mark.parametrize("base", [Key(0), Key(0x9E3779B97F4A7C15)], ids=["zero", "dense"])
@pytest.mark.parametrize(
    "change",
    [
        lambda key: Key((key.seed + 1) % 2**64),
        lambda key: Key(key.seed ^ 1 << 31),
        lambda key: Key(key.seed ^ 1 << 32),
        lambda key: Key(key.seed ^ 1 << 63),
        lambda key: Key(key.seed, 2**32),
        lambda key: Key(key.seed, 2**63),
        lambda key: key.fold_in(0),
        lambda key: key.fold_in(""),
    ],
    ids=["seed + 1", "bit 31", "bit 32", "bit 63", "offset 2^32", "offset 2^63", "fold 0", "fold ''"],
)
def test_neighbouring_keys_fill_independent_values(base: Key, change: Callable[[Key], Key]) -> None:
    assert_independent(uniform(base), uniform(change(base)))


def test_successive_fills_are_independent() -> None:
    generator = torch.Generator().manual_seed(3)
    fills = [uniform(generator) for _ in range(5)]
    for x, y in combinations(fills, 2):
        assert_independent(x, y)


@pytest.mark.parametrize("step", [1, 2**31, 2**32, 2**40, 2**63])
def test_generators_whose_seeds_are_neighbours_fill_independent_values(step: int) -> None:
    """Also where the seeds differ above bit 32 alone, which the twister of torch's CPU generator never sees."""
    assert_independent(*(uniform(torch.Generator().manual_seed(seed)) for seed in (8, 8 + step)))


def test_a_fill_is_independent_of_what_torch_draws_from_the_same_seed() -> None:
    ours, theirs = (torch.Generator().manual_seed(21) for _ in range(2))
    values = uniform(ours)
    for generator in (theirs, ours):  # instead of the fill, and after it
        assert_independent(values, torch.rand(values.size, generator=generator).numpy())


def test_the_first_values_under_many_keys_are_those_of_one_generator() -> None:
    """Keys of consecutive seeds, numbers and names: as parameters of a model have them."""
    for keys in (
        map(Key, range(20000)),
        map(Key(1).fold_in, range(20000)),
        map(Key(1).fold_in, map(str, range(20000))),
    ):
        values = np.stack([uniform(key, 2) for key in keys])
        assert_plausible(stats.kstest(values[:, 0], "uniform").pvalue)
        assert_standard_normal(autocorrelations(values[:, 0].astype(np.float64)))
        cells = (values * 16).astype(np.int64)
        assert_evenly_spread(cells[:, 0] * 16 + cells[:, 1], 256)


def bits_of(numbers: list[int]) -> Array:
    """One row of 64 bits a number."""
    return np.unpackbits(np.array(numbers, dtype=np.uint64).view(np.uint8).reshape(-1, 8), axis=1).astype(np.int64)


@pytest.mark.parametrize("domain", [1, 2, 3, 4])
@pytest.mark.parametrize("argument", ["seed", "data"])
def test_each_bit_folded_in_flips_every_bit_of_the_new_seed_in_half_of_all_cases(argument: str, domain: int) -> None:
    count = 200
    source = np.random.default_rng(domain)
    pairs = source.integers(0, 2**64, (count, 2), dtype=np.uint64).tolist()
    before = bits_of([_C.fold_in(seed, data, domain) for seed, data in pairs])
    flips = []
    for bit in range(64):
        seed_bit, data_bit = (1 << bit, 0) if argument == "seed" else (0, 1 << bit)
        after = bits_of([_C.fold_in(seed ^ seed_bit, data ^ data_bit, domain) for seed, data in pairs])
        flips.append((before ^ after).sum(axis=0))
    assert_standard_normal((np.stack(flips).ravel() - count / 2) / np.sqrt(count / 4))


def test_one_letter_folded_in_flips_half_of_the_new_seed() -> None:
    names = [f"layers.{i}.weight" for i in range(3000)]
    folded = [(Key(1).fold_in(name).seed, Key(1).fold_in(name[:-1] + "u").seed) for name in names]
    flips = bits_of([x ^ y for x, y in folded]).sum(axis=0)
    assert_standard_normal((flips - len(names) / 2) / np.sqrt(len(names) / 4))
