"""Orthogonal matrices: which one a key gives, how near to orthogonal it is, and in what circumstances.

That they are uniform over the group is tested in test_haar.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import fastinit
import reflectors
from fastinit import _C, Key
from initializers import RANDOM_TYPES, sentinel

COMPUTED = [torch.float32, torch.float64, torch.complex64, torch.complex128]
TYPES = [*RANDOM_TYPES, torch.complex64, torch.complex128]
# Below and above the size at which blocks of reflectors take over from single ones; more than one block; thin ones.
SMALL = [(1, 1), (2, 2), (3, 3), (8, 8), (24, 24), (64, 64), (128, 128), (40, 12), (12, 40), (1000, 16), (16, 1000)]
LARGE = [(129, 129), (192, 192), (193, 193), (500, 385), (385, 500), (2000, 20), (20, 2000)]


def wide(tensor: Tensor) -> Tensor:
    return tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)


def gaussian(*shape: int, dtype: torch.dtype, key: Key) -> Any:
    return wide(fastinit.normal_(torch.empty(shape, dtype=dtype), generator=key)).numpy()


def departure(q: Tensor) -> float:
    """Max |Q* Q - 1|, or of Q Q* where Q is wide."""
    q = wide(q)
    product = q @ q.mH if q.shape[-2] <= q.shape[-1] else q.mH @ q
    return float((product - torch.eye(min(q.shape[-2:]))).abs().max())


# The matrix of a key


@pytest.mark.parametrize("shape", SMALL + LARGE, ids=str)
@pytest.mark.parametrize("dtype", COMPUTED, ids=str)
def test_the_matrix_is_that_of_the_definition(shape: tuple[int, int], dtype: torch.dtype) -> None:
    key = Key(6).fold_in(f"{shape}")
    expected = reflectors.orthogonal(gaussian(*shape, dtype=dtype, key=key))
    q = fastinit.orthogonal_(torch.empty(shape, dtype=dtype), generator=key)
    eps = torch.finfo(dtype).eps
    np.testing.assert_allclose(wide(q).numpy(), expected, rtol=0, atol=(8 + max(shape) ** 0.5) * eps)


@pytest.mark.parametrize("dtype", COMPUTED, ids=str)
@pytest.mark.parametrize("n", [1, 3, 50, 200])
def test_a_special_matrix_is_the_orthogonal_one_with_its_last_column_turned(n: int, dtype: torch.dtype) -> None:
    for number in range(4):
        ordinary = wide(fastinit.orthogonal_(torch.empty(n, n, dtype=dtype), generator=Key(number)))
        special = wide(fastinit.special_orthogonal_(torch.empty(n, n, dtype=dtype), generator=Key(number)))
        tolerance = 60 * n**0.5 * torch.finfo(dtype).eps
        torch.testing.assert_close(special[:, :-1], ordinary[:, :-1], rtol=0, atol=0)
        turned = ordinary[:, -1] * torch.linalg.det(ordinary).conj()
        torch.testing.assert_close(special[:, -1], turned, rtol=0, atol=tolerance)
        assert abs(torch.linalg.det(special).item() - 1) < tolerance


def test_it_is_the_factor_of_a_qr_factorisation_with_a_positive_diagonal_of_one_column() -> None:
    """A single column needs one reflector, and is then the Gaussian column itself, normalised."""
    w = fastinit.orthogonal_(torch.empty(300, 1, dtype=torch.float64), generator=Key(2))
    x = gaussian(300, 1, dtype=torch.float64, key=Key(2))
    np.testing.assert_allclose(w.numpy(), x / np.linalg.norm(x), rtol=0, atol=1e-15)


@pytest.mark.parametrize("shape", [(3, 5, 4), (2, 3, 40, 30), (4, 2, 3, 6, 7), (2, 150, 140), (3, 140, 150)], ids=str)
@pytest.mark.parametrize("dtype", COMPUTED, ids=str)
def test_a_batch_holds_the_matrices_of_its_parts_of_the_gaussian(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    batch_dims = max(1, len(shape) - 3) if shape[0] != 2 or len(shape) < 4 else 2
    w = fastinit.orthogonal_(torch.empty(shape, dtype=dtype), 0.5, Key(4), batch_dims=batch_dims)
    matrices = wide(w).flatten(0, batch_dims - 1).flatten(2).numpy()
    parts = gaussian(*shape, dtype=dtype, key=Key(4)).reshape(matrices.shape)
    for matrix, part in zip(matrices, parts, strict=True):
        np.testing.assert_allclose(matrix, reflectors.orthogonal(part) / 2, rtol=0, atol=40 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("sizes", [[4, 20, 0, 6], [30], 8, [200, 150, 80]], ids=str)
def test_blocks_are_the_matrices_of_their_parts_of_the_gaussian(sizes: Any) -> None:
    shape = (430, 9, 20) if sizes == [200, 150, 80] else (30, 3, 4)
    w = fastinit.block_orthogonal_(torch.empty(shape), sizes, 2.0, Key(5))
    whole = torch.from_numpy(gaussian(*shape, dtype=torch.float32, key=Key(5)))
    for matrix, part in zip(torch.split(w.flatten(1), sizes), torch.split(whole.flatten(1), sizes), strict=True):
        if len(part):
            expected = 2 * reflectors.orthogonal(part.numpy())
            np.testing.assert_allclose(wide(matrix).numpy(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(8, 5, 3), (8, 8, 3, 3), (6, 2, 4, 1), (4, 3, 3, 5, 2)], ids=str)
def test_a_delta_orthogonal_kernel_is_an_orthogonal_matrix_in_zeros(shape: tuple[int, ...]) -> None:
    w = fastinit.delta_orthogonal_(sentinel(*shape), 1.5, Key(1))
    centre = w
    for size in shape[2:]:
        centre = centre[:, :, size // 2]
    assert torch.equal(centre, fastinit.orthogonal_(torch.empty(shape[:2]), 1.5, Key(1)))
    centre.zero_()
    assert not w.any()


def test_a_delta_orthogonal_convolution_keeps_norms_in_every_group() -> None:
    conv = torch.nn.Conv2d(6, 12, 3, padding=1, padding_mode="circular", bias=False, groups=3, dtype=torch.float64)
    assert fastinit.delta_orthogonal_(conv.weight, 2.0, Key(3), groups=3) is conv.weight
    x = torch.randn(2, 6, 7, 7, dtype=torch.float64)
    torch.testing.assert_close(conv(x).view(2, 3, 4, 7, 7).norm(dim=2), 2 * x.view(2, 3, 2, 7, 7).norm(dim=2))


# How near to orthogonal


@pytest.mark.parametrize("shape", [*SMALL, (6, 5, 3, 3), (70, 4, 3)], ids=str)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("gain", [1, 2.5])
def test_every_type_is_orthogonal_to_its_own_rounding(shape: tuple[int, ...], dtype: torch.dtype, gain: float) -> None:
    w = fastinit.orthogonal_(torch.empty(shape, dtype=dtype), gain, Key(1))
    # The sum of products is off by about the rounding of their factors; narrow types start from a float32 result.
    assert departure(w.flatten(1).to(wide(w).dtype) / gain) < 8 * max(torch.finfo(dtype).eps, 2**-52)


@pytest.mark.parametrize("shape", [*LARGE, (1024, 1024), (2048, 2048), (4096, 4096), (8192, 256)], ids=str)
def test_large_matrices_are_orthogonal_to_16_units_of_float32(shape: tuple[int, int]) -> None:
    assert departure(fastinit.orthogonal_(torch.empty(shape), generator=Key(1))) < 16 * torch.finfo(torch.float32).eps


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex64, torch.complex128], ids=str)
@pytest.mark.parametrize("shape", [*LARGE, (1024, 1024)], ids=str)
def test_other_types_are_so_too(shape: tuple[int, int], dtype: torch.dtype) -> None:
    q = fastinit.orthogonal_(torch.empty(shape, dtype=dtype), generator=Key(1))
    assert departure(q) < 48 * torch.finfo(dtype).eps


# Where it is filled


@pytest.mark.parametrize("shape", [(8, 4, 3, 3), (160, 20, 3, 3)], ids=str)
def test_a_channels_last_weight(shape: tuple[int, ...]) -> None:
    w = torch.empty(shape).to(memory_format=torch.channels_last)
    assert torch.equal(fastinit.orthogonal_(w, generator=Key(1)), fastinit.orthogonal_(torch.empty(shape), 1, Key(1)))
    assert w.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", [(40, 30), (300, 200), (200, 300)], ids=str)
def test_nothing_around_a_view_is_written(shape: tuple[int, int]) -> None:
    rows, columns = shape
    surroundings = sentinel(rows + 2, columns + 3)
    fastinit.orthogonal_(surroundings[1:-1, 2:-1], generator=Key(1))
    inside = surroundings[1:-1, 2:-1].clone()
    torch.testing.assert_close(inside, fastinit.orthogonal_(torch.empty(shape), generator=Key(1)), rtol=0, atol=2e-6)
    surroundings[1:-1, 2:-1] = 7
    assert torch.equal(surroundings, sentinel(rows + 2, columns + 3))


def test_a_shard_of_a_large_matrix_is_its_slice() -> None:
    whole = fastinit.orthogonal_(torch.empty(300, 260), generator=Key(8))
    part = torch.empty(100, 60)
    fastinit.orthogonal_(fastinit.shard(part, (300, 260), (150, 200)), generator=Key(8))
    torch.testing.assert_close(part, whole[150:250, 200:], rtol=0, atol=2e-6)


@pytest.mark.parametrize("shape", [(2048, 2048), (8192, 1024), (1024, 8192)], ids=str)
def test_extra_memory_is_less_than_one_and_a_half_matrices(shape: tuple[int, int]) -> None:
    program = f"""
        import torch, fastinit
        from fastinit.bench.memory import peak_extra_bytes
        tensor = torch.empty({shape})
        print(peak_extra_bytes(fastinit.orthogonal_, tensor))
    """
    extra = run(program).strip()  # in a process of its own: memory that another test has freed hides what is taken
    if extra == "None":
        pytest.skip("this system does not tell a process's peak")
    assert 0 < int(extra) < 1.5 * 4 * shape[0] * shape[1]


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(program)],
        cwd=Path(fastinit.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# Circumstances that must not matter


def fills() -> list[Tensor]:
    """By single reflectors, by blocks, and several of each at once."""
    return [
        fastinit.orthogonal_(torch.empty(60, 50), generator=Key(1)),
        fastinit.orthogonal_(torch.empty(300, 40, 40), generator=Key(2), batch_dims=1),
        fastinit.orthogonal_(torch.empty(600, 500), generator=Key(3)),
        fastinit.orthogonal_(torch.empty(4, 200, 300), generator=Key(4), batch_dims=1),
        fastinit.orthogonal_(torch.empty(400, 400, dtype=torch.bfloat16), generator=Key(5)),
    ]


def test_the_same_call_gives_the_same_bits() -> None:
    assert all(map(torch.equal, fills(), fills()))


@contextmanager
def precision(name: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(name)
    try:
        yield
        assert torch.get_float32_matmul_precision() == name
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("name", ["high", "medium"])
def test_a_lower_precision_of_products_is_neither_used_nor_changed(name: str) -> None:
    expected = fills()
    with precision(name):
        assert all(map(torch.equal, fills(), expected))
        if name == "medium":  # and it is in force, where the processor knows bfloat16
            a = torch.rand(500, 500)
            exact = (a.double() @ a.double()).float()
            if torch.ops.mkldnn._is_mkldnn_bf16_supported():
                assert (a @ a - exact).abs().max() > 1e-3


def test_autocast_does_not_reach_the_products() -> None:
    expected = fills()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert all(map(torch.equal, fills(), expected))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_small_matrices_not_at_all_and_large_ones_by_rounding(threads: int) -> None:
    before = torch.get_num_threads()
    expected = fills()
    try:
        torch.set_num_threads(threads)
        ours = fills()
    finally:
        torch.set_num_threads(before)
    assert torch.equal(ours[0], expected[0])
    assert torch.equal(ours[1], expected[1])
    for a, b in zip(ours[2:4], expected[2:4], strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=2e-6)


@pytest.mark.parametrize("dtype", COMPUTED, ids=str)
@pytest.mark.parametrize("isa", _C.facts()["isa_supported"])
def test_instruction_sets_with_an_fma_give_the_same_bits(isa: str, dtype: torch.dtype) -> None:
    shapes = [(5, 5), (64, 64), (40, 100), (100, 40)]
    expected = [fastinit.orthogonal_(torch.empty(shape, dtype=dtype), generator=Key(1)) for shape in shapes]
    try:
        _C.force_isa(isa)
        ours = [fastinit.orthogonal_(torch.empty(shape, dtype=dtype), generator=Key(1)) for shape in shapes]
    finally:
        _C.force_isa(None)
    for a, b in zip(ours, expected, strict=True):
        exactly = isa != "baseline" or _C.facts()["isa"] == "baseline"
        torch.testing.assert_close(a, b, rtol=0, atol=0 if exactly else 16 * torch.finfo(dtype).eps)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_fills_too_after_its_parent_has_used_threads() -> None:
    run("""
        import os, signal, sys, torch
        sys.path.insert(0, "tests")
        from test_orthogonal import fills

        torch.set_num_threads(2)
        expected = fills()
        torch.ones(3_000_000).exp_()
        for _ in range(2):
            child = os.fork()
            if child == 0:
                signal.alarm(60)  # a child that waits for threads for ever is killed
                ours, threads = fills(), torch.get_num_threads()
                torch.set_num_threads(1)  # torch's own comparison would wait for threads for ever
                same = all((a - b).abs().max() < 0.01 for a, b in zip(ours, expected))
                os._exit(0 if same and threads == 2 else 1)
            _, status = os.waitpid(child, 0)
            code = os.waitstatus_to_exitcode(status)
            if code != 0:
                sys.exit(f"the child ended with {code}")
        assert all(map(torch.equal, fills(), expected))  # and the parent is none the worse
    """)


def test_a_batch_of_fills_compiles_without_a_break() -> None:
    @torch.compile(fullgraph=True, backend="aot_eager")
    def fill(heads: Tensor, rotation: Tensor) -> None:
        fastinit.orthogonal_(heads, generator=Key(1), batch_dims=1)
        fastinit.special_orthogonal_(rotation, generator=Key(2))

    heads, rotation = torch.empty(4, 8, 6), torch.empty(5, 5)
    fill(heads, rotation)
    assert torch.equal(heads, fastinit.orthogonal_(torch.empty(4, 8, 6), generator=Key(1), batch_dims=1))
    assert torch.equal(rotation, fastinit.special_orthogonal_(torch.empty(5, 5), generator=Key(2)))


# What is refused, before anything is drawn or written

REFUSED: dict[str, tuple[Callable[[Tensor, Any], object], tuple[int, ...]]] = {
    "one dimension": (lambda t, g: fastinit.orthogonal_(t, generator=g), (4,)),
    "a batch of vectors": (lambda t, g: fastinit.orthogonal_(t, generator=g, batch_dims=1), (4, 4)),
    "a negative batch": (lambda t, g: fastinit.orthogonal_(t, generator=g, batch_dims=-1), (4, 4)),
    "not square": (lambda t, g: fastinit.special_orthogonal_(t, generator=g), (4, 3)),
    "not square in a batch": (lambda t, g: fastinit.special_orthogonal_(t, generator=g, batch_dims=1), (3, 3, 2)),
    "sizes of another sum": (lambda t, g: fastinit.block_orthogonal_(t, [2, 3], generator=g), (4, 3)),
    "a negative size": (lambda t, g: fastinit.block_orthogonal_(t, [5, -1], generator=g), (4, 3)),
    "a size of zero": (lambda t, g: fastinit.block_orthogonal_(t, 0, generator=g), (4, 3)),
    "a delta in a matrix": (lambda t, g: fastinit.delta_orthogonal_(t, generator=g), (4, 3)),
    "more inputs than outputs": (lambda t, g: fastinit.delta_orthogonal_(t, generator=g), (3, 4, 3)),
    "more inputs in a group": (lambda t, g: fastinit.delta_orthogonal_(t, generator=g, groups=2), (4, 3, 3)),
    "groups that do not divide": (lambda t, g: fastinit.delta_orthogonal_(t, generator=g, groups=2), (5, 2, 3)),
    "no groups": (lambda t, g: fastinit.delta_orthogonal_(t, generator=g, groups=0), (5, 2, 3)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused_and_changes_nothing(name: str) -> None:
    call, shape = REFUSED[name]
    for tensor in (sentinel(*shape), torch.empty(shape, device="meta")):
        generator = torch.Generator().manual_seed(1)
        state = generator.get_state()
        with pytest.raises(ValueError, match=r"dim|square|split_sizes|keep all norms"):
            call(tensor, generator)
        assert torch.equal(generator.get_state(), state)
        assert tensor.is_meta or torch.equal(tensor, sentinel(*shape))


def test_memory_that_is_shared_by_elements_is_refused() -> None:
    generator = torch.Generator().manual_seed(1)
    state = generator.get_state()
    row = sentinel(1, 4)
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        fastinit.orthogonal_(row.expand(4, 4), generator=generator)
    assert torch.equal(row, sentinel(1, 4))
    assert torch.equal(generator.get_state(), state)


@pytest.mark.parametrize("batch_dims", [0, 62])
def test_more_dimensions_than_can_be_described_are_refused(batch_dims: int) -> None:
    generator = torch.Generator().manual_seed(1)
    state = generator.get_state()
    tensor = sentinel(*[1] * 62, 4, 4)
    with pytest.raises(RuntimeError, match="at most 63 dimensions"):
        fastinit.orthogonal_(tensor, generator=generator, batch_dims=batch_dims)
    assert torch.equal(tensor, sentinel(*[1] * 62, 4, 4))
    assert torch.equal(generator.get_state(), state)
