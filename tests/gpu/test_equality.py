"""A key, or a generator of the CPU, writes the same bits to a GPU as to the CPU: every law, type, size and place.

Equality here is equality of bits. Tensors of the device are set to something else beforehand, so that no test passes on
what another has left in memory.
"""

from __future__ import annotations

import itertools
import math

import pytest
import torch

import fastinit
from fastinit import Key, shard
from gpu.device import DEVICE, agree, both, exact, filled, poisoned
from initializers import ALL, FIXED, RANDOM, Initializer
from laws import DTYPES, EVERY_LAW_AND_DTYPE, LAWS, NORMAL, UNIFORM, Law, fill, fresh, same, sliced
from layouts import LARGE, Layout, assert_nothing_else_is_written

pytestmark = pytest.mark.gpu

INF = math.inf
# Around the ends of groups of 16 bytes, of tiles, and of blocks of threads; the last is many of them and a bit.
SIZES = (*range(1, 20), 31, 33, 255, 256, 257, 1023, 1025, 2047, 4095, 4096, 4097, 16_383, 65_537, 2**20 + 3)

# What the laws of laws.py leave out: parameters at the edges of the forms of docs/stream.md, section 4.
EDGES: list[Law] = [
    *(
        ("uniform_", *bounds)
        for bounds in ((0.0, 1.0), (-1.0, 0.0), (-0.0, 1.0), (3.0, 3.0), (0.3, 0.301), (-1e-6, 1e-6))
    ),
    *(("normal_", *parameters) for parameters in ((0.0, 0.0), (-0.0, 0.0), (3.0, 1e4), (0.0, 1e-7), (INF, 1.0))),
    # A point; out of reach of the normal, which then serves; and narrow, central, tail and full in either direction.
    *(("trunc_normal_", 0.5, 0.0, *bounds) for bounds in ((0.0, 1.0), (0.6, 1.0), (-1.0, 0.25))),
    *(("trunc_normal_", 0.0, 1.0, *bounds) for bounds in ((0.0, 0.0), (-0.0, 0.0), (0.3, 0.3), (-100.0, 100.0))),
    ("trunc_normal_", 0.0, 0.02, -2.0, 2.0),
    *(("trunc_normal_", 0.0, 1.0, *bounds) for bounds in ((0.0, 1e-6), (-1e-6, 0.0), (30.0, 30.001), (0.0, 1e-14))),
    *(("trunc_normal_", 0.0, 1.0, *bounds) for bounds in ((-2.0, 2.0), (-2.0, 0.0), (-0.0, 2.0), (-1.0, -0.0))),
    *(("trunc_normal_", 0.0, 1.0, *bounds) for bounds in ((2.0, 4.0), (-4.0, -2.0), (100.0, INF), (-INF, -8.0))),
    *(("trunc_normal_", 0.0, 1.0, *bounds) for bounds in ((-3.0, 3.0), (-0.5, INF), (-INF, 0.0), (-INF, INF))),
    ("trunc_normal_", 1.0, 0.5, -0.75, 2.5),
]
POSSIBLE = [(law, t) for law in EDGES for t in DTYPES if not (t.is_complex and law[0] == "trunc_normal_")]


@EVERY_LAW_AND_DTYPE
def test_sizes(law: Law, dtype: torch.dtype) -> None:
    for size in SIZES:
        assert same(filled(law, dtype, size), fresh(law, dtype, size)), size


