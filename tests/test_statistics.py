"""One read of a tensor gives what torch's operations give, whatever the type, layout, instruction set and threads.

Counts, extremes and histograms are equal; sums agree to the rounding of float64.
"""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import fastinit
from fastinit import _C, Key
from fastinit.auditing.statistics import CODES, NO_SCALE, Scale, Statistics, joined, reference, statistics, survey
from layouts import LARGE, Layout
from settings import instruction_set, threads
from strategies import layouts

INSTRUCTION_SETS = _C.facts()["isa_supported"]
NATIVE = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
OTHERS = [torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.int8, torch.int64, torch.bool]
EVERY_NATIVE = pytest.mark.parametrize("dtype", NATIVE, ids=str)
# Numbers of float32: the bins then lie at the same places in every type.
SCALE = Scale(-3.25, 19.5)


def sample(*shape: int, dtype: torch.dtype = torch.float32, mean: float = 0.0, std: float = 1.0) -> Tensor:
    return fastinit.normal_(torch.empty(shape), mean, std, generator=Key(7)).to(dtype)


def assert_alike(found: Statistics, expected: Statistics) -> None:
    """Sums to 12 digits of what is summed, the rest equal."""
    for name in ("numel", "zeros", "nan", "inf", "minus_inf", "counts"):
        assert getattr(found, name) == getattr(expected, name), name
    if not expected.finite:
        assert all(math.isnan(x) for x in (found.mean, found.squares, found.min, found.max))
        return
    assert (found.min, found.max) == (expected.min, expected.max)
    assert found.mean == pytest.approx(expected.mean, rel=1e-12, abs=1e-12 * expected.std)
    assert found.squares == pytest.approx(expected.squares, rel=1e-11, abs=1e-300)


# Against torch


@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
@pytest.mark.parametrize("count", [0, 1, 2, 15, 31, 32, 33, 2047, 2048, 2049, 65_535, 65_536, 200_003])
@EVERY_NATIVE
def test_the_kernel_equals_the_reference_at_every_length(dtype: torch.dtype, count: int, isa: str) -> None:
    tensor = sample(count, dtype=dtype)
    with instruction_set(isa):
        assert_alike(statistics(tensor, SCALE), reference(tensor, SCALE))


def test_the_reference_is_torchs_mean_and_deviation() -> None:
    tensor = sample(300, 41, dtype=torch.float64, mean=3.0)
    found = reference(tensor, SCALE)
    assert found.mean == pytest.approx(float(tensor.mean()), rel=1e-13)
    assert found.std == pytest.approx(float(tensor.std(correction=0)), rel=1e-12)
    edges = torch.cat([torch.tensor([-math.inf], dtype=torch.float64), SCALE.edges])
    below = [int((tensor < edge).sum()) for edge in edges] + [tensor.numel()]
    assert list(found.counts) == [b - a for a, b in pairwise(below)]


@pytest.mark.parametrize("layout", [Layout.of(tensor) for tensor in LARGE.values()], ids=LARGE)
@EVERY_NATIVE
def test_any_layout_is_read(layout: Layout, dtype: torch.dtype) -> None:
    view, buffer = layout.view(dtype)
    buffer.view(torch.uint8).fill_(0xFF)  # what lies between the elements is not a number
    view.copy_(sample(*view.shape))
    assert_alike(statistics(view, SCALE), reference(view, SCALE))


@given(layout=layouts(), dtype=st.sampled_from(NATIVE), isa=st.sampled_from(INSTRUCTION_SETS))
@settings(max_examples=150)
def test_any_strides_are_read(layout: Layout, dtype: torch.dtype, isa: str) -> None:
    view, buffer = layout.view(dtype)
    buffer.view(torch.uint8).fill_(0xFF)
    view.copy_(sample(*view.shape))
    with instruction_set(isa):
        assert_alike(statistics(view, SCALE), reference(view, SCALE))


