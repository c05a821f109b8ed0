"""Many tensors in one call get what a call for each would write, and take from a generator what those would take.

Most of this holds on any device; what is special to a GPU is that they share launches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

import fastinit
from fastinit import Key, foreach, shard
from gpu.device import DEVICE, generator, poisoned
from laws import DTYPES, same

pytestmark = pytest.mark.gpu

Fill = Callable[..., Any]

# Each random fill: for many, for one, and its parameters.
RANDOM: dict[str, tuple[Fill, Fill, tuple[float, ...]]] = {
    "uniform_": (foreach.uniform_, fastinit.uniform_, (-0.5, 2.0)),
    "normal_": (foreach.normal_, fastinit.normal_, (0.25, 0.5)),
    "trunc_normal_, central": (foreach.trunc_normal_, fastinit.trunc_normal_, (0.0, 1.0, -2.0, 2.0)),
    "trunc_normal_, full": (foreach.trunc_normal_, fastinit.trunc_normal_, (0.0, 1.0, -3.0, 3.0)),
    "trunc_normal_, tail": (foreach.trunc_normal_, fastinit.trunc_normal_, (0.0, 1.0, 2.0, 4.0)),
    "trunc_normal_, narrow": (foreach.trunc_normal_, fastinit.trunc_normal_, (0.0, 1.0, 0.3, 0.31)),
    "trunc_normal_, a point": (foreach.trunc_normal_, fastinit.trunc_normal_, (0.0, 0.0, -2.0, 2.0)),
}
EVERY_FILL = pytest.mark.parametrize("name", RANDOM)
# From nothing to millions of elements, around the ends of groups and tiles.
SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 64, 255, 257, 1000, 4095, 4096, 4097, 16_385, 65_536, 2**20 + 1, 2**22)


def one_by_one(fill: Fill, tensors: Sequence[Tensor], source: Any, *parameters: float) -> None:
    """A call for each, in order."""
    for tensor in tensors:
        fill(tensor, *parameters, generator=source)


def lists(shapes: Sequence[tuple[int, ...]], dtypes: Sequence[torch.dtype]) -> tuple[list[Tensor], list[Tensor]]:
    """Twice the same tensors."""
    first, second = (
        [poisoned(*shape, dtype=dtypes[place % len(dtypes)]) for place, shape in enumerate(shapes)] for _ in range(2)
    )
    return first, second


def assert_same_fills(name: str, first: list[Tensor], second: list[Tensor]) -> None:
    """By the device's generator, by the CPU's, and by the default one: values, and the state they leave."""
    many, one, parameters = RANDOM[name]
    for make in (lambda: generator(5), lambda: torch.Generator().manual_seed(5)):
        ours, theirs = make(), make()
        assert many(first, *parameters, generator=ours) is first
        one_by_one(one, second, theirs, *parameters)
        assert all(map(same, first, second))
        assert torch.equal(ours.get_state(), theirs.get_state())
    torch.manual_seed(6)
    many(first, *parameters)
    torch.manual_seed(6)
    one_by_one(one, second, None, *parameters)
    assert all(map(same, first, second))


@EVERY_FILL
def test_sizes_from_nothing_to_millions(name: str) -> None:
    assert_same_fills(name, *lists([(size,) for size in SIZES], [torch.float32]))


@EVERY_FILL
def test_types_side_by_side(name: str) -> None:
    dtypes = [dtype for dtype in DTYPES if not (dtype.is_complex and name.startswith("trunc"))]
    assert_same_fills(name, *lists([(11, 13)] * 3 * len(dtypes) + [(5, 1001)] * len(dtypes), dtypes))


@EVERY_FILL
def test_thousands_of_small_tensors(name: str) -> None:
    """More than one launch can describe."""
    shapes = [(1 + number % 70, 1 + number % 9) for number in range(3000)]
    assert_same_fills(name, *lists(shapes, [torch.float32, torch.bfloat16]))


@EVERY_FILL
def test_layouts_side_by_side(name: str) -> None:
    """Transposed, channels-last and misaligned members among contiguous ones."""

    def make() -> list[Tensor]:
        nchw = poisoned(4, 7, 9, 5)
        return [
            poisoned(64, 33),
            poisoned(33, 64).t(),
            nchw.permute(0, 3, 1, 2),
            poisoned(1001)[1:],
            poisoned(40, 50)[5:30, 7:41],
            poisoned(3),
        ]

    assert_same_fills(name, make(), make())


@EVERY_FILL
def test_a_key_is_folded_with_the_place_in_the_list(name: str) -> None:
    many, one, parameters = RANDOM[name]
    tensors, others = lists([(size,) for size in SIZES[:-2]], [torch.float32, torch.float64])
    many(tensors, *parameters, generator=Key(8, 2**32 - 100))
    for place, other in enumerate(others):
        one(other, *parameters, generator=Key(8, 2**32 - 100).fold_in(place))
    assert all(map(same, tensors, others))


@EVERY_FILL
def test_keys_of_their_own(name: str) -> None:
    many, one, parameters = RANDOM[name]
    tensors, others = lists([(size,) for size in SIZES[:-2]], [torch.bfloat16, torch.float32])
    keys = [Key(3).fold_in(f"layer {place}") for place in range(len(tensors))]
    many(tensors, *parameters, generator=keys)
    for other, key in zip(others, keys, strict=True):
        one(other, *parameters, generator=key)
    assert all(map(same, tensors, others))


def test_parameters_of_their_own() -> None:
    """Standard deviations and bounds that differ, so that different forms serve the members of one list."""
    tensors, others = lists([(300, number + 1) for number in range(60)], [torch.float32])
    stds = [0.02 * (number + 1) for number in range(60)]
    foreach.normal_(tensors, 0.0, stds, generator=Key(1))
    for place, other in enumerate(others):
        fastinit.normal_(other, 0.0, stds[place], generator=Key(1).fold_in(place))
    assert all(map(same, tensors, others))
    lows = [-2.0, -3.0, 2.0, 0.3, -100.0, 8.0] * 10
    highs = [2.0, 3.0, 4.0, 0.31, 100.0, 9.0] * 10
    foreach.trunc_normal_(tensors, 0.0, 1.0, lows, highs, generator=Key(2))
    for place, other in enumerate(others):
        fastinit.trunc_normal_(other, 0.0, 1.0, lows[place], highs[place], generator=Key(2).fold_in(place))
    assert all(map(same, tensors, others))


@pytest.mark.parametrize("many", [foreach.ones_, foreach.zeros_], ids=["ones_", "zeros_"])
def test_constants_of_any_type_size_and_layout(many: Fill) -> None:
    dtypes = [*DTYPES, torch.int8, torch.int64]
    tensors, _ = lists([(size,) for size in SIZES] * 4, dtypes)
    tensors += [poisoned(33, 64).t(), poisoned(1001)[1:]]
    assert many(tensors) is tensors
    value = 1 if many is foreach.ones_ else 0
    assert all(same(tensor, torch.full(tensor.shape, value, dtype=tensor.dtype)) for tensor in tensors)


def test_constants_of_their_own() -> None:
    tensors, _ = lists([(size,) for size in SIZES], [torch.float32, torch.bfloat16])
    values = [0.1 * place for place in range(len(tensors))]
    foreach.constant_(tensors, values)
    for tensor, value in zip(tensors, values, strict=True):
        assert same(tensor, torch.full(tensor.shape, value, dtype=tensor.dtype))


def test_shards_among_tensors() -> None:
    whole = fastinit.normal_(torch.empty(40, 30), generator=Key(4).fold_in(1))
    tensors = [poisoned(10), poisoned(7, 30), poisoned(5, 5)]
    foreach.normal_([tensors[0], shard(tensors[1], (40, 30), (11, 0)), tensors[2]], generator=Key(4))
    assert same(tensors[1], whole[11:18])


def test_tensors_of_the_cpu_among_those_of_the_device() -> None:
    """Each is filled where it lies, as a call of its own would."""
    tensors = [poisoned(100), torch.empty(100), poisoned(50)]
    foreach.normal_(tensors, generator=Key(6))
    for place, tensor in enumerate(tensors):
        assert same(tensor, fastinit.normal_(torch.empty(tensor.shape), generator=Key(6).fold_in(place)))


def test_a_refused_member_leaves_all_as_they_were() -> None:
    tensors = [torch.full((4, 4), 7.0, device=DEVICE) for _ in range(3)]
    source = generator(3)
    before = source.get_state()
    for members, std in (
        ([*tensors, torch.empty(4, dtype=torch.int64, device=DEVICE)], 1.0),
        ([*tensors, tensors[0][:, :1].expand(4, 4)], 1.0),
        (tensors, [1.0, 1.0, -1.0]),
    ):
        with pytest.raises((RuntimeError, NotImplementedError)):
            foreach.normal_(members, 0.0, std, source)
        assert all(bool((tensor == 7.0).all()) for tensor in tensors)
        assert torch.equal(source.get_state(), before)


def test_versions_are_counted_and_no_history_is_kept() -> None:
    leaves = [torch.nn.Parameter(poisoned(5, 5)) for _ in range(4)]
    versions = [leaf._version for leaf in leaves]
    foreach.normal_(leaves, 0.0, 1.0)
    assert [leaf._version - version for leaf, version in zip(leaves, versions, strict=True)] == [1] * 4
    assert all(leaf.is_leaf and leaf.requires_grad and leaf.grad_fn is None for leaf in leaves)


def test_no_tensors_are_no_call() -> None:
    source = generator(3)
    before = source.get_state()
    assert foreach.normal_([], generator=source) == []
    assert torch.equal(source.get_state(), before)