@pytest.mark.parametrize(("law", "dtype"), POSSIBLE, ids=str)
def test_parameters_at_the_edges(law: Law, dtype: torch.dtype) -> None:
    """The sign of a zero that a bound rounds to included."""
    ours, theirs = filled(law, dtype, 70_001), fresh(law, dtype, 70_001)
    if math.isfinite(law[1]):
        assert same(ours, theirs)
    else:  # an infinite mean: a type without infinity has NaN for it, whose bits are not promised
        wide = torch.complex128 if dtype.is_complex else torch.float64
        torch.testing.assert_close(ours.cpu().to(wide), theirs.to(wide), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("layout", [Layout.of(tensor) for tensor in LARGE.values()], ids=LARGE)
@EVERY_LAW_AND_DTYPE
def test_layouts(layout: Layout, law: Law, dtype: torch.dtype) -> None:
    view, buffer = layout.view(dtype, DEVICE)
    assert same(fill(law, view), fresh(law, dtype, *view.shape))
    assert_nothing_else_is_written(view, buffer)


@EVERY_LAW_AND_DTYPE
def test_memory_that_is_not_aligned(law: Law, dtype: torch.dtype) -> None:
    """A fill that starts an element, or several, beyond a multiple of 16 bytes, and ends anywhere."""
    for offset, size in itertools.product(range(1, 18), (1, 5, 4099)):
        view, buffer = Layout((size,), (1,), offset).view(dtype, DEVICE)
        assert same(fill(law, view), fresh(law, dtype, size)), (offset, size)
        assert_nothing_else_is_written(view, buffer)


@EVERY_LAW_AND_DTYPE
def test_shards_are_slices_of_the_whole(law: Law, dtype: torch.dtype) -> None:
    """Rows, columns and blocks, also at odd places; alone, and as a part of memory that holds more."""
    shape = (37, 45, 11)
    whole = fresh(law, dtype, *shape)
    parts = [
        (slice(12, 30), slice(None), slice(None)),
        (slice(None), slice(7, 8), slice(None)),
        (slice(None), slice(None), slice(3, 10)),
        (slice(5, 36), slice(1, 44), slice(1, 2)),
        (slice(36, 37), slice(44, 45), slice(10, 11)),
    ]
    for part in parts:
        expected = whole[part]
        offset = tuple(piece.start or 0 for piece in part)
        wider = torch.empty(40, 50, 12)[tuple(slice(1, 1 + extent) for extent in expected.shape)]
        for layout in (Layout.of(torch.empty(expected.shape)), Layout.of(wider)):
            view, buffer = layout.view(dtype, DEVICE)
            fill(law, shard(view, shape, offset))
            assert same(view, expected), (part, layout)
            assert_nothing_else_is_written(view, buffer)


@EVERY_LAW_AND_DTYPE
def test_ranges_anywhere_in_a_tensor(law: Law, dtype: torch.dtype) -> None:
    """Also where an index no longer fits 32 bits, begins within a group, or within a Philox block."""
    for begin in (*range(1, 18), 4095, 2**31 - 5, 2**32 - 7, 2**34 - 1001, 10**12 + 1):
        for size in (3, 5000):
            part = poisoned(size, dtype=dtype)
            fill(law, shard(part, (begin + size,), (begin,)))
            assert same(part, sliced(law, dtype, begin, begin + size)), (begin, size)


@EVERY_LAW_AND_DTYPE
def test_the_lower_half_of_the_counter_wraps_anywhere(law: Law, dtype: torch.dtype) -> None:
    """Within a group, a tile, or between two of them; and so does the upper half."""
    for blocks in (1, 2, 3, 64, 255, 256, 257, 1000, 1024, 4096):
        for top in (2**32, 2**64):
            key = Key(0x9E3779B97F4A7C15, top - blocks)
            assert same(filled(law, dtype, 20_011, source=key), fresh(law, dtype, 20_011, key=key)), (blocks, top)
    key = Key(5, 2**32 - 2000)
    across = poisoned(300, 409, dtype=dtype).t()
    assert same(fill(law, across, key), fresh(law, dtype, 409, 300, key=key))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float8_e5m2], ids=str)
@pytest.mark.parametrize("law", [NORMAL, UNIFORM], ids=str)
def test_large_transposed_matrices(law: Law, dtype: torch.dtype) -> None:
    """Columns that begin at a multiple of a cache line's length, beside one, and with gaps."""
    rows, columns = 2064, 2050
    expected = fresh(law, dtype, rows, columns)
    for stride, offset in ((rows, 0), (rows, 1), (rows + 1, 0), (rows + 16, 16)):
        view, buffer = Layout((rows, columns), (1, stride), offset).view(dtype, DEVICE)
        assert same(fill(law, view), expected), (stride, offset)
        assert_nothing_else_is_written(view, buffer)


