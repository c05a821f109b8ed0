"""The GPU as the benchmarks see it: its clocks, its memset, cuRAND and graphs; and every part of the suite, small."""

from __future__ import annotations

import time

import pytest
import torch

from fastinit.bench import calls, gpu_floors, initialise, machine, sweep
from fastinit.bench import gpu as suite
from fastinit.bench.cuda import Cuda
from fastinit.bench.fills import DTYPES, FILLS
from fastinit.bench.memory import BYTE
from fastinit.bench.parameters import SMALL
from fastinit.bench.timing import interleave
from gpu.device import only_on_cuda

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("cuda")]


@pytest.fixture(scope="module")
def card() -> Cuda:
    """The current device, with half a gigabyte to flush its cache with."""
    only_on_cuda()
    return Cuda()


@pytest.mark.parametrize("size", [1, 4095, 4097, 50_001])
def test_memset_sets_every_byte_and_no_other(card: Cuda, size: int) -> None:
    block = torch.zeros(size + 2, dtype=torch.uint8, device="cuda")
    with card.write_limit(1) as memset:
        memset(block[1:-1])
    assert block[0] == 0
    assert block[-1] == 0
    assert bool((block[1:-1] == BYTE).all())


def test_the_device_is_timed_and_not_the_host(card: Cuda) -> None:
    """Ten milliseconds on the host, between a flush and a call, are no part of a sample."""
    block = torch.empty(2**28, dtype=torch.uint8, device="cuda")
    with card.write_limit(1) as memset:
        alone = interleave({"memset": lambda: memset(block)}, samples=7, sample_s=0.0, clock=card.clock)["memset"]
        twice = card.clock.elapsed(lambda: memset(block), 2)
    assert 2**28 / 10e12 < alone.seconds < 2**28 / 0.1e12  # between 100 GB/s and 10 TB/s
    assert 1.5 < twice / alone.seconds < 3
    assert card.wall.elapsed(lambda: time.sleep(0.01), 1) > 0.01


def test_what_can_be_had_is_less_than_there_is(card: Cuda) -> None:
    facts = machine.describe_gpu()
    assert 0 < card.room() < float(str(facts["gpu_memory_gib"])) * 2**30
    assert str(facts["gpu"]) in machine.headline(machine.describe() | facts)
    assert "/" not in "".join(str(value) for value in facts.values())


@pytest.mark.parametrize(("op", "mean", "std"), [("uniform_", 0.5, 12**-0.5), ("normal_", 0.0, 1.0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_curand_fills_what_the_standard_distributions_fill(
    card: Cuda, op: str, mean: float, std: float, dtype: torch.dtype
) -> None:
    tensor = torch.full((1024, 1024), -9.0, dtype=dtype, device="cuda")
    rivals = card.rivals(FILLS[op], tensor, tensor)
    assert set(rivals) == {"curand"}
    rivals["curand"]()
    assert float(tensor.mean()) == pytest.approx(mean, abs=0.01)
    assert float(tensor.std()) == pytest.approx(std, rel=0.01)


def test_recorded_calls_run_as_often_as_they_were_made(card: Cuda) -> None:
    count = torch.zeros((), device="cuda")
    run = card.recorded(lambda: count.add_(1.0), 10)
    count.zero_()
    run()
    assert float(count) == 10.0


def test_every_part_of_the_suite_runs(card: Cuda) -> None:
    results = suite.Results(verdicts=gpu_floors.rates(card, 1.0, size=2**22, samples=3))
    cells, left_out = sweep.sweep(suite.points(suite.OPS, list(DTYPES), [10, 12]), 3, 0.0, suite.BUDGET_S, card)
    results.cells, results.left_out = cells, left_out
    results.calls = [calls.measure(op, 6, card, samples=3, sample_s=1e-3) for op in calls.OPS]
    results.models, _ = initialise.initialise([SMALL], card, samples=3)
    assert {cell.point.op for cell in cells} == set(suite.OPS)
    assert all("NotImplementedError" in line for line in left_out), left_out  # complex truncated normals
    assert all(timing.seconds > 0 for cell in cells for timing in cell.timings.values())
    assert all(verdict.value is not None and verdict.value > 0 for verdict in results.verdicts)
    kernels, unread = suite.kernels(torch.cuda.get_device_capability())
    assert kernels or unread
