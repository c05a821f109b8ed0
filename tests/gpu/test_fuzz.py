"""Layouts, slices and keys that nobody thought of: what hypothesis draws is filled on the device and on the CPU."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("hypothesis")

from hypothesis import given, settings
from hypothesis import strategies as st

import fastinit
from fastinit import Key, shard
from gpu.device import DEVICE, poisoned
from laws import DTYPES, GRID, Law, fill, fresh, same, sliced
from layouts import Layout, assert_nothing_else_is_written
from strategies import layouts

pytestmark = pytest.mark.gpu


@given(
    layout=layouts(),
    law_and_dtype=st.sampled_from(GRID),
    seed=st.integers(0, 2**64 - 1),
    offset=st.sampled_from([0, 2**32 - 10, 2**64 - 10]),
)
@settings(max_examples=500)
def test_any_strides(layout: Layout, law_and_dtype: tuple[Law, torch.dtype], seed: int, offset: int) -> None:
    law, dtype = law_and_dtype
    tensor, buffer = layout.view(dtype, DEVICE)
    assert same(fill(law, tensor, Key(seed, offset)), fresh(law, dtype, *layout.shape, key=Key(seed, offset)))
    assert_nothing_else_is_written(tensor, buffer)


@given(layout=layouts(), data=st.data(), law_and_dtype=st.sampled_from(GRID))
@settings(max_examples=300)
def test_any_slice_in_any_strides(layout: Layout, data: st.DataObject, law_and_dtype: tuple[Law, torch.dtype]) -> None:
    law, dtype = law_and_dtype
    tensor, buffer = layout.view(dtype, DEVICE)
    offset = [data.draw(st.integers(0, 40)) for _ in layout.shape]
    whole = [start + size + data.draw(st.integers(0, 40)) for start, size in zip(offset, layout.shape, strict=True)]
    fill(law, shard(tensor, whole, offset))
    other = torch.empty(layout.shape, dtype=dtype)
    fill(law, shard(other, whole, offset))
    assert same(tensor, other)
    assert_nothing_else_is_written(tensor, buffer)


@given(
    law_and_dtype=st.sampled_from(GRID),
    begin=st.integers(0, 5000),
    length=st.integers(0, 5000),
    position=st.sampled_from([0, 2**32 - 2500, 10**12 + 1]),
    misaligned=st.integers(0, 16),
)
@settings(max_examples=300)
def test_any_range(
    law_and_dtype: tuple[Law, torch.dtype], begin: int, length: int, position: int, misaligned: int
) -> None:
    law, dtype = law_and_dtype
    part = poisoned(misaligned + length, dtype=dtype)[misaligned:]
    fill(law, shard(part, (position + 10_000,), (position + begin,)))
    assert same(part, sliced(law, dtype, position + begin, position + begin + length))


@given(layout=layouts(2), std=st.sampled_from([1.0, 0.0]), sparsity=st.floats(0, 1))
def test_sparse_matrices_of_any_strides(layout: Layout, std: float, sparsity: float) -> None:
    law = ("sparse_", sparsity, std)
    tensor, buffer = layout.view(torch.float32, DEVICE)
    assert same(fill(law, tensor), fresh(law, torch.float32, *layout.shape))
    assert_nothing_else_is_written(tensor, buffer)


@given(layout=layouts(), dtype=st.sampled_from(DTYPES))
def test_constants_of_any_strides(layout: Layout, dtype: torch.dtype) -> None:
    tensor, buffer = layout.view(dtype, DEVICE)
    fastinit.constant_(tensor, 0.3)
    assert same(tensor, torch.tensor(0.3, dtype=dtype).expand(layout.shape))
    assert_nothing_else_is_written(tensor, buffer)


@given(layout=layouts(2))
def test_identities_of_any_strides(layout: Layout) -> None:
    tensor, buffer = layout.view(torch.float32, DEVICE)
    assert same(fastinit.eye_(tensor), fastinit.eye_(torch.empty(layout.shape)))
    assert_nothing_else_is_written(tensor, buffer)
