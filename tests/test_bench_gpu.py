"""The GPU suite, without a GPU: every part of it runs end to end on the CPU in the device's place, at tiny sizes."""

from __future__ import annotations

import ctypes
import json
import math
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fastinit import _C
from fastinit.bench import (
    calls,
    cli,
    cuda,
    floors,
    gpu,
    gpu_floors,
    gpu_tables,
    initialise,
    kernels,
    machine,
    main,
    overhead,
    report,
    sass,
    sweep,
)
from fastinit.bench.curand import LIBRARY, Curand
from fastinit.bench.device import CPU, Cpu
from fastinit.bench.fills import DTYPES, FILLS, LAYOUTS
from fastinit.bench.floors import Verdict
from fastinit.bench.grid import Point
from fastinit.bench.parameters import GPT2, LLAMA, MODELS, SMALL, Model, Parameter
from fastinit.bench.timing import Run, Timing, interleave
from fastinit.info import info
from golden.reference import TruncNormal

FACTS: machine.Facts = {
    "gpu": "a stand-in",
    "multiprocessors": 2,
    "cuda": "13.0",
    "torch": torch.__version__,
}
TINY = Model(
    "tiny",
    torch.float32,
    (Parameter((3, 4), 0.02), Parameter((3,), None), Parameter((3,), None, 1.0), Parameter((2, 2), 0.5)),
)


