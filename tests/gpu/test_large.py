"""Sizes that 32 bits cannot count, in elements or in bytes, and samples so large that a rare word would tell.

A slice drawn alone on the CPU, with `fastinit.shard`, is what the whole must hold there.
"""

from __future__ import annotations

import math
import os

import pytest
import torch
from torch import Tensor

import fastinit
from fastinit import Key, shard
from gpu.device import DEVICE, identical, needs, poisoned
from laws import GRID, NORMAL, TRUNCATED, UNIFORM, Law, fill, same, sliced

pytestmark = pytest.mark.gpu

KEY = Key(2**63 + 12, 2**32 - 77)
# A rehearsal is about the tests, not about sizes: everything is so many times smaller there.
SCALE = 1 if DEVICE.type == "cuda" else 2**12
GIB = 2**30 // SCALE


def places(count: int, itemsize: int, width: int) -> list[int]:
    """Where to look: head, middle and tail, and on both sides of where a count of 31 or 32 bits would end."""
    turns = [2**31 // SCALE, 2**32 // SCALE, 2**31 // SCALE // itemsize, 2**32 // SCALE // itemsize]
    found = {0, count // 2 - 3, count - width, *(turn - width // 2 for turn in turns)}
    return sorted(begin for begin in found if 0 <= begin <= count - width)


# More than 2^32 bytes, and more than 2^32 elements.
COUNTS = {
    torch.float32: GIB + 5003,
    torch.float64: GIB // 2 + 5003,
    torch.complex64: GIB // 2 + 5003,
    torch.bfloat16: 4 * GIB + 5003,
    torch.float8_e5m2: 4 * GIB + 5003,
}


@pytest.mark.parametrize(("law", "dtype"), [case for case in GRID if case[1] in COUNTS], ids=str)
def test_more_than_32_bits_can_count(law: Law, dtype: torch.dtype) -> None:
    count = COUNTS[dtype]
    needs(int(1.1 * count * dtype.itemsize))
    tensor = fill(law, poisoned(count + 64, dtype=dtype)[:count], KEY)
    for begin in places(count, dtype.itemsize, 5000):
        assert same(tensor[begin : begin + 5000], sliced(law, dtype, begin, begin + 5000, KEY)), begin
    # A block holds four values: the tail is the head of a fill from a key that starts there.
    if dtype.itemsize <= 4:
        at = count // 4 - 1000
        assert same(tensor[4 * at :], sliced(law, dtype, 0, count - 4 * at, Key(KEY.seed, KEY.offset + at)))


@pytest.mark.parametrize("law", [NORMAL, TRUNCATED[0]], ids=str)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn], ids=str)
def test_transposed_matrices_of_more_than_2_to_the_32_elements(law: Law, dtype: torch.dtype) -> None:
    rows, columns = 2**16 // math.isqrt(SCALE) + 37, 2**16 // math.isqrt(SCALE) + 11
    needs(int(1.1 * rows * columns * dtype.itemsize))
    matrix = fill(law, poisoned(columns, rows, dtype=dtype).t(), KEY)
    for row, column in (
        (0, 0),
        (rows // 2, columns // 2),
        (rows - 30, 0),
        (0, columns - 40),
        (rows - 30, columns - 40),
    ):
        part = torch.empty(30, 40, dtype=dtype)
        fill(law, shard(part, (rows, columns), (row, column)), KEY)
        assert same(matrix[row : row + 30, column : column + 40], part), (row, column)


@pytest.mark.parametrize("law", [UNIFORM, NORMAL], ids=str)
def test_strides_beyond_32_bits(law: Law) -> None:
    needs(5 * GIB)
    buffer = torch.empty(4 * GIB + 2**20, dtype=torch.uint8, device=DEVICE)
    far = 2 * GIB + 7
    for shape, strides in (((3, 1000), (far, 1)), ((1000, 3), (1, far)), ((3, 100), (far + 1, 2))):
        view = buffer.view(torch.float8_e5m2).as_strided(shape, strides, 5)
        view.view(torch.uint8).fill_(0xA5)
        assert same(fill(law, view, KEY), fill(law, torch.empty(shape, dtype=torch.float8_e5m2), KEY))


def test_constants_and_ones_beyond_2_to_the_32_bytes() -> None:
    count = 4 * GIB + 333
    needs(int(2.2 * count))
    tensor = poisoned(count + 64, dtype=torch.uint8)
    fastinit.constant_(tensor[:count], 7)
    assert bool((tensor[:count] == 7).all())
    assert bool((tensor[count:] == 0xA5).all())
    del tensor
    side = math.isqrt(count)
    eye = fastinit.eye_(poisoned(side, side + 5, dtype=torch.int8))
    assert bool((eye.diagonal() == 1).all())
    assert int(eye.sum(dtype=torch.int64)) == side


@pytest.mark.parametrize("law", [UNIFORM, NORMAL, *TRUNCATED], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_billion_values_are_those_of_the_cpu(law: Law, dtype: torch.dtype) -> None:
    """Every bit of them: a square root, a division or a rounding that is wrong for one word in a million would show."""
    count = 2**28 // SCALE  # for each of four keys
    needs(3 * count * dtype.itemsize)
    ours, theirs = poisoned(count, dtype=dtype), torch.empty(count, dtype=dtype)
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    try:
        for number in range(4):
            key = Key(1000 + number)
            assert identical(fill(law, ours, key), fill(law, theirs, key).to(DEVICE)), key
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("law", [NORMAL, TRUNCATED[1], TRUNCATED[2], TRUNCATED[3]], ids=str)
def test_sixteen_million_values_of_double_precision_are_those_of_the_cpu(law: Law) -> None:
    count = 2**24 // SCALE
    ours: Tensor = fill(law, poisoned(count, dtype=torch.float64), KEY)
    assert identical(ours, fill(law, torch.empty(count, dtype=torch.float64), KEY).to(DEVICE))
