"""Orthogonal matrices on a GPU: near the CPU's for the same key, by the kernel for small ones and by torch's products.

Both are within the bounds of docs/stream.md, section 6, of the definition, so within twice that of each other.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import fastinit
from fastinit import Key
from gpu.device import identical, poisoned
from gpu.test_graphs import captured, replay

pytestmark = pytest.mark.gpu

COMPUTED = [torch.float32, torch.float64, torch.complex64, torch.complex128]
# Several matrices to a thread block, one, and fewer than fit in the last; more blocks than run at a time; then those
# that do not fit into a block's shared memory.
BATCHES = [(1000, 1, 1), (5, 2, 2), (300, 3, 7), (7, 16, 16), (3, 17, 33), (3, 33, 17), (2500, 45, 45), (1, 100, 5)]
BATCHES += [(2, 1, 8192), (40, 64, 64), (3, 65, 65), (2, 200, 60), (2, 60, 200), (1, 300, 300)]


def distance(ours: Tensor, theirs: Tensor) -> float:
    wide = torch.complex128 if ours.is_complex() else torch.float64
    return float((ours.cpu().to(wide) - theirs.to(wide)).abs().max())


def departure(q: Tensor) -> float:
    """Max |Q* Q - 1|, or of Q Q* where Q is wide."""
    q = q.cpu().to(torch.complex128 if q.is_complex() else torch.float64)
    product = q @ q.mH if q.shape[-2] <= q.shape[-1] else q.mH @ q
    return float((product - torch.eye(min(q.shape[-2:]))).abs().max())


def bound(dtype: torch.dtype, *shape: int) -> float:
    """How far two devices' matrices may be apart, at gain 1."""
    return 2 * (8 + math.sqrt(max(shape[-2:]))) * torch.finfo(dtype).eps


@pytest.mark.parametrize("shape", BATCHES, ids=str)
@pytest.mark.parametrize("dtype", COMPUTED, ids=str)
def test_batches_are_the_cpus_to_within_rounding(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    ours = fastinit.orthogonal_(poisoned(*shape, dtype=dtype), 1.5, Key(3), batch_dims=1)
    theirs = fastinit.orthogonal_(torch.empty(shape, dtype=dtype), 1.5, Key(3), batch_dims=1)
    assert distance(ours, theirs) < 1.5 * bound(dtype, *shape)
    assert departure(ours / 1.5) < (16 if dtype == torch.float32 else 48) * torch.finfo(dtype).eps


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_narrow_types_are_rounded_once(dtype: torch.dtype) -> None:
    ours = fastinit.orthogonal_(poisoned(9, 20, 30, dtype=dtype), generator=Key(4), batch_dims=1)
    single = fastinit.orthogonal_(poisoned(9, 20, 30), generator=Key(4), batch_dims=1)
    assert identical(ours, single.to(dtype))


@pytest.mark.parametrize("n", [1, 2, 12, 64, 100])
@pytest.mark.parametrize("dtype", COMPUTED, ids=str)
def test_rotations_are_the_cpus(n: int, dtype: torch.dtype) -> None:
    ours = fastinit.special_orthogonal_(poisoned(6, n, n, dtype=dtype), generator=Key(5), batch_dims=1)
    theirs = fastinit.special_orthogonal_(torch.empty(6, n, n, dtype=dtype), generator=Key(5), batch_dims=1)
    # The determinant's own rounding comes on top: a product of n phases.
    assert distance(ours, theirs) < bound(dtype, n, n) + 2 * n * torch.finfo(dtype).eps


def test_blocks_lie_one_below_the_other_and_nothing_else_is_written() -> None:
    memory = poisoned(3, 100, 50)
    before = memory.clone()
    fastinit.block_orthogonal_(memory[1, :96], [64, 16, 16], generator=Key(6))
    theirs = fastinit.block_orthogonal_(torch.empty(96, 50), [64, 16, 16], generator=Key(6))
    assert distance(memory[1, :96], theirs) < bound(torch.float32, 64, 50)
    assert identical(memory[0], before[0])
    assert identical(memory[1, 96:], before[1, 96:])
    assert identical(memory[2], before[2])


def test_a_matrix_does_not_depend_on_what_is_made_beside_it() -> None:
    """Its Gaussian numbers are the first of the key's, however many matrices follow."""
    for n in (3, 20, 64):
        many = fastinit.orthogonal_(poisoned(500, n, n), generator=Key(7), batch_dims=1)
        one = fastinit.orthogonal_(poisoned(n, n), generator=Key(7))
        assert identical(many[0], one)


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("shape", [(300, 16, 16), (4, 64, 64), (2, 300, 200)], ids=str)
def test_a_batch_is_captured_and_replayed(shape: tuple[int, ...]) -> None:
    tensor = poisoned(*shape)
    graph = captured(lambda: fastinit.orthogonal_(tensor, batch_dims=1))
    torch.manual_seed(8)
    eager = [fastinit.orthogonal_(poisoned(*shape), batch_dims=1).cpu() for _ in range(2)]
    torch.manual_seed(8)
    for expected in eager:
        assert distance(replay(graph, tensor)[0], expected) < bound(torch.float32, *shape)
    assert distance(eager[0], eager[1]) > 0.1
