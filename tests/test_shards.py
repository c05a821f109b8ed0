"""Shards: whoever holds a part writes exactly that part of the whole."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fastinit
from fastinit import Key, Shard, shard
from initializers import ALL, RANDOM, Initializer

RANDOM_TYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
OUTSIDE = -77.0


@st.composite
def blocks(draw: st.DrawFn, initializer: Initializer) -> tuple[tuple[int, ...], tuple[slice, ...]]:
    """A shape that the initializer takes, and a block of it: possibly empty, possibly all of it."""
    dimensions = draw(st.sampled_from(initializer.dimensions))
    shape = [draw(st.integers(1, 9)) for _ in range(dimensions)]
    shape[0] *= initializer.groups
    if initializer.tall:
        shape[0] = max(shape[:2])
    ends = [sorted((draw(st.integers(0, size)), draw(st.integers(0, size)))) for size in shape]
    return tuple(shape), tuple(slice(*pair) for pair in ends)


def starts(block: tuple[slice, ...]) -> list[int]:
    return [part.start for part in block]


@pytest.mark.parametrize("initializer", ALL, ids=str)
@given(data=st.data())
@settings(max_examples=40)
def test_a_shard_is_exactly_the_slice_of_the_whole(initializer: Initializer, data: st.DataObject) -> None:
    """Any block of any shape, of any strides, with a key; and not one element outside the block is written."""
    shape, block = data.draw(blocks(initializer))
    dtype = data.draw(st.sampled_from([torch.float32] if "trunc" in initializer.name else RANDOM_TYPES))
    order = data.draw(st.permutations(range(len(shape))))
    key = Key(data.draw(st.integers(0, 2**64 - 1)), data.draw(st.integers(0, 2**64 - 1)))

    whole = initializer(torch.empty(shape, dtype=dtype), key)

    memory = torch.full([shape[axis] for axis in order], OUTSIDE, dtype=dtype)
    surroundings = memory.permute([order.index(axis) for axis in range(len(shape))])  # of whole's shape, other strides
    target = shard(surroundings[block], shape, starts(block))
    assert initializer(target, key) is target

    expected = torch.full(shape, OUTSIDE, dtype=dtype)
    expected[block] = whole[block]
    assert torch.equal(surroundings, expected)


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_the_parts_of_a_partition_make_up_the_whole(initializer: Initializer) -> None:
    shape = initializer.shape
    whole = initializer(torch.empty(shape), Key(9))
    parts = torch.full(shape, OUTSIDE)
    for rows in (slice(0, 1), slice(1, 4), slice(4, 6)):
        for columns in (slice(0, 3), slice(3, 5)):
            initializer(
                shard(parts[rows, columns], shape, (rows.start, columns.start, *[0] * (len(shape) - 2))), Key(9)
            )
    assert torch.equal(parts, whole)


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
@pytest.mark.parametrize("size", [0, 2, 6])
def test_every_shard_advances_a_generator_as_the_whole_does(initializer: Initializer, size: int) -> None:
    """Ranks that hold different parts, or none, of the same tensor stay in step."""
    shape = initializer.shape
    ours, theirs = (torch.Generator().manual_seed(4) for _ in range(2))
    whole = initializer(torch.empty(shape), theirs)
    part = torch.empty(size, *shape[1:])
    initializer(shard(part, shape, (6 - size, *[0] * (len(shape) - 1))), ours)
    assert torch.equal(part, whole[6 - size :])
    assert torch.equal(ours.get_state(), theirs.get_state())


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_the_default_generator_serves_shards_too(initializer: Initializer) -> None:
    torch.manual_seed(8)
    whole = initializer(torch.empty(initializer.shape))
    torch.manual_seed(8)
    part = torch.empty(2, *initializer.shape[1:])
    initializer(shard(part, initializer.shape, (3, *[0] * (len(initializer.shape) - 1))))
    assert torch.equal(part, whole[3:5])


def test_fans_are_those_of_the_whole() -> None:
    part = torch.empty(2, 3, dtype=torch.float64)
    fastinit.xavier_uniform_(shard(part, (200, 400), (0, 0)), generator=Key(1))
    assert part.abs().max() <= (6 / 600) ** 0.5
    assert fastinit.fans(shard(part, (200, 400), (0, 0))) == (400, 200)


def test_a_shard_of_a_tensor_too_large_for_memory() -> None:
    """Indices are 64 bits wide: two neighbours far out are two slices of the same stream."""
    shape = (2**31, 2**20)
    row = torch.empty(1, 64)
    fastinit.normal_(shard(row, shape, (2**31 - 1, 2**20 - 64)), generator=Key(1))
    half = torch.empty(1, 32)
    fastinit.normal_(shard(half, shape, (2**31 - 1, 2**20 - 32)), generator=Key(1))
    assert torch.equal(half, row[:, 32:])
    assert not torch.equal(row, fastinit.normal_(torch.empty(1, 64), generator=Key(1)))


def test_a_parameter_may_be_the_local_part() -> None:
    parameter = torch.nn.Parameter(torch.empty(2, 4))
    version = parameter._version
    target = shard(parameter, (6, 4), (2, 0))
    assert fastinit.normal_(target, generator=Key(1)) is target
    assert parameter._version > version
    assert torch.equal(parameter, fastinit.normal_(torch.empty(6, 4), generator=Key(1))[2:4])


def test_meta_shards_are_left_alone() -> None:
    for initializer in ALL:
        target = shard(torch.empty(initializer.shape, device="meta"), initializer.shape, [0] * len(initializer.shape))
        assert initializer(target) is target


def test_kaiming_warns_of_an_empty_whole_and_not_of_an_empty_part() -> None:
    fastinit.kaiming_normal_(shard(torch.empty(0, 4), (6, 4), (2, 0)))  # warnings are errors here
    with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op"):
        fastinit.kaiming_normal_(shard(torch.empty(0, 4), (0, 4), (0, 0)))


# What `shard` accepts


def test_shapes_and_offsets_may_be_any_sequence_of_integers() -> None:
    target = shard(torch.empty(2, 3), torch.Size((4, 3)), [torch.tensor(1), 0])  # type: ignore[list-item]
    assert (target.global_shape, target.global_offset, target.shape) == ((4, 3), (1, 0), (4, 3))
    assert type(target.global_offset[0]) is int


@pytest.mark.parametrize(
    ("shape", "offset", "message"),
    [
        ((4,), (0, 0), "global_shape must have one entry a dimension"),
        ((4, 3), (0,), "global_offset must have one entry a dimension"),
        ((4, 3, 1), (0, 0, 0), "global_shape must have one entry a dimension"),
        ((1, 3), (0, 0), r"takes \[0, 2\) of 1 in dimension 0"),
        ((4, 3), (3, 0), r"takes \[3, 5\) of 4 in dimension 0"),
        ((4, 3), (0, 1), r"takes \[1, 4\) of 3 in dimension 1"),
        ((4, 3), (-1, 0), r"takes \[-1, 1\) of 4 in dimension 0"),
        ((4.0, 3), (0, 0), "global_shape must be a sequence of integers"),
        ((4, 3), (0, "0"), "global_offset must be a sequence of integers"),
        ((4, 3), (False, 0), "global_offset must be a sequence of integers"),
        ((2**40, 2**40), (0, 0), "more elements than a 64-bit index can count"),
    ],
)
def test_a_block_that_is_not_in_the_whole_is_refused(shape: Any, offset: Any, message: str) -> None:
    for make in (shard, Shard):
        with pytest.raises(ValueError, match=message):
            make(torch.empty(2, 3), shape, offset)


@pytest.mark.parametrize("local", [[1.0], None, 3.0])
def test_what_cannot_be_filled_has_no_shards(local: Any) -> None:
    with pytest.raises(TypeError, match=r"expected a torch\.Tensor"):
        shard(local, (4,), (0,))


def test_a_shard_is_no_shard_of_another() -> None:
    inner = shard(torch.empty(2, 3), (4, 3), (0, 0))
    with pytest.raises(TypeError, match="but got Shard"):
        shard(inner, (8, 3), (0, 0))  # type: ignore[arg-type]


def test_a_shard_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        shard(torch.empty(2), (4,), (0,)).global_offset = (1,)  # type: ignore[misc]