class Events:
    """A clock that tells how it was used: flushes, and the calls between two events."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def settle(self) -> None:
        """Comes before every sample."""
        self.log.append("flush")

    def elapsed(self, run: Run, calls: int) -> float:
        """Seconds that so many calls take: one each."""
        for _ in range(calls):
            run()
        return float(calls)


def test_the_cache_is_flushed_before_every_sample_and_a_sample_is_one_call() -> None:
    clock = Events()
    runs: dict[str, Run] = {name: partial(clock.log.append, name) for name in "ab"}
    timed = interleave(runs, samples=3, sample_s=0.0, clock=clock)
    warm_up = clock.log.index("flush")
    assert {*clock.log[:warm_up]} == {"a", "b"}
    assert clock.log[warm_up:] == ["flush", "a", "flush", "b", "flush", "b", "flush", "a", "flush", "a", "flush", "b"]
    assert timed["a"] == Timing(1.0, 1.0, 1.0, 3, 1)


# The grid


def test_the_grid_has_every_op_in_every_dtype_at_every_size() -> None:
    points = gpu.points(gpu.OPS, list(DTYPES), gpu.SIZES)
    assert len(set(points)) == len(points)
    contiguous = {(p.op, p.dtype, p.log2) for p in points if p.layout == "contiguous"}
    sizes = {op: [log2 for log2 in gpu.SIZES if log2 <= FILLS[op].limit] for op in gpu.OPS}
    assert contiguous == {(op, dtype, log2) for op in gpu.OPS for dtype in DTYPES for log2 in sizes[op]}
    assert (gpu.SIZES[0], gpu.SIZES[-1]) == (10, 32)
    assert {p.layout for p in points} == set(LAYOUTS)
    assert max(p.log2 for p in points if p.op == "orthogonal_") == 22


def test_torch_is_timed_on_fewer_elements_where_it_takes_long() -> None:
    slow = {name for name, fill in FILLS.items() if fill.torch_gpu_limit < max(gpu.SIZES)}
    assert slow == {name for name in FILLS if name.startswith("trunc_normal_")} | {"sparse_"}


# End to end


@pytest.fixture(scope="module")
def results() -> gpu.Results:
    """Everything, on the CPU."""
    found = gpu.Results(
        verdicts=[
            *gpu_floors.rates(CPU, 1.0, size=2**14, samples=1),
            *floors.overheads(samples=1, device=CPU),
            *gpu_floors.at_once(CPU, models=[TINY], samples=1),
        ]
    )
    points = gpu.points(["uniform_", "normal_", "constant_", "eye_"], ["float32", "complex64"], [10, 12])
    found.cells, found.left_out = sweep.sweep(points, 1, 0.0, gpu.BUDGET_S, CPU)
    found.calls = [calls.measure(op, 6, CPU, samples=1, sample_s=1e-5) for op in calls.OPS]
    found.models, _ = initialise.initialise([TINY], CPU, samples=1)
    found.loops = [
        sass.Loop(f"void fastinit::cuda::flat_one<fastinit::cuda::Random<fastinit::{law}<float>, {out}> >(", 66, 4, {})
        for law, out in (("Uniform", "fastinit::cuda::OutF32"), ("Normal", "fastinit::cuda::OutF32"))
    ]
    return found


def test_all_parts_are_run_and_each_adds_to_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_floors, "SIZE", 2**10)
    monkeypatch.setattr(gpu_floors, "rates", partial(gpu_floors.rates, size=2**10, samples=1))
    monkeypatch.setattr(gpu_floors, "overheads", partial(floors.overheads, samples=1))
    monkeypatch.setattr(gpu_floors, "at_once", partial(gpu_floors.at_once, models=[TINY], samples=1))
    monkeypatch.setattr(calls, "SIZES", (6,))
    found = gpu.Results()
    for step in gpu.steps(CPU, (9, 0), ops=["constant_"], dtypes=["float32"], sizes=[4], models=[TINY], samples=1):
        step(found)
    assert len(found.verdicts) == len(gpu_floors.RATIOS) + len(overhead.CALLS) + 1
    assert [verdict.bound is not None for verdict in found.verdicts] == [True] * len(found.verdicts)
    assert [(row.op, row.log2) for row in found.calls] == [("constant_", 6)]
    assert {cell.point.layout for cell in found.cells} == set(LAYOUTS)
    assert found.models[0].model is TINY
    assert bool(found.loops) != any("instructions a value" in line for line in found.left_out)


def test_memory_that_runs_out_is_a_line_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_out(*_: object) -> sweep.Cell:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(sweep, "measure", run_out)
    cells, left_out = sweep.sweep([Point("ones_", "float32", "contiguous", 4, 1)])
    assert (cells, left_out) == ([], ["ones_ float32 contiguous: memory ran out at 2^4 elements"])


def test_every_promise_is_measured(results: gpu.Results) -> None:
    promises = {verdict.promise: verdict for verdict in results.verdicts}
    assert len(promises) == len(results.verdicts) == len(gpu_floors.RATIOS) + len(overhead.CALLS) + 1
    for verdict in results.verdicts:
        assert verdict.value is not None
        assert verdict.value > 0
        assert verdict.bound is not None
        assert verdict.met is (
            verdict.value >= verdict.bound if verdict.sense == "at least" else verdict.value <= verdict.bound
        )


def test_the_promises_are_those_that_were_made() -> None:
    bounds = {(ratio.subject, ratio.against): ratio.bounds[1] for ratio in gpu_floors.RATIOS}
    assert bounds == {
        ("uniform_", "memset"): 0.90,
        ("normal_", "memset"): 0.65,
        ("trunc_normal_ [-2, 2]", "memset"): 0.50,
        ("constant_", "memset"): 0.95,
        ("uniform_ bfloat16", "memset"): 0.75,
        ("uniform_", "torch uniform_"): 1.5,
        ("normal_", "torch normal_"): 1.8,
        ("trunc_normal_ [-2, 2]", "torch trunc_normal_ [-2, 2]"): 15.0,
        ("normal_ transposed", "torch normal_ transposed"): 3.0,
    }
    assert all(ratio.sense == "at least" for ratio in gpu_floors.RATIOS)
    assert gpu_floors.SIZE == 4 * 2**30
    assert (gpu_floors.AT_ONCE, len(SMALL.parameters)) == (20.0, 1000)


def test_bounds_on_rates_are_for_the_cards_they_were_made_for() -> None:
    for scale, bounded in ((1.0, True), (None, False)):
        verdicts = gpu_floors.rates(CPU, scale, size=2**10, samples=1)
        assert {verdict.bound is not None for verdict in verdicts} == {bounded}


def test_a_card_with_less_memory_gets_smaller_floors() -> None:
    class Small(Cpu):
        def room(self) -> int:
            return 2**13

    verdicts = gpu_floors.rates(Small(), 1.0, size=2**14, samples=1)
    assert all(verdict.promise.endswith(", 1024 bytes") for verdict in verdicts)
    assert all(verdict.bound is None for verdict in verdicts)
    assert gpu_floors.fitting(2**32, 78 * 2**30) == gpu_floors.fitting(2**32, None) == 2**32


def test_the_suite_leaves_tables_a_file_and_a_picture(
    results: gpu.Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = gpu.Results(**{**results.__dict__, "verdicts": [Verdict("kept", 1, 2.0, "x", "at least", 1.0)]})
    missed = gpu.Results(**{**results.__dict__, "verdicts": [Verdict("missed", 1, 0.5, "x", "at least", 1.0)]})
    assert cli.save_gpu(tmp_path, FACTS, kept) == 0
    assert cli.save_gpu(tmp_path, FACTS, missed) == 1

    printed = capsys.readouterr().out
    written = (tmp_path / "gpu.md").read_text()
    for sheet in gpu_tables.sheets(missed):
        assert sheet.title in printed
        assert f"## {sheet.title}" in written
        assert all(len(row) == len(sheet.columns) for row in sheet.rows)
    assert "| missed | 0.5 x | at least 1 x | NO |" in written

    file = json.loads((tmp_path / "gpu.json").read_text())
    assert (file["schema"], file["suite"], file["machine"]) == (report.SCHEMA, "gpu", FACTS)
    assert {len(file[part]) for part in ("cells", "calls", "models", "kernels")} == {
        len(results.cells),
        len(results.calls),
        1,
        2,
    }
    assert (tmp_path / "gpu.png").read_bytes().startswith(b"\x89PNG")


def test_instructions_stand_beside_the_figures_of_their_kernel(results: gpu.Results) -> None:
    cells: Any = results.record()["cells"]
    found = {(c["op"], c["dtype"], c["layout"]): c["instructions_a_value"] for c in cells}
    assert found["uniform_", "float32", "contiguous"] == 66 * 4 / 64
    assert found["uniform_", "complex64", "contiguous"] == 66 * 8 / 64  # an element is two values
    assert found["uniform_", "float32", "transposed"] is None
    assert found["eye_", "float32", "contiguous"] is None
    assert found["constant_", "float32", "contiguous"] is None  # no such kernel was found


def test_the_largest_tensor_of_each_kind_is_shown(results: gpu.Results) -> None:
    [largest] = [sheet for sheet in gpu_tables.sheets(results) if sheet.title == "The largest tensors"]
    shown = {(row[0], row[1]): row[3] for row in largest.rows}
    assert shown == dict.fromkeys(((c.point.op, c.point.dtype) for c in results.cells), "2^12")


def test_a_call_from_a_graph_costs_its_share_of_the_graph(results: gpu.Results) -> None:
    whole = Timing(2.0, 1.0, 3.0, 5, 4)
    assert calls.a_call(whole) == Timing(0.02, 0.01, 0.03, 5, 400)
    for row in results.calls:
        ours = {"fastinit", "memset", "fastinit in graph", "memset in graph", "torch"}
        asks = row.op.startswith("trunc_normal_") and calls.TORCH_ASKS
        assert set(row.timings) == (ours if asks else ours | {"torch in graph"})
        assert row.ratio() == pytest.approx(row.timings["torch"].seconds / row.timings["fastinit"].seconds)
        assert (row.ratio(" in graph") is None) is asks


# Models


def test_the_models_have_the_parameters_they_are_known_for() -> None:
    assert LLAMA.elements == 8_030_261_248
    assert LLAMA.size == 2 * LLAMA.elements
    assert GPT2.elements == 124_439_808
    assert SMALL.elements == 1000 * 64 * 64
    residual = {parameter.std for parameter in GPT2.parameters} - {None, 0.02}
    assert residual == {0.02 / math.sqrt(24)}
    assert [model.name for model in MODELS] == ["Llama 3 8B", "GPT-2 124M", "1,000 parameters of 64 x 64"]


@pytest.mark.parametrize("init", [torch.nn.init, "at once"], ids=["loop", "at once"])
def test_models_are_filled_by_their_rules(init: Any) -> None:
    tensors = [tensor.fill_(math.nan) for tensor in TINY.allocate("cpu")]
    if init == "at once":
        initialise.at_once(TINY.parameters, tensors)()
    else:
        initialise.loop(init, TINY.parameters, tensors)
    assert all(bool(tensor.isfinite().all()) for tensor in tensors)
    assert tensors[1].tolist() == [0.0] * 3
    assert tensors[2].tolist() == [1.0] * 3
    assert 0 < tensors[0].abs().max() < 0.02 * 7 < tensors[3].abs().max()


def test_a_model_without_room_is_named() -> None:
    class Full(Cpu):
        def room(self) -> int:
            return 2**20

    measured, left_out = initialise.initialise([LLAMA], Full())
    assert measured == []
    assert left_out == ["Llama 3 8B: needs 29.9 GiB"]


# Kernels


def test_forms_are_those_of_the_specification() -> None:
    for op, forms in kernels.FORMS.items():
        if op.startswith("trunc_normal_"):
            low, high = json.loads(op.removeprefix("trunc_normal_ "))
            law = (0.0, 1.0, float(low), float(high))
            found = [TruncNormal(dtype, law).form.split(",")[0].title() for dtype in ("float32", "float64")]
            assert tuple(found) == forms, op
    assert set(kernels.FORMS) | set(kernels.CONSTANTS) == set(FILLS) - {"eye_", "dirac_", "sparse_", "orthogonal_"}


def test_a_kernel_is_found_by_its_form_and_its_type() -> None:
    here = "fastinit::cuda::"
    names = [
        f"void {here}flat_{how}<{here}Random<fastinit::{form}<{working}>, {here}{out}> >({here}Params)"
        for how in ("one", "many")
        for form in ("Normal", "Full", "Tail")
        for working, out in (("float", "OutF32"), ("float", "OutBF16"), ("float", "OutF8"), ("double", "OutF64"))
    ]
    loops = [sass.Loop(name, 16 * (at + 1), 1, {}) for at, name in enumerate(names)]
    for op, dtype, name in (
        ("kaiming_normal_", torch.float32, names[0]),
        ("normal_", torch.float8_e5m2, names[2]),
        ("normal_", torch.complex128, names[3]),
        ("trunc_normal_ [-2, 2]", torch.float64, names[7]),
        ("trunc_normal_ [2, 4]", torch.bfloat16, names[9]),
    ):
        at = names.index(name)
        assert kernels.instructions_a_value(loops, op, dtype) == (at + 1) * dtype.itemsize
    assert kernels.instructions_a_value(loops, "uniform_", torch.float32) is None
    assert kernels.instructions_a_value(loops, "sparse_", torch.float32) is None


@pytest.mark.skipif(info()["cuda"] is None, reason="this fastinit was built without its CUDA backend")
def test_every_fill_finds_its_kernel_in_the_extension() -> None:
    """In every type, on every architecture that it was built for."""
    binary = Path(_C.__file__)
    try:
        arches = sass.architectures(binary)
    except sass.MissingToolError as error:
        pytest.skip(str(error))
    assert arches
    for arch in arches:
        loops = sass.loops(binary, arch)
        for op in (*kernels.FORMS, *kernels.CONSTANTS):
            missing = [name for name, t in DTYPES.items() if kernels.instructions_a_value(loops, op, t) is None]
            assert not missing, (arch, op, missing)


# What belongs to the GPU


class Driver:
    """What torch.cuda offers to a clock, with a device that takes three milliseconds for what it is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[str] = []
        self.now = 0.0
        monkeypatch.setattr(torch.cuda, "Event", self.event)
        monkeypatch.setattr(torch.cuda, "synchronize", lambda: self.log.append("synchronize"))
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

    def event(self, *, enable_timing: bool) -> Any:
        """An event, whose time is that of the device."""
        assert enable_timing
        made = SimpleNamespace(at=0.0)

        def record() -> None:
            made.at = self.now
            self.log.append("event")

        made.record = record
        made.synchronize = lambda: self.log.append("wait")
        made.elapsed_time = lambda end: (end.at - made.at) * 1e3
        return made

    def flush(self) -> None:
        """What pushes everything out of the cache."""
        self.log.append("flush")

    def work(self) -> None:
        """A call."""
        self.log.append("call")
        self.now += 0.003