# Every initializer

EXACT = [initializer for initializer in ALL if exact(initializer)]


def shapes(initializer: Initializer) -> list[tuple[int, ...]]:
    """Small and large ones that it takes."""
    extents = ((6, 5, 3, 3, 3), (64, 48, 5, 7, 2), (130, 257, 3, 1, 1))
    return [extent[:dimensions] for extent in extents for dimensions in initializer.dimensions]


@pytest.mark.parametrize("initializer", EXACT, ids=str)
def test_every_initializer_from_a_key(initializer: Initializer) -> None:
    for shape in shapes(initializer):
        assert same(*both(initializer, *shape)), shape


@pytest.mark.parametrize("initializer", EXACT, ids=str)
def test_every_initializer_in_every_type(initializer: Initializer) -> None:
    for dtype in DTYPES:
        ours, theirs = poisoned(*initializer.shape, dtype=dtype), torch.empty(initializer.shape, dtype=dtype)
        try:
            initializer(theirs, Key(7))
        except NotImplementedError:  # no truncated normal is complex, on either device
            with pytest.raises(NotImplementedError):
                initializer(ours, Key(7))
        else:
            assert same(initializer(ours, Key(7)), theirs), dtype


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_every_initializer_from_a_generator_of_the_cpu(initializer: Initializer) -> None:
    """It moves on as it would have for a tensor of the CPU."""
    ours, theirs = (torch.Generator().manual_seed(2**40 + 9) for _ in range(2))
    for _ in range(2):
        here = initializer(poisoned(*initializer.shape), ours)
        assert agree(initializer, here, initializer(torch.empty(initializer.shape), theirs))
        assert torch.equal(ours.get_state(), theirs.get_state())


@pytest.mark.parametrize("initializer", EXACT, ids=str)
def test_every_initializer_on_a_transposed_weight(initializer: Initializer) -> None:
    if max(initializer.dimensions) < 2:
        pytest.skip("takes no matrices")
    shape = (12, 70, 3, 5)[: max(initializer.dimensions)]
    view, buffer = Layout.of(torch.empty(shape[1], shape[0], *shape[2:]).transpose(0, 1)).view(torch.float32, DEVICE)
    assert same(initializer(view, Key(8)), initializer(torch.empty(shape), Key(8)))
    assert_nothing_else_is_written(view, buffer)


