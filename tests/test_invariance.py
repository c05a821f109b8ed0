"""A value depends on the key, its index, the law and the dtype: not on threads, instruction sets, layouts or company.

Equality here is equality of bits.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fastinit
from fastinit import _C, Key, shard
from laws import DTYPES, EVERY_LAW_AND_DTYPE, GRID, LAWS, NORMAL, UNIFORM, Law, fill, fresh, same, sliced
from layouts import LARGE, Layout, assert_nothing_else_is_written
from settings import instruction_set, threads
from strategies import layouts

INSTRUCTION_SETS = _C.facts()["isa_supported"]
THREADS = (1, 2, 3, 5)


# Threads and instruction sets


@EVERY_LAW_AND_DTYPE
def test_threads_and_instruction_sets_change_nothing(law: Law, dtype: torch.dtype) -> None:
    """Of a fill large enough to be divided, whether it is written along memory or across it."""
    key = Key(3, 2**32 - 5000)  # the lower half of the block counter wraps on the way
    with threads(1), instruction_set("baseline" if "baseline" in INSTRUCTION_SETS else None):
        expected = fresh(law, dtype, 331, 409, key=key)
    for name in INSTRUCTION_SETS:
        for count in THREADS:
            with threads(count), instruction_set(name):
                assert same(fresh(law, dtype, 331, 409, key=key), expected), (name, count)
                across = torch.empty(409, 331, dtype=dtype).t()
                assert same(fill(law, across, key), expected), (name, count, "transposed")


@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
@pytest.mark.parametrize("count", THREADS)
def test_the_zeros_of_a_sparse_matrix_are_the_same_on_any_threads(isa: str, count: int) -> None:
    law = ("sparse_", 0.3, 1.0)
    with threads(1):
        expected = fresh(law, torch.float32, 500, 301)
    with threads(count), instruction_set(isa):
        assert same(fresh(law, torch.float32, 500, 301), expected)
        assert same(fill(law, torch.empty(301, 500).t()), expected)


@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES if dtype.itemsize <= 2], ids=str)
@pytest.mark.parametrize("std", [1.0, 1e-3, 1e-7])
def test_a_narrow_dtype_holds_the_rounded_values_of_its_float32_twin(isa: str, dtype: torch.dtype, std: float) -> None:
    """Also where the narrow number is subnormal or 0."""
    law = ("normal_", 0.0, std)
    with instruction_set(isa):
        assert same(fresh(law, dtype, 2**17), fresh(law, torch.float32, 2**17).to(dtype))


@pytest.mark.parametrize(("dtype", "part"), [(torch.complex64, torch.float32), (torch.complex128, torch.float64)])
def test_a_complex_tensor_is_its_real_view(dtype: torch.dtype, part: torch.dtype) -> None:
    uniform = torch.view_as_real(fresh(UNIFORM, dtype, 50, 33))
    assert same(uniform, fresh(UNIFORM, part, 50, 33, 2))
    normal = torch.view_as_real(fresh(("normal_", 0.1, 3.0), dtype, 50, 33))
    assert same(normal, fresh(("normal_", 0.1, 3.0 / math.sqrt(2.0)), part, 50, 33, 2))


def test_several_python_threads_at_once_fill_what_each_would_alone() -> None:
    laws = [law for law in LAWS for _ in range(8)]
    expected = [fresh(law, torch.float32, 100_000, key=Key(i)) for i, law in enumerate(laws)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda i: fresh(laws[i], torch.float32, 100_000, key=Key(i)), range(len(laws))))
    assert all(map(same, results, expected))


def test_python_threads_that_share_a_generator_get_different_keys() -> None:
    """Which thread gets which is a matter of chance, but together they get what one alone would have got."""

    def draw(generator: torch.Generator) -> tuple[float, ...]:
        return tuple(fill(UNIFORM, torch.empty(3), generator).tolist())

    alone, shared = (torch.Generator().manual_seed(1) for _ in range(2))
    expected = {draw(alone) for _ in range(400)}
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: draw(shared), range(400))) == expected
    assert torch.equal(alone.get_state(), shared.get_state())


# Layouts


@pytest.mark.parametrize("layout", [Layout.of(tensor) for tensor in LARGE.values()], ids=LARGE)
@EVERY_LAW_AND_DTYPE
def test_layouts_change_nothing(layout: Layout, law: Law, dtype: torch.dtype) -> None:
    view, buffer = layout.view(dtype)
    assert same(fill(law, view), fresh(law, dtype, *view.shape))
    assert_nothing_else_is_written(view, buffer)


@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float8_e5m2], ids=str)
def test_columns_that_no_cache_holds_are_filled_alike(isa: str, dtype: torch.dtype) -> None:
    """More than four million elements, whose columns begin on a line of the cache, beside one, and with gaps."""
    rows, columns = 2064, 2050
    expected = fresh(NORMAL, dtype, rows, columns)
    for stride, offset in ((rows, 0), (rows, 1), (rows + 1, 0), (rows + 16, 16)):
        view, buffer = Layout((rows, columns), (1, stride), offset).view(dtype)
        with instruction_set(isa):
            assert same(fill(NORMAL, view), expected), (stride, offset)
        assert_nothing_else_is_written(view, buffer)


@given(
    layout=layouts(),
    law_and_dtype=st.sampled_from(GRID),
    isa=st.sampled_from(INSTRUCTION_SETS),
    seed=st.integers(0, 2**64 - 1),
    offset=st.sampled_from([0, 2**32 - 10, 2**64 - 10]),
)
@settings(max_examples=300)
def test_any_strides_change_nothing(
    layout: Layout, law_and_dtype: tuple[Law, torch.dtype], isa: str, seed: int, offset: int
) -> None:
    law, dtype = law_and_dtype
    tensor, buffer = layout.view(dtype)
    with instruction_set(isa):
        assert same(fill(law, tensor, Key(seed, offset)), fresh(law, dtype, *layout.shape, key=Key(seed, offset)))
    assert_nothing_else_is_written(tensor, buffer)


@given(layout=layouts(2), std=st.sampled_from([1.0, 0.0]), sparsity=st.floats(0, 1))
def test_sparse_matrices_of_any_strides_are_the_same(layout: Layout, std: float, sparsity: float) -> None:
    law = ("sparse_", sparsity, std)
    tensor, buffer = layout.view(torch.float32)
    assert same(fill(law, tensor), fresh(law, torch.float32, *layout.shape))
    assert_nothing_else_is_written(tensor, buffer)


@given(layout=layouts(), dtype=st.sampled_from(DTYPES))
def test_constants_fill_any_strides_and_nothing_else(layout: Layout, dtype: torch.dtype) -> None:
    tensor, buffer = layout.view(dtype)
    fastinit.constant_(tensor, 0.3)
    assert same(tensor, torch.tensor(0.3, dtype=dtype).expand(layout.shape))
    assert_nothing_else_is_written(tensor, buffer)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_constants_fill_large_tensors_from_any_place_in_memory(dtype: torch.dtype) -> None:
    """Past four megabytes they are written around the cache, in blocks of 64 bytes."""
    for count, offset in ((5_000_000 // dtype.itemsize, 0), (5_000_011 // dtype.itemsize, 1), (4_500_000, 7)):
        tensor, buffer = Layout((count,), (1,), offset).view(dtype)
        fastinit.constant_(tensor, 0.3)
        assert same(tensor, torch.full((count,), 0.3, dtype=dtype))
        assert_nothing_else_is_written(tensor, buffer)


@given(
    law_and_dtype=st.sampled_from(GRID),
    begin=st.integers(0, 5000),
    length=st.integers(0, 5000),
    position=st.sampled_from([0, 2**32 - 2500, 10**12 + 1]),
    misaligned=st.integers(0, 16),
)
@settings(max_examples=200)
def test_any_range_of_a_tensor_is_filled_as_the_whole(
    law_and_dtype: tuple[Law, torch.dtype], begin: int, length: int, position: int, misaligned: int
) -> None:
    """Also where indices no longer fit 32 bits, and wherever the range starts in memory."""
    law, dtype = law_and_dtype
    whole = sliced(law, dtype, position, position + 10_000)
    part = torch.empty(misaligned + length, dtype=dtype)[misaligned:]
    fill(law, shard(part, (position + 10_000,), (position + begin,)))
    assert same(part, whole[begin : begin + length])


def test_a_negated_view_reads_as_it_was_filled() -> None:
    """The imaginary part of a conjugate is a view whose sign bit is flipped on reading."""
    view = torch.zeros(100, dtype=torch.complex64).conj().imag
    assert view.is_neg()
    assert same(fill(NORMAL, view), fresh(NORMAL, torch.float32, 100))


@pytest.mark.parametrize("law", [*LAWS, ("sparse_", 0.5, 1.0)], ids=str)
def test_elements_that_share_memory_are_refused(law: Law) -> None:
    """An expanded dimension; nothing is written and nothing is drawn."""
    column = torch.full((5, 1), 7.0)
    generator = torch.Generator().manual_seed(2)
    before = generator.get_state()
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor refers to a single memory"):
        fill(law, column.expand(5, 3), generator)
    assert torch.equal(column, torch.full((5, 1), 7.0))
    assert torch.equal(generator.get_state(), before)


# Sizes beyond 32 bits


def test_more_elements_than_32_bits_can_count() -> None:
    """The head, the middle and the tail of two gigabytes, written as one fill; and the last element is the last."""
    law, dtype, count = UNIFORM, torch.float8_e5m2, 2**31 + 5000
    buffer = torch.empty(count + 64, dtype=torch.uint8)
    buffer[count:] = 0xA5
    tensor = fill(law, buffer[:count].view(dtype), Key(12))
    for begin in (0, 2**31 - 5000, 2**31 - 3, count - 4999):
        end = min(begin + 5000, count)
        assert same(tensor[begin:end], sliced(law, dtype, begin, end, Key(12)))
    # A block holds four values: the same from a key that starts there.
    assert same(tensor[2**31 :], fresh(law, dtype, 5000, key=Key(12, 2**29)))
    assert torch.equal(buffer[count:], torch.full((64,), 0xA5, dtype=torch.uint8))


@pytest.mark.parametrize("law", [UNIFORM, NORMAL], ids=str)
def test_strides_beyond_32_bits(law: Law) -> None:
    """Memory that is never touched costs nothing, so rows may lie gigabytes apart."""
    buffer = torch.empty(2**32 + 2**20, dtype=torch.uint8)
    for shape, strides in (((3, 1000), (2**31 + 7, 1)), ((1000, 3), (1, 2**31 + 7)), ((3, 100), (2**31 + 8, 2))):
        view = buffer.view(torch.float8_e5m2).as_strided(shape, strides, 5)
        assert same(fill(law, view), fresh(law, torch.float8_e5m2, *shape))


# Generators


def test_a_fill_takes_one_number_of_64_bits_from_a_generator_whatever_it_fills() -> None:
    for law, dtype in [*GRID, (("sparse_", 0.5, 1.0), torch.float32)]:
        for shape in ((1, 1), (300, 301)):
            ours, theirs = (torch.Generator().manual_seed(6) for _ in range(2))
            fill(law, torch.empty(shape, dtype=dtype), ours)
            torch.empty(1, dtype=torch.int64).random_(-(2**63), None, generator=theirs)
            assert torch.equal(ours.get_state(), theirs.get_state()), (law, dtype, shape)


def test_a_state_that_is_set_again_replays_the_fills_that_followed_it() -> None:
    generator = torch.Generator().manual_seed(2**60 + 1)
    fill(NORMAL, torch.empty(10), generator)
    state = generator.get_state()
    first = [fill(law, torch.empty(77), generator) for law in LAWS]
    generator.set_state(state)
    assert all(same(fill(law, torch.empty(77), generator), x) for law, x in zip(LAWS, first, strict=True))
    other = torch.Generator()
    other.set_state(state)
    assert same(fill(LAWS[0], torch.empty(77), other), first[0])


@pytest.mark.parametrize("law", [*LAWS, ("sparse_", 0.5, 1.0)], ids=str)
def test_what_writes_nothing_draws_nothing(law: Law) -> None:
    generator = torch.Generator().manual_seed(3)
    before = generator.get_state()
    fill(law, torch.empty(0, 4), generator)
    fill(law, torch.empty(4, 0), generator)
    fill(law, torch.empty(4, 4, device="meta"), generator)
    with pytest.raises(NotImplementedError):
        fill(law, torch.empty(4, 4, dtype=torch.int64), generator)
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize(
    ("law", "error"),
    [
        (("uniform_", 1.0, 0.0), RuntimeError),
        (("uniform_", math.nan, 1.0), RuntimeError),
        (("normal_", 0.0, -1.0), RuntimeError),
        (("normal_", 0.0, math.nan), RuntimeError),
        (("trunc_normal_", 0.0, -1.0, -2.0, 2.0), RuntimeError),
        (("trunc_normal_", 0.0, 1.0, 2.0, -2.0), RuntimeError),
        (("trunc_normal_", math.nan, 1.0, -2.0, 2.0), RuntimeError),
        (("sparse_", -0.1, 1.0), ValueError),
        (("sparse_", 0.5, -1.0), RuntimeError),
    ],
    ids=str,
)
def test_a_refused_call_writes_nothing_and_draws_nothing(law: Law, error: type[Exception]) -> None:
    tensor = torch.full((4, 4), 7.0)
    generator = torch.Generator().manual_seed(3)
    before = generator.get_state()
    with pytest.raises(error):
        fill(law, tensor, generator)
    assert torch.equal(tensor, torch.full((4, 4), 7.0))
    assert torch.equal(generator.get_state(), before)


# The state of the process


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_flushing_subnormal_numbers_changes_nothing(dtype: torch.dtype) -> None:
    """Values and constants of ordinary size, though those of narrow dtypes are subnormal there."""
    laws: list[Law] = [*LAWS, ("normal_", 0.0, 1e-3), ("normal_", 0.0, 1e-7), ("uniform_", -1e-6, 1e-6)]
    laws += [("trunc_normal_", 0.0, 1.0, *bounds) for bounds in ((100.0, math.inf), (0.0, 1e-6), (30.0, 30.001))]
    for law in laws:
        if dtype.is_complex and law[0] == "trunc_normal_":
            continue
        for name in INSTRUCTION_SETS:
            with instruction_set(name), threads(1):
                expected = fresh(law, dtype, 20_000)
                assert torch.set_flush_denormal(True)
                try:
                    assert same(fresh(law, dtype, 20_000), expected), (law, name)
                    assert same(fill(law, torch.empty(200, 100, dtype=dtype).t()), expected.view(100, 200)), (law, name)
                finally:
                    torch.set_flush_denormal(False)


FORK = """
    import os, signal, sys, torch, fastinit

    def fills():
        # Flat, across memory, and the pattern of a constant: each is divided among threads.
        key = fastinit.Key(1)
        flat = fastinit.normal_(torch.empty(3_000_000), generator=key)
        across = fastinit.trunc_normal_(torch.empty(1000, 2000).t(), generator=key)
        sparse = fastinit.sparse_(torch.empty(2000, 700), 0.5, generator=key)
        constant = fastinit.constant_(torch.empty(3_000_000), 3.0)
        return [hash(bytes(t.contiguous().view(torch.uint8).numpy())) for t in (flat, across, sparse, constant)]

    torch.set_num_threads(2)
    expected = fills()  # now the pool has threads, which a child will not have
    torch.ones(3_000_000).exp_()
    for _ in range(2):
        child = os.fork()
        if child == 0:
            signal.alarm(60)  # a child that waits for threads for ever is killed
            os._exit(0 if fills() == expected else 1)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code != 0:
            sys.exit(f"the child ended with {code}")
    assert fills() == expected  # and the parent is none the worse
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_fills_the_same_values_after_its_parent_has_used_threads() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(FORK)],
        cwd=Path(fastinit.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
