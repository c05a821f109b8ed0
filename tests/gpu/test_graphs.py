"""CUDA graphs and streams: a captured fill is the fill, replayed with the state of the moment; nothing ever waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

import fastinit
from fastinit import Key, foreach, shard
from gpu.device import agree, drawn_key, generator, new_stream, poisoned
from initializers import ALL, RANDOM, Initializer
from laws import GRID, LAWS, Law, fill, fresh, same

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("cuda")]

SLEEP = 100_000_000  # cycles of the device: some fifty milliseconds, in which the host must have long gone on


def captured(run: Callable[[], object], *generators: torch.Generator) -> torch.cuda.CUDAGraph:
    """What a call does, as a graph. It is called once before, on a stream of its own, as torch asks for."""
    stream = new_stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    for each in generators:
        graph.register_generator_state(each)
    with torch.cuda.graph(graph):
        run()
    return graph


def replay(graph: torch.cuda.CUDAGraph, *tensors: Tensor) -> list[Tensor]:
    """What a replay leaves in tensors that hold something else before."""
    for tensor in tensors:
        tensor.view(torch.uint8).fill_(0xA5)
    graph.replay()
    return [tensor.cpu() for tensor in tensors]


# Capture and replay


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_a_replay_is_the_call_at_the_same_state(initializer: Initializer) -> None:
    """From the default generator, which moves on by as much."""
    tensor = poisoned(*initializer.shape)
    graph = captured(lambda: initializer(tensor))
    torch.manual_seed(5)
    eager = [initializer(poisoned(*initializer.shape)).cpu() for _ in range(3)]
    moved = torch.cuda.get_rng_state()
    torch.manual_seed(5)
    replayed = [replay(graph, tensor)[0] for _ in range(3)]
    assert all(agree(initializer, *pair) for pair in zip(replayed, eager, strict=True))
    assert torch.equal(torch.cuda.get_rng_state(), moved)
    assert same(replayed[0], replayed[1]) == (not initializer.random)


@pytest.mark.parametrize(("law", "dtype"), GRID, ids=str)
def test_every_law_and_type_in_any_layout(law: Law, dtype: torch.dtype) -> None:
    """Fills of consecutive memory, of a transposed matrix and of a slice, one after the other in one graph."""

    def run(flat: Tensor, across: Tensor, part: Tensor) -> None:
        fill(law, flat, None)
        fill(law, across.t(), None)
        fill(law, shard(part, (90, 77), (31, 5)), None)

    tensors = [poisoned(*shape, dtype=dtype) for shape in ((5003,), (70, 50), (9, 33))]
    others = [poisoned(*shape, dtype=dtype) for shape in ((5003,), (70, 50), (9, 33))]
    graph = captured(lambda: run(*tensors))
    for seed in (1, 2**40 + 1):
        torch.manual_seed(seed)
        run(*others)
        torch.manual_seed(seed)
        assert all(map(same, replay(graph, *tensors), others))


def test_replays_differ_and_can_be_repeated() -> None:
    tensor = poisoned(1000)
    graph = captured(lambda: fastinit.normal_(tensor))
    torch.manual_seed(9)
    first = [replay(graph, tensor)[0] for _ in range(20)]
    assert not any(same(a, b) for place, a in enumerate(first) for b in first[:place])
    torch.manual_seed(9)
    assert all(same(replay(graph, tensor)[0], x) for x in first)


def test_the_key_of_a_replay_is_folded_on_the_device_as_it_is_on_the_host() -> None:
    tensors = [poisoned(501) for _ in range(3)]
    graph = captured(lambda: [fastinit.uniform_(tensor) for tensor in tensors])
    source = torch.cuda.default_generators[torch.cuda.current_device()]
    for seed, offset in ((0, 0), (2**64 - 1, 2**32 - 8), (2**63 + 5, 2**40 + 12)):
        source.manual_seed(seed)
        source.set_offset(offset)
        expected = [
            fresh(("uniform_", 0.0, 1.0), torch.float32, 501, key=drawn_key(seed, offset + 4 * i)) for i in range(3)
        ]
        assert all(map(same, replay(graph, *tensors), expected))
        assert source.get_offset() == offset + 12


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_a_graph_with_a_key_writes_the_same_at_every_replay(initializer: Initializer) -> None:
    tensor = poisoned(*initializer.shape)
    graph = captured(lambda: initializer(tensor, Key(3, 77)))
    expected = initializer(torch.empty(initializer.shape), Key(3, 77))
    before = torch.cuda.get_rng_state()
    for _ in range(2):
        assert agree(initializer, replay(graph, tensor)[0], expected)
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_a_graph_with_a_generator_of_the_cpu_keeps_the_key_it_drew_when_it_was_captured() -> None:
    tensor, source = poisoned(1000), torch.Generator().manual_seed(4)
    graph = captured(lambda: fastinit.normal_(tensor, generator=source))
    state = source.get_state()
    again = torch.Generator().manual_seed(4)
    fill(("normal_", 0.0, 1.0), torch.empty(1000), again)  # the call before the capture
    expected = fill(("normal_", 0.0, 1.0), torch.empty(1000), again)
    for _ in range(2):
        assert same(replay(graph, tensor)[0], expected)
    assert torch.equal(source.get_state(), state)
    assert torch.equal(source.get_state(), again.get_state())


def test_a_graph_follows_a_generator_that_is_registered_with_it() -> None:
    tensor, own = poisoned(1000), generator(21)
    graph = captured(lambda: fastinit.normal_(tensor, generator=own), own)
    own.manual_seed(22)
    replayed = [replay(graph, tensor)[0] for _ in range(2)]
    own.manual_seed(22)
    assert all(same(x, fastinit.normal_(poisoned(1000), generator=own)) for x in replayed)


def test_fills_and_draws_of_torch_share_a_graph() -> None:
    ours, theirs = poisoned(1000), torch.zeros(1000, device="cuda")

    def run() -> None:
        fastinit.normal_(ours)
        theirs.normal_()
        fastinit.uniform_(ours[500:])

    graph = captured(run)
    torch.manual_seed(6)
    run()
    expected = [ours.cpu(), theirs.cpu()]
    torch.manual_seed(6)
    assert all(map(same, replay(graph, ours, theirs), expected))


def test_a_call_refused_during_capture_leaves_the_graph_as_it_was() -> None:
    tensor = poisoned(1000)

    def run() -> None:
        fastinit.normal_(tensor)
        with pytest.raises(RuntimeError, match="normal expects std"):
            fastinit.normal_(tensor, std=-1.0)
        fastinit.uniform_(tensor[:100])

    graph = captured(run)
    torch.manual_seed(8)
    run()
    expected = tensor.cpu()
    torch.manual_seed(8)
    assert same(replay(graph, tensor)[0], expected)


def test_many_tensors_at_once_are_captured_at_once() -> None:
    shapes = [(3, 5), (70_001,), (0,), (64, 64), (1,)] * 40
    tensors, others = ([poisoned(*shape) for shape in shapes] for _ in range(2))
    graph = captured(lambda: foreach.normal_(tensors, 0.0, 0.5))
    for seed in (1, 2):
        torch.manual_seed(seed)
        foreach.normal_(others, 0.0, 0.5)
        moved = torch.cuda.get_rng_state()
        torch.manual_seed(seed)
        assert all(map(same, replay(graph, *tensors), others))
        assert torch.equal(torch.cuda.get_rng_state(), moved)


# Streams


@contextmanager
def busy(stream: torch.cuda.Stream) -> Iterator[None]:
    """A stream that has something to do for a while, as the current one."""
    with torch.cuda.stream(stream):
        torch.cuda._sleep(SLEEP)  # type: ignore[no-untyped-call]
        yield
    stream.synchronize()


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_a_fill_is_ordered_by_the_current_stream_and_by_no_other(initializer: Initializer) -> None:
    """It comes after what that stream had to do before, and the default stream has nothing to do with it."""
    initializer(poisoned(*initializer.shape), Key(2))  # loads its kernels, and what they are made of
    tensor = poisoned(*initializer.shape)
    torch.cuda.synchronize()
    with busy(new_stream()):
        tensor.fill_(-3.0)
        initializer(tensor, Key(2))
        copy = tensor.clone()
        assert torch.cuda.default_stream().query()
    assert agree(initializer, tensor, initializer(torch.empty(initializer.shape), Key(2)))
    assert same(copy, tensor)


@contextmanager
def no_waiting() -> Iterator[None]:
    """Fail if the host waits for the device: where torch does it, by torch's check; anywhere, by a device kept busy."""
    stream = torch.cuda.current_stream()
    with busy(stream):
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
            idle = stream.query()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert not idle, "the host waited for the device"