def test_expanded_conjugated_and_negated_views_are_read() -> None:
    row = sample(1, 50)
    assert_alike(statistics(row.expand(40, 50), SCALE), reference(row.repeat(40, 1), SCALE))
    pairs = torch.view_as_complex(sample(70, 30, 2))
    assert_alike(statistics(pairs, SCALE), reference(torch.view_as_real(pairs), SCALE))
    conjugated = torch.view_as_real(pairs.conj().resolve_conj())
    assert_alike(statistics(pairs.conj(), SCALE), reference(conjugated, SCALE))
    assert_alike(statistics(pairs.conj().imag, SCALE), reference(conjugated[..., 1], SCALE))


@pytest.mark.parametrize("dtype", OTHERS, ids=str)
def test_what_the_kernel_does_not_read_goes_through_torch(dtype: torch.dtype) -> None:
    tensor = (sample(3000) * 2).to(dtype)
    found, plain = statistics(tensor, SCALE), tensor.double()
    assert (found.numel, found.min, found.max) == (3000, float(plain.min()), float(plain.max()))
    assert found.zeros == int((plain == 0).sum())
    assert found.mean == pytest.approx(float(plain.mean()), rel=1e-12)
    assert found.std == pytest.approx(float(plain.std(correction=0)), rel=1e-12)
    assert sum(found.counts) == 3000


# The same bits


@EVERY_NATIVE
@pytest.mark.parametrize("across", [False, True], ids=["along memory", "gathered"])
def test_threads_and_instruction_sets_change_nothing(dtype: torch.dtype, across: bool) -> None:
    tensor = sample(701, 977, dtype=dtype, mean=0.1)
    tensor[5, 5], tensor[600, 3] = math.nan, -math.inf
    tensor = tensor[:, ::3] if across else tensor
    with threads(1), instruction_set(INSTRUCTION_SETS[0]):
        expected = statistics(tensor, SCALE)
    for isa in INSTRUCTION_SETS:
        for count in (1, 2, 5):
            with threads(count), instruction_set(isa):
                assert statistics(tensor, SCALE) == expected, (isa, count)


def test_many_tensors_are_read_as_each_alone() -> None:
    tensors = [sample(n, dtype=dtype) for n in (0, 1, 70_000, 3, 200_000) for dtype in (*NATIVE, torch.float8_e5m2)]
    scales = [SCALE if i % 3 else NO_SCALE for i in range(len(tensors))]
    alone = [statistics(t, s) for t, s in zip(tensors, scales, strict=True)]
    for count in (1, 2, 5):
        with threads(count):
            # repr: an empty one's mean is NaN
            assert repr(survey(tensors, scales)) == repr(alone)


def test_parts_join_to_the_whole() -> None:
    tensor = sample(100_000, mean=5.0)
    tensor[70_000:] *= 3
    parts = [tensor[:10], tensor[10:10], tensor[10:65_000], torch.full((3,), math.nan), tensor[65_000:]]
    whole = torch.cat([tensor, torch.full((3,), math.nan)])
    assert_alike(joined(statistics(part, SCALE) for part in parts), reference(whole, SCALE))


# Accuracy


@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
@pytest.mark.parametrize(("dtype", "offset"), [(torch.float32, 1e6), (torch.float64, 1e12), (torch.bfloat16, 256.0)])
def test_an_offset_costs_no_accuracy(dtype: torch.dtype, offset: float, isa: str) -> None:
    tensor = (sample(300_000, dtype=torch.float64) + offset).to(dtype)
    exact = tensor.double() - offset
    with instruction_set(isa):
        found = statistics(tensor)
    assert found.mean - offset == pytest.approx(float(exact.mean()), abs=1e-15 * offset)
    assert found.std == pytest.approx(float(exact.std(correction=0)), rel=1e-11)


@EVERY_NATIVE
def test_a_constant_has_no_deviation(dtype: torch.dtype) -> None:
    found = statistics(torch.full((100_001,), 0.1, dtype=dtype), SCALE)
    assert (found.squares, found.std) == (0.0, 0.0)
    assert found.min == found.max == found.mean == float(torch.tensor(0.1, dtype=dtype))
    assert max(found.counts) == 100_001  # many times what a 16-bit counter holds


