"""The matrices are uniform over the orthogonal and unitary groups and the Stiefel manifolds (Haar's measure).

Every sample comes from a fixed key, so a test passes always or never. One statistic is held to CERTAIN or to
STANDARD_ERRORS: among the few hundred here a perfect generator fails with a probability of 3e-4. The laws are exact for
the size at hand, not limits for large n:

* an entry, also of A Q B for fixed orthogonal A and B: a coordinate of a uniform unit vector;
* moments of traces: Diaconis and Shahshahani 1994 (doi:10.2307/3214948), exact where the order is at most n;
* eigenvalues: determinantal with known kernels (Mehta, Random Matrices, chapter 11; Katz and Sarnak 1999), so the
  chance that an arc is empty is a determinant of n rows.

Real matrices that are wrong in the way that a QR factorisation without its signs is fail most of these.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import stats

import fastinit
from fastinit import Key

CERTAIN = 1e-6
STANDARD_ERRORS = 5.0  # 6e-7, both sides
TOGETHER = 1e-3  # for the one test over all entries at once
COUNT = 2000

Array = npt.NDArray[Any]
REAL, COMPLEX = torch.float64, torch.complex128

pytestmark = pytest.mark.usefixtures("one_thread")

SQUARE = [2, 3, 8, 24, 64]
SHAPES = [*((n, n) for n in SQUARE), (11, 4), (4, 11), (130, 3), (3, 130), (2, 1), (1, 5)]


@cache
def sample(rows: int, columns: int, dtype: torch.dtype, special: bool = False) -> Array:
    """COUNT independent matrices, made together."""
    function = fastinit.special_orthogonal_ if special else fastinit.orthogonal_
    tensor = torch.empty(COUNT, rows, columns, dtype=dtype)
    key = Key(3).fold_in(f"{rows} {columns} {dtype} {special}")
    return np.asarray(function(tensor, generator=key, batch_dims=1).numpy())


def rotation(n: int, dtype: torch.dtype, number: int) -> Array:
    """A fixed orthogonal matrix that owes nothing to the code under test."""
    rng = np.random.default_rng(number)
    gaussian = rng.standard_normal((n, n)) + (1j * rng.standard_normal((n, n)) if dtype.is_complex else 0)
    return np.asarray(np.linalg.qr(gaussian)[0])


def coordinate_p(values: Array, length: int) -> float:
    """The KS level at which the real parts are a coordinate of a uniform unit vector of so many coordinates."""
    if np.iscomplexobj(values):
        length *= 2
    half = (length - 1) / 2
    if length == 1:
        return float(stats.binomtest(int((values.real > 0).sum()), len(values)).pvalue)
    return float(stats.kstest(values.real, stats.beta(half, half, loc=-1, scale=2).cdf).pvalue)


def close(values: Array, mean: float) -> None:
    deviation = abs(values.mean() - mean) / (values.std() / np.sqrt(len(values)))
    assert deviation < STANDARD_ERRORS, f"{values.mean()} is {deviation} standard errors from {mean}"


# Entries


@pytest.mark.parametrize("dtype", [REAL, COMPLEX], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_an_entry_is_a_coordinate_of_a_uniform_unit_vector(shape: tuple[int, int], dtype: torch.dtype) -> None:
    q = sample(*shape, dtype)
    for row in {0, shape[0] // 2, shape[0] - 1}:
        for column in {0, shape[1] // 2, shape[1] - 1}:
            assert coordinate_p(q[:, row, column], max(shape)) > CERTAIN


@pytest.mark.parametrize("dtype", [REAL, COMPLEX], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_product_from_the_left_and_from_the_right_changes_no_law(shape: tuple[int, int], dtype: torch.dtype) -> None:
    moved = rotation(shape[0], dtype, 1) @ sample(*shape, dtype) @ rotation(shape[1], dtype, 2)
    for row in {0, shape[0] - 1}:
        for column in {0, shape[1] - 1}:
            assert coordinate_p(moved[:, row, column], max(shape)) > CERTAIN


def test_all_entries_of_all_columns_together() -> None:
    levels = [coordinate_p(sample(8, 8, REAL)[:, row, column], 8) for row in range(8) for column in range(8)]
    assert stats.kstest(levels, "uniform").pvalue > TOGETHER


@pytest.mark.parametrize("n", SQUARE)
def test_columns_are_uncorrelated_beyond_what_orthogonality_asks(n: int) -> None:
    """E of q11 q22 is 0, and of its square (n + 1) / (n (n - 1) (n + 2))  (Weingarten's calculus for O(n))."""
    q = sample(n, n, REAL)
    product = q[:, 0, 0] * q[:, 1, 1]
    if n > 2:  # in O(2) it is +-cos^2, and its mean still 0
        close(product**2, (n + 1) / (n * (n - 1) * (n + 2)))
    close(product, 0.0)


# Determinants


@pytest.mark.parametrize("n", SQUARE)
def test_rotations_and_reflections_are_equally_frequent(n: int) -> None:
    determinants = np.linalg.det(sample(n, n, REAL))
    np.testing.assert_allclose(abs(determinants), 1, atol=1e-12)
    assert stats.binomtest(int((determinants > 0).sum()), COUNT).pvalue > CERTAIN


@pytest.mark.parametrize("n", SQUARE)
def test_a_unitary_matrix_has_a_determinant_of_any_phase(n: int) -> None:
    phases = np.angle(np.linalg.det(sample(n, n, COMPLEX)))
    assert stats.kstest(phases, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > CERTAIN


@pytest.mark.parametrize("dtype", [REAL, COMPLEX], ids=str)
@pytest.mark.parametrize("n", SQUARE)
def test_special_matrices_have_determinant_one_and_uniform_columns(n: int, dtype: torch.dtype) -> None:
    q = sample(n, n, dtype, special=True)
    np.testing.assert_allclose(np.linalg.det(q), 1, atol=1e-12)
    moved = rotation(n, dtype, 3) @ q @ rotation(n, dtype, 4)
    for place in (0, n - 1):
        assert coordinate_p(q[:, place, place], n) > CERTAIN
        assert coordinate_p(moved[:, place, n - 1], n) > CERTAIN


# Traces


@pytest.mark.parametrize("n", SQUARE)
@pytest.mark.parametrize("moved", [False, True])
def test_traces_have_the_moments_of_the_orthogonal_group(n: int, moved: bool) -> None:
    q = sample(n, n, REAL)
    traces = np.trace(rotation(n, REAL, 5) @ q if moved else q, axis1=1, axis2=2)
    close(traces, 0.0)
    close(traces**2, 1.0)
    if n >= 4:
        close(traces**4, 3.0)
    if not moved:
        squares = np.trace(q @ q, axis1=1, axis2=2)
        close(squares, 1.0)
        if n >= 4:
            close((squares - 1) ** 2, 2.0)


@pytest.mark.parametrize("n", SQUARE)
@pytest.mark.parametrize("moved", [False, True])
def test_traces_have_the_moments_of_the_unitary_group(n: int, moved: bool) -> None:
    q = sample(n, n, COMPLEX)
    traces = np.trace(rotation(n, COMPLEX, 6) @ q if moved else q, axis1=1, axis2=2)
    for part in (traces.real, traces.imag, (traces**2).real, (traces**2).imag):
        close(part, 0.0)
    close(abs(traces) ** 2, 1.0)
    close(abs(traces) ** 4, 2.0)
    if not moved:
        close(abs(np.trace(q @ q, axis1=1, axis2=2)) ** 2, 2.0)


# Eigenvalues


def sinc(k: Array, x: Array) -> Array:
    """Integral of cos(k t) over [0, x], elementwise in x, with the axes of k after it."""
    x = x[:, None, None]
    return np.where(k == 0, x, np.sin(k * x) / np.where(k == 0, 1, k))


def no_angle_below(x: Array, n: int) -> Array:
    """P(no eigenvalue exp(i t) of a rotation has 0 < t < x): det(1 - Gram matrix of functions on (0, x))."""
    j = np.arange(n // 2)[:, None]
    k = np.arange(n // 2)[None, :]
    if n % 2:  # sqrt(2/pi) sin((j + 1/2) t)
        gram = (sinc(j - k, x) - sinc(j + k + 1, x)) / np.pi
    else:  # 1/sqrt(pi), then sqrt(2/pi) cos(j t)
        scale = np.where(j == 0, np.sqrt(0.5), 1) * np.where(k == 0, np.sqrt(0.5), 1)
        gram = scale * (sinc(j - k, x) + sinc(j + k, x)) / np.pi
    return np.asarray(np.linalg.det(np.eye(n // 2) - gram))


@pytest.mark.parametrize("n", SQUARE)
def test_the_smallest_angle_of_a_rotation(n: int) -> None:
    angles = np.sort(abs(np.angle(np.linalg.eigvals(sample(n, n, REAL, special=True)))), axis=1)
    smallest = angles[:, n % 2]  # odd sizes have the eigenvalue 1
    assert stats.kstest(smallest, lambda x: 1 - no_angle_below(x, n)).pvalue > CERTAIN


def gap_above(x: Array, n: int) -> Array:
    """P(the next eigenvalue of U(n) is farther than x): -(2 pi / n) d/dx of P(an arc of length x is empty)."""
    difference = np.arange(n)[:, None] - np.arange(n)[None, :]
    empty = np.eye(n) - sinc(difference, x / 2) / np.pi
    slope = np.cos(difference * x[:, None, None] / 2) / (2 * np.pi)
    return np.asarray(2 * np.pi / n * np.linalg.det(empty) * np.trace(np.linalg.solve(empty, slope), axis1=1, axis2=2))


@pytest.mark.parametrize("n", SQUARE)
def test_the_spacing_of_the_eigenvalues_of_a_unitary_matrix(n: int) -> None:
    angles = np.sort(np.angle(np.linalg.eigvals(sample(n, n, COMPLEX))), axis=1)
    gaps = np.diff(angles, append=angles[:, :1] + 2 * np.pi, axis=1)
    chosen = gaps[np.arange(COUNT), np.random.default_rng(1).integers(0, n, COUNT)]
    assert stats.kstest(chosen, lambda x: 1 - gap_above(x, n)).pvalue > CERTAIN


# And the tests themselves


def unsigned(n: int, dtype: torch.dtype) -> Array:
    """What LAPACK returns: Q of a QR factorisation, its signs not made to be random."""
    rng = np.random.default_rng(7)
    gaussian = rng.standard_normal((COUNT, n, n)) + (1j * rng.standard_normal((COUNT, n, n)) if dtype.is_complex else 0)
    return np.asarray(np.linalg.qr(gaussian)[0])


@pytest.mark.parametrize(
    "test",
    [
        lambda: test_an_entry_is_a_coordinate_of_a_uniform_unit_vector((8, 8), REAL),
        lambda: test_traces_have_the_moments_of_the_orthogonal_group(8, False),
        lambda: test_rotations_and_reflections_are_equally_frequent(8),
        lambda: test_the_spacing_of_the_eigenvalues_of_a_unitary_matrix(8),
        lambda: test_traces_have_the_moments_of_the_unitary_group(8, True),
    ],
)
def test_a_factorisation_without_its_signs_is_told_apart(
    test: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "sample", lambda rows, columns, dtype, special=False: unsigned(rows, dtype))
    with pytest.raises(AssertionError):
        test()