def test_fills_are_timed_between_two_events_behind_a_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(monkeypatch)
    clock = cuda.EventClock(driver.flush)
    clock.settle()
    assert clock.elapsed(driver.work, 2) == pytest.approx(0.006)
    assert driver.log == ["flush", "event", "call", "call", "event", "wait"]


def test_calls_are_timed_from_idle_to_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(monkeypatch)
    clock = cuda.WallClock(driver.flush)
    clock.settle()
    assert clock.elapsed(driver.work, 2) == pytest.approx(0.006)
    assert driver.log == ["flush", "synchronize", "synchronize", "call", "call", "synchronize"]


def test_curand_fills_what_the_standard_distributions_fill() -> None:
    """By the library's generator on the host, which has the calls of the one on the device."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        pytest.skip(f"no {LIBRARY} here")
    generator = Curand(library, host=True)
    for dtype in (torch.float32, torch.float64):
        for name, mean, std in (("uniform_", 0.5, 12**-0.5), ("normal_", 0.0, 1.0)):
            tensor = torch.full((64, 64), math.nan, dtype=dtype)
            run = generator.run(FILLS[name], tensor)
            assert run is not None
            run()
            assert float(tensor.mean()) == pytest.approx(mean, abs=0.1)
            assert float(tensor.std()) == pytest.approx(std, rel=0.1)
    assert generator.run(FILLS["normal_"], torch.empty(4, 4, dtype=torch.bfloat16)) is None
    assert generator.run(FILLS["normal_"], torch.empty(4, 4).t()[:, :2]) is None
    assert generator.run(FILLS["eye_"], torch.empty(4, 4)) is None


def test_the_card_is_named_by_what_nvidia_smi_says() -> None:
    facts = machine.smi_facts("580.65.06, 345, 1980, 3201, 700.00, 31\n")
    assert facts == {
        "driver": "580.65.06",
        "sm_clock_mhz": "345",
        "sm_clock_max_mhz": "1980",
        "memory_clock_mhz": "3201",
        "power_limit_w": "700.00",
        "temperature_c": "31",
    }
    assert "power_limit_w" not in machine.smi_facts("580.65.06, 345, 1980, 3201, [N/A], 31\n")
    assert machine.headline(FACTS) == f"a stand-in, 2 SMs, CUDA 13.0, torch {torch.__version__}"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_the_suite_says_so_and_is_not_among_those_that_run_by_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["gpu", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "bench gpu: torch sees no CUDA device\n"
    assert list(tmp_path.iterdir()) == []
    ran: list[str] = []

    def note(name: str, _: object) -> int:
        ran.append(name)
        return 0

    for name in (*cli.SUITES, "gpu"):
        monkeypatch.setattr(cli, f"_{name}", partial(note, name))
    assert main([]) == 0
    assert ran == list(cli.SUITES)