def test_an_outlier_in_the_first_place_costs_no_accuracy() -> None:
    tensor = sample(5000)
    tensor[0] = 1e20
    assert_alike(statistics(tensor), reference(tensor))


@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
@EVERY_NATIVE
def test_subnormal_numbers_are_not_zeros(dtype: torch.dtype, isa: str) -> None:
    least = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
    tensor = torch.tensor([0.0, -0.0, least, -least, 1.0], dtype=dtype).repeat(1000)
    before = torch.ones(1).mul(1e-40).item() == 0.0  # whether the mode flushes already
    for flush in (False, True):
        if not torch.set_flush_denormal(flush):
            continue
        try:
            with instruction_set(isa), threads(1):
                assert statistics(tensor).zeros == 2000
        finally:
            torch.set_flush_denormal(before)


# What is not finite


@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
@EVERY_NATIVE
def test_what_is_not_finite_is_counted_apart(dtype: torch.dtype, isa: str) -> None:
    tensor = sample(10_000, dtype=dtype)
    places = torch.randperm(10_000, generator=torch.Generator().manual_seed(1))
    tensor[places[:7]], tensor[places[7:12]], tensor[places[12:15]] = math.nan, math.inf, -math.inf
    with instruction_set(isa):
        found = statistics(tensor, SCALE)
    assert (found.nan, found.inf, found.minus_inf, found.finite) == (7, 5, 3, 9985)
    assert sum(found.counts) == 9985
    assert_alike(found, reference(tensor, SCALE))


@EVERY_NATIVE
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nothing_finite_at_all(dtype: torch.dtype, value: float) -> None:
    found = statistics(torch.full((5000,), value, dtype=dtype), SCALE)
    assert found.finite == 0
    assert sum(found.counts) == 0
    assert math.isnan(found.mean)
    assert math.isnan(found.std)
    assert math.isnan(found.min)


def test_the_first_of_a_block_may_be_anything() -> None:
    for value in (math.nan, math.inf, -math.inf):
        tensor = sample(2048 * 3)
        tensor[::2048] = value
        assert_alike(statistics(tensor, SCALE), reference(tensor, SCALE))


# The histogram


@EVERY_NATIVE
def test_values_on_an_edge_count_above_it(dtype: torch.dtype) -> None:
    scale = Scale(-64.0, 1.0)
    found = statistics(torch.arange(-70, 70, dtype=torch.float64).to(dtype), scale)
    assert found.counts == (7, *[1] * (CODES - 2), 7)
    assert scale.edges[0] == -63.0


def test_without_a_scale_nothing_is_counted() -> None:
    assert statistics(sample(1000)).counts == (0,) * CODES


# The operator


def test_what_the_operator_refuses() -> None:
    op = torch.ops.fastinit.statistics
    with pytest.raises(ValueError, match="an origin and a scale for each of 1"):
        op([torch.ones(3)], [0.0, 0.0], [1.0])
    with pytest.raises(ValueError, match="finite origin"):
        op([torch.ones(3)], [math.nan], [1.0])
    with pytest.raises(ValueError, match="scale >= 0"):
        op([torch.ones(3)], [0.0], [-1.0])
    with pytest.raises(NotImplementedError, match="not implemented for 'Long'"):
        op([torch.arange(3)], [0.0], [1.0])
    with pytest.raises(NotImplementedError, match="not implemented for 'ComplexFloat'"):
        op([torch.ones(3, dtype=torch.complex64)], [0.0], [1.0])


def test_the_operator_has_a_shape_on_meta_and_no_gradient() -> None:
    op = torch.ops.fastinit.statistics
    assert op([torch.empty(3, device="meta")] * 2, [0.0, 0.0], [1.0, 1.0]).shape == (2, 9 + CODES)
    parameter = torch.nn.Parameter(torch.ones(3))
    assert not op([parameter], [0.0], [1.0]).requires_grad
    torch.library.opcheck(op.default, ([torch.ones(5)], [0.0], [1.0]))