NO_WAITING = pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype:UserWarning")


@NO_WAITING
@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_no_call_waits_for_the_device(initializer: Initializer) -> None:
    """It returns while the stream is still busy with what came before it, and asks the device nothing."""
    tensor = poisoned(*initializer.shape)
    with torch.cuda.stream(new_stream()):
        initializer(tensor)  # loads its kernels, and what they are made of
        torch.cuda.synchronize()
        with no_waiting():
            for source in (None, Key(1), torch.Generator().manual_seed(1)):
                initializer(tensor, source)


@NO_WAITING
def test_filling_many_tensors_does_not_wait_for_the_device() -> None:
    tensors = [poisoned(64, 64) for _ in range(500)]
    with torch.cuda.stream(new_stream()):
        for fills in (nullcontext, no_waiting):
            torch.cuda.synchronize()
            with fills():
                foreach.normal_(tensors)
                foreach.uniform_(tensors, -1.0, 1.0, Key(5))
                foreach.ones_(tensors)


def test_streams_fill_side_by_side() -> None:
    """Different tensors on different streams, at the same time."""
    streams = [new_stream() for _ in range(8)]
    tensors = [poisoned(300_001) for _ in streams]
    torch.cuda.synchronize()
    for number, (stream, tensor) in enumerate(zip(streams, tensors, strict=True)):
        with torch.cuda.stream(stream):
            fill(LAWS[number % len(LAWS)], tensor, Key(number))
    torch.cuda.synchronize()
    for number, tensor in enumerate(tensors):
        assert same(tensor, fresh(LAWS[number % len(LAWS)], torch.float32, 300_001, key=Key(number)))


def test_memory_given_back_at_once_is_not_written_too_late() -> None:
    """The caching allocator hands memory to the next tensor of the stream: a fill must be on that stream to be safe."""
    for number in range(50):
        fastinit.normal_(torch.empty(2**20, device="cuda"), generator=Key(number))  # dropped at once
        kept: Any = torch.full((2**20,), 7.0, device="cuda")
        assert bool((kept == 7.0).all())