@pytest.mark.parametrize("initializer", EXACT, ids=str)
def test_every_initializer_on_a_shard(initializer: Initializer) -> None:
    shape = initializer.shape
    offset, extent = (1, *[0] * (len(shape) - 1)), (4, *shape[1:])
    part = poisoned(*extent)
    initializer(shard(part, shape, offset), Key(9))
    assert same(part, initializer(torch.empty(shape), Key(9))[1:5])


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 1000), (1000, 3), (257, 129), (5000, 40), (70_001, 3)])
@pytest.mark.parametrize("sparsity", [0.0, 0.001, 0.3, 0.999, 1.0])
def test_sparse_matrices(rows: int, columns: int, sparsity: float) -> None:
    """Columns of any length, with any number of zeros; across memory, and a part of the columns and rows."""
    law = ("sparse_", sparsity, 1.0)
    expected = fresh(law, torch.float32, rows, columns)
    assert same(filled(law, torch.float32, rows, columns), expected)
    assert same(fill(law, poisoned(columns, rows).t()), expected)
    half = poisoned(rows - rows // 2, columns - columns // 3)
    fill(law, shard(half, (rows, columns), (rows // 2, columns // 3)))
    assert same(half, expected[rows // 2 :, columns // 3 :])


@pytest.mark.parametrize("dtype", [t for t in DTYPES if not t.is_complex], ids=str)
def test_sparse_matrices_of_every_type(dtype: torch.dtype) -> None:
    law = ("sparse_", 0.4, 0.5)
    assert same(filled(law, dtype, 300, 77), fresh(law, dtype, 300, 77))


# Constants


@pytest.mark.parametrize("dtype", [*DTYPES, torch.int8, torch.int32, torch.int64, torch.uint8], ids=str)
@pytest.mark.parametrize("value", [0.0, -0.0, 1, 3.7])
def test_constants_of_every_type_and_nothing_else(dtype: torch.dtype, value: float) -> None:
    layouts = [Layout((size,), (1,), offset) for size in (1, 15, 4099, 1_000_001) for offset in (0, 1, 3)]
    for layout in [*layouts, *(Layout.of(tensor) for tensor in LARGE.values())]:
        view, buffer = layout.view(dtype, DEVICE)
        assert same(fastinit.constant_(view, value), fastinit.constant_(torch.empty(layout.shape, dtype=dtype), value))
        assert_nothing_else_is_written(view, buffer)


def test_constants_of_truth_values() -> None:
    for value in (False, True, 0.0, 3.7):
        tensor = torch.empty(4099, dtype=torch.bool, device=DEVICE)
        tensor.fill_(not value)
        assert bool((fastinit.constant_(tensor, value) == bool(value)).all())


@pytest.mark.parametrize("initializer", FIXED, ids=str)
def test_patterns_of_ones_fill_any_layout_and_nothing_else(initializer: Initializer) -> None:
    dimensions = max(initializer.dimensions)
    shape = (34, 21, 5, 3)[:dimensions]
    orders = list(itertools.permutations(range(dimensions)))
    for order, step in itertools.product(orders, (1, 3)):
        memory = torch.empty([shape[axis] * (step if axis == order[-1] else 1) for axis in order])
        back = [order.index(axis) for axis in range(dimensions)]
        layout = Layout.of(memory.permute(back)[tuple(slice(0, shape[axis]) for axis in range(dimensions))])
        view, buffer = layout.view(torch.float32, DEVICE)
        assert same(initializer(view), initializer(torch.empty(shape)))
        assert_nothing_else_is_written(view, buffer)


def test_identities_and_kernels_as_large_as_layers() -> None:
    for shape in ((4097, 300), (300, 4097), (1000, 1000)):
        assert same(fastinit.eye_(poisoned(*shape)), fastinit.eye_(torch.empty(shape)))
    for kernel in ((512, 100, 3, 3), (100, 512, 3, 3)):
        ours = fastinit.dirac_(poisoned(*kernel), groups=4)
        assert same(ours, fastinit.dirac_(torch.empty(kernel), groups=4))


# Tensors that are special


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_a_tensor_without_dimensions_has_one_element(law: Law) -> None:
    assert same(filled(law, torch.float32), fresh(law, torch.float32))


@pytest.mark.parametrize("initializer", ALL, ids=str)
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors is a no-op:UserWarning")
def test_a_tensor_without_elements_is_left_alone(initializer: Initializer) -> None:
    tensor = torch.empty((*initializer.shape[:-1], 0), device=DEVICE)
    assert initializer(tensor, Key(1)) is tensor


@pytest.mark.parametrize("initializer", [each for each in ALL if 2 in each.dimensions], ids=str)
def test_elements_that_share_memory_are_refused(initializer: Initializer) -> None:
    column = poisoned(6, 1)
    before = column.clone()
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor refers to a single memory"):
        initializer(column.expand(6, 4), Key(1))
    assert same(column, before)


def test_a_negated_view_reads_as_it_was_filled() -> None:
    view = torch.zeros(100, dtype=torch.complex64, device=DEVICE).conj().imag
    assert view.is_neg()
    assert same(fill(NORMAL, view), fresh(NORMAL, torch.float32, 100))


def test_a_conjugated_view_reads_as_it_was_filled() -> None:
    view = torch.zeros(100, dtype=torch.complex64, device=DEVICE).conj()
    ours = fill(NORMAL, view)
    theirs = fill(NORMAL, torch.zeros(100, dtype=torch.complex64).conj())
    assert torch.equal(ours.resolve_conj().cpu(), theirs.resolve_conj())
