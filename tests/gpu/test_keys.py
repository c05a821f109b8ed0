"""Where the values of a CUDA tensor come from: the state of a CUDA generator, and what a call takes from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

import fastinit
from fastinit import _C, Key, shard
from gpu.device import agree, cuda_domain, drawn_key, filled, generator, poisoned
from initializers import FIXED, RANDOM, Initializer
from laws import GRID, LAWS, NORMAL, UNIFORM, Law, fill, fresh, same

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("cuda")]

SPARSE: Law = ("sparse_", 0.5, 1.0)
STEP = 4  # by which the Philox offset of a CUDA generator moves at a draw: torch's unit, the words of one block
SEEDS = (0, 1, 2**32 - 1, 2**32, 2**63 + 5, 2**64 - 1)
OFFSETS = (0, 4, 8, 2**32 - 4, 2**32, 2**40 + 12)


def default() -> Generator:
    """The default generator of the current device."""
    return torch.cuda.default_generators[torch.cuda.current_device()]


def at(seed: int, offset: int) -> Generator:
    """A CUDA generator in that state."""
    made: Generator = generator(seed)
    made.set_offset(offset)
    return made


# What a state gives


def test_the_seed_decides() -> None:
    def draw(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return filled(NORMAL, torch.float32, 1000, source=None)

    assert same(draw(7), draw(7))
    drawn = [draw(seed) for seed in (7, 8, 7 + 2**32, 7 + 2**63)]
    assert not any(same(a, b) for place, a in enumerate(drawn) for b in drawn[:place])


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_a_key_is_folded_from_the_seed_and_the_offset(law: Law) -> None:
    """As docs/stream.md says, section 5; what is computed here in Python knows nothing of CUDA."""
    for seed in SEEDS:
        for offset in OFFSETS:
            ours = filled(law, torch.float32, 301, source=at(seed, offset))
            assert same(ours, fresh(law, torch.float32, 301, key=drawn_key(seed, offset))), (seed, offset)


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_every_initializer_draws_the_key_of_the_state(initializer: Initializer) -> None:
    filled(NORMAL, torch.float32, 10, source=None)  # moves the default generator on
    state = default()
    expected = initializer(torch.empty(initializer.shape), drawn_key(state.initial_seed(), state.get_offset()))
    assert agree(initializer, initializer(poisoned(*initializer.shape)), expected)


def test_a_generator_of_ones_own_is_like_the_default_one() -> None:
    own = generator(11)
    torch.manual_seed(11)
    for law in LAWS:
        assert same(filled(law, torch.float32, 77, source=own), filled(law, torch.float32, 77, source=None))
    assert own.get_offset() == default().get_offset() == STEP * len(LAWS)


def test_a_state_that_is_set_again_replays_the_fills_that_followed_it() -> None:
    source = generator(2**60 + 1)
    filled(NORMAL, torch.float32, 10, source=source)
    state = source.get_state()
    first = [filled(law, torch.float32, 77, source=source) for law in LAWS]
    source.set_state(state)
    assert all(same(filled(law, torch.float32, 77, source=source), x) for law, x in zip(LAWS, first, strict=True))

    state = torch.cuda.get_rng_state()
    first = [filled(law, torch.float32, 77, source=None) for law in LAWS]
    torch.cuda.set_rng_state(state)
    assert all(same(filled(law, torch.float32, 77, source=None), x) for law, x in zip(LAWS, first, strict=True))


def test_fills_and_draws_of_torch_take_turns_on_one_state() -> None:
    """Torch moves on by what its draw needs; a fill takes the state as it finds it."""
    source = generator(3)
    seen = []
    for _ in range(3):
        torch.randn(1000, device=source.device, generator=source)
        seen.append(source.get_offset())
        ours = filled(UNIFORM, torch.float32, 50, source=source)
        assert same(ours, fresh(UNIFORM, torch.float32, 50, key=drawn_key(3, seen[-1])))
    assert len(set(seen)) == 3


# What a call takes


@pytest.mark.parametrize(("law", "dtype"), [*GRID, (SPARSE, torch.float32)], ids=str)
def test_a_fill_moves_the_offset_by_one_block_whatever_it_fills(law: Law, dtype: torch.dtype) -> None:
    for shape in ((1, 1), (300, 301)):
        source = at(6, 40)
        filled(law, dtype, *shape, source=source)
        assert source.get_offset() == 40 + STEP
        assert source.initial_seed() == 6


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_every_initializer_draws_once(initializer: Initializer) -> None:
    for shape in (initializer.shape, tuple(20 * extent for extent in initializer.shape[:2]) + initializer.shape[2:]):
        source = at(6, 40)
        initializer(poisoned(*shape), source)
        assert source.get_offset() == 40 + STEP


@pytest.mark.parametrize("initializer", FIXED, ids=str)
def test_what_is_not_random_draws_nothing(initializer: Initializer) -> None:
    before = default().get_offset()
    initializer(poisoned(*initializer.shape))
    assert default().get_offset() == before


def test_a_key_and_a_generator_of_the_cpu_leave_the_devices_generator_alone() -> None:
    before = default().get_state()
    filled(NORMAL, torch.float32, 100, source=Key(1))
    filled(NORMAL, torch.float32, 100, source=torch.Generator().manual_seed(1))
    assert torch.equal(default().get_state(), before)


@pytest.mark.parametrize("law", [*LAWS, SPARSE], ids=str)
def test_what_writes_nothing_draws_nothing(law: Law) -> None:
    source = at(3, 40)
    for shape in ((0, 4), (4, 0)):
        fill(law, torch.empty(shape, device=source.device), source)
    fill(law, torch.empty(4, 4, device="meta"), source)
    with pytest.raises(NotImplementedError):
        fill(law, torch.empty(4, 4, dtype=torch.int64, device=source.device), source)
    assert source.get_offset() == 40


def test_an_empty_slice_draws_as_the_whole_does() -> None:
    """So that processes that hold different parts stay in step."""
    source = at(3, 40)
    fill(NORMAL, shard(torch.empty(0, 4, device=source.device), (8, 4), (8, 0)), source)
    assert source.get_offset() == 40 + STEP


REFUSED: dict[str, Callable[[Tensor, Any], Any]] = {
    "uniform_ a > b": lambda t, g: fastinit.uniform_(t, 1.0, 0.0, g),
    "uniform_ nan": lambda t, g: fastinit.uniform_(t, math.nan, 1.0, g),
    "normal_ std < 0": lambda t, g: fastinit.normal_(t, 0.0, -1.0, g),
    "trunc_normal_ std < 0": lambda t, g: fastinit.trunc_normal_(t, 0.0, -1.0, generator=g),
    "trunc_normal_ a > b": lambda t, g: fastinit.trunc_normal_(t, 0.0, 1.0, 2.0, -2.0, g),
    "trunc_normal_ mean nan": lambda t, g: fastinit.trunc_normal_(t, math.nan, generator=g),
    "sparse_ sparsity < 0": lambda t, g: fastinit.sparse_(t, -0.1, generator=g),
    "sparse_ std < 0": lambda t, g: fastinit.sparse_(t, 0.5, -1.0, g),
    "xavier_normal_ gain < 0": lambda t, g: fastinit.xavier_normal_(t, -1.0, g),
    "kaiming_normal_ mode": lambda t, g: fastinit.kaiming_normal_(t, mode="fan", generator=g),
    "shared memory": lambda t, g: fastinit.normal_(t[:, :1].expand(4, 4), generator=g),
    "a slice that lies outside": lambda t, g: fastinit.normal_(shard(t, (4, 4), (1, 0)), generator=g),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_call_writes_nothing_draws_nothing_and_says_what_it_says_on_the_cpu(name: str) -> None:
    tensor, source = torch.full((4, 4), 7.0, device=generator(0).device), at(3, 40)
    with pytest.raises(Exception) as ours:  # noqa: PT011 (what it is, is compared with the CPU's)
        REFUSED[name](tensor, source)
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        REFUSED[name](torch.full((4, 4), 7.0), torch.Generator().manual_seed(3))
    assert (ours.type, str(ours.value)) == (theirs.type, str(theirs.value))
    assert bool((tensor == 7.0).all())
    assert source.get_offset() == 40


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_a_tensor_of_the_cpu_takes_no_generator_of_a_device(initializer: Initializer) -> None:
    tensor, source = torch.full(initializer.shape, 7.0), at(3, 40)
    with pytest.raises(RuntimeError, match="Expected a 'cpu' device type for generator but found 'cuda'"):
        initializer(tensor, source)
    assert bool((tensor == 7.0).all())
    assert source.get_offset() == 40


def test_python_threads_that_share_a_generator_get_different_keys() -> None:
    """Which thread gets which is a matter of chance, but together they get what one alone would have got."""

    def draw(source: Generator) -> tuple[float, ...]:
        return tuple(filled(UNIFORM, torch.float32, 3, source=source).tolist())

    alone, shared = generator(1), generator(1)
    expected = {draw(alone) for _ in range(200)}
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: draw(shared), range(200))) == expected
    assert alone.get_offset() == shared.get_offset() == 200 * STEP


# Kinship


def test_words_of_a_fill_are_never_words_that_torch_draws_from_the_same_state() -> None:
    """Torch makes 64-bit integers of pairs of words: none of them is a pair that a fill of that state reads.

    Without the fold they would be: torch's thread t walks the counters (offset / 4 + n, t) of the same seed.
    """
    seed, offset, count = 12345, 4096, 2**20
    integers = torch.empty(count, dtype=torch.int64, device="cuda").random_(generator=at(seed, offset))
    theirs = np.unique(integers.cpu().numpy().view(np.uint64))
    derived = drawn_key(seed, offset)
    for key, domain in ((derived, 0), (Key(seed, offset), cuda_domain()), (Key(seed, 0), cuda_domain())):
        words = np.array(_C.words(key.seed, key.offset, domain, 0, 2**18), dtype=np.uint64)
        for high, low in ((words[0::2], words[1::2]), (words[1::2], words[0::2])):
            pairs = (high << np.uint64(32) | low) % np.uint64(2**63)  # random_() leaves out the sign
            assert not np.isin(pairs, theirs).any()


def test_the_domain_of_cuda_keys_is_beyond_every_thread_of_torch() -> None:
    """Torch's kernels start at most as many threads as the card holds, and number them in the counter's third word."""
    card = torch.cuda.get_device_properties(torch.cuda.current_device())
    assert cuda_domain() > card.multi_processor_count * card.max_threads_per_multi_processor
