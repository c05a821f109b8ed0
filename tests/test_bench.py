"""The benchmarks tell the truth: the stopwatch, the arithmetic and the files, at sizes that take no time."""

from __future__ import annotations

import ctypes
import json
import math
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

import fastinit
from fastinit.bench import audit, floors, grid, isa, machine, main, memory, orthogonal, plots, report, sweep, timing
from fastinit.bench.fills import DTYPES, FILLS, LAYOUTS, Layout, dims_for, empty, numpy_run, shape_of
from fastinit.bench.parameters import GPT2, GPT2_XL, Model, Parameter
from fastinit.bench.timing import Timing

PNG = b"\x89PNG"


class Clock:
    """A clock that only the timed calls move, so that what the stopwatch says can be foretold."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.calls: list[str] = []
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(time, "sleep", lambda _: None)

    def call(self, name: str, seconds: float) -> timing.Run:
        """Something to time that takes so long by this clock."""

        def run() -> None:
            self.now += seconds
            self.calls.append(name)

        return run


def test_interleave_reports_seconds_a_call_and_fills_a_sample_with_quick_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    timed = timing.interleave({"quick": clock.call("quick", 1e-3)}, samples=5, sample_s=0.01)["quick"]
    assert timed.seconds == pytest.approx(1e-3)
    assert (timed.samples, timed.calls) == (5, 10)


def test_one_interrupted_call_does_not_pass_for_a_slow_rival(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    interruptions = iter([0.008])  # a scheduler's turn, in the middle of the first call

    def run() -> None:
        clock.now += 1e-6 + next(interruptions, 0.0)

    timed = timing.interleave({"quick": run}, samples=3, sample_s=0.002)["quick"]
    assert timed.calls == pytest.approx(2000, rel=0.01)
    assert timed.seconds == pytest.approx(1e-6)


def test_interleave_takes_turns_forwards_and_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    timing.interleave({"a": clock.call("a", 1.0), "b": clock.call("b", 1.0)}, samples=3, budget_s=100)
    assert "".join(clock.calls) == "ab" + "ab" + "ba" + "ab"  # the first pair is the warm-up


def test_interleave_lets_a_slow_rival_stop_at_three_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    runs = {"slow": clock.call("slow", 9.0), "fast": clock.call("fast", 0.1)}
    timed = timing.interleave(runs, samples=8, budget_s=4.0)
    assert (timed["slow"].samples, timed["fast"].samples) == (3, 8)


def test_timing_is_the_median_with_the_extremes() -> None:
    assert Timing.of([3.0, 1.0, 2.0, 9.0], calls=4) == Timing(2.5, 1.0, 9.0, 4, 4)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 4095, 4097, 50_001])
def test_memset_sets_every_byte_and_no_other(threads: int, size: int) -> None:
    block = torch.zeros(size + 2, dtype=torch.uint8)
    with memory.write_limit(threads) as memset:
        memset(block[1:-1])
    assert block[0] == 0
    assert block[-1] == 0
    assert bool((block[1:-1] == memory.BYTE).all())


def test_peak_extra_memory_sees_a_copy_and_not_a_fill_in_place() -> None:
    tensor = torch.empty(2**12, 2**12)
    copying = memory.peak_extra_bytes(Tensor.clone, tensor)
    in_place = memory.peak_extra_bytes(Tensor.zero_, tensor)
    if copying is None or in_place is None:
        assert not Path("/proc/self/clear_refs").exists()
        return
    assert copying >= 0.9 * tensor.nbytes
    assert in_place < 0.1 * tensor.nbytes


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("log2", [4, 7, 10])
def test_layouts_have_the_size_and_the_strides_they_are_named_for(layout: Layout, log2: int) -> None:
    shape = shape_of(log2, 4 if layout == "channels_last" else 2)
    tensor = empty(shape, torch.bfloat16, layout)
    assert (tensor.shape, tensor.numel()) == (shape, 2**log2)
    if layout == "channels_last":
        assert tensor.is_contiguous(memory_format=torch.channels_last)
    elif layout == "row_strided":
        assert tensor.stride() == (2 * shape[1], 1)
    else:
        assert (tensor if layout == "contiguous" else tensor.t()).is_contiguous()


@pytest.mark.parametrize("name", list(FILLS))
def test_every_fill_writes_every_element_in_both_libraries(name: str) -> None:
    fill = FILLS[name]
    for init in (torch.nn.init, fastinit):
        tensor = torch.full(shape_of(8, fill.dims[0]), math.nan)
        with warnings.catch_warnings():
            if init is torch.nn.init:
                warnings.simplefilter("ignore")  # torch's trunc_normal_ warns about bounds far from the mean
            fill.call(init, tensor)
        assert not tensor.isnan().any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numpy_fills_the_same_memory(dtype: torch.dtype) -> None:
    for name, low, high in (("uniform_", 0.0, 1.0), ("normal_", -7.0, 7.0)):
        tensor = torch.full((16, 16), math.nan, dtype=dtype)
        run = numpy_run(FILLS[name], tensor)
        assert run is not None
        run()
        assert bool(((tensor >= low) & (tensor < high)).all())
    assert numpy_run(FILLS["normal_"], torch.empty(4, 4, dtype=torch.bfloat16)) is None
    assert numpy_run(FILLS["eye_"], torch.empty(4, 4)) is None


def test_the_default_grid_has_every_op_size_dtype_layout_and_thread_count() -> None:
    points = grid.star(list(FILLS), grid.SIZES, [1, 2])
    assert len(set(points)) == len(points)
    assert {point.op for point in points} == set(FILLS)
    assert {point.dtype for point in points} == set(DTYPES)
    assert {point.layout for point in points} == set(LAYOUTS)
    assert {point.log2 for point in points} == set(grid.SIZES)
    assert {point.threads for point in points} == {1, 2}


def test_the_full_grid_is_the_product_less_what_cannot_be() -> None:
    points = grid.full(["eye_", "normal_"], ["float32", "float64"], LAYOUTS, [4, 6], [1])
    assert len(points) == (4 + 3) * 2 * 2  # eye_ has no channels
    assert all(dims_for(FILLS[point.op], point.layout) for point in points)


def test_a_cell_compares_rates_also_where_torch_had_fewer_elements() -> None:
    point = grid.Point("trunc_normal_ [2, 4]", "float32", "contiguous", 20, 1)
    seconds = {"fastinit": 2.0**-10, "torch": 1.0, "memset": 2.0**-12, "fill_": 2.0**-11}
    cell = sweep.Cell(point, (1024, 1024), {name: Timing.of([s]) for name, s in seconds.items()}, 16, None)
    record = cell.record()
    assert record["elements_per_s"] == 2.0**30
    assert record["bytes_per_s"] == 2.0**32
    assert record["ratio_to_torch"] == 2.0**14
    assert record["share_of_write_limit"] == 0.25
    assert record["ratio_to_numpy"] is None
    assert record["torch_elements"] == 2**16


def test_a_sweep_measures_what_goes_and_names_what_does_not() -> None:
    points = grid.full(["uniform_", "trunc_normal_ [-2, 2]"], ["float32", "complex64"], ["contiguous"], [4], [1])
    before = torch.get_num_threads()
    cells, left_out = sweep.sweep(points, samples=1, sample_s=1e-4)
    assert torch.get_num_threads() == before
    assert [(cell.point.op, cell.point.dtype) for cell in cells] == [
        ("uniform_", "complex64"),
        ("uniform_", "float32"),
        ("trunc_normal_ [-2, 2]", "float32"),
    ]
    assert len(left_out) == 1
    assert left_out[0].startswith("trunc_normal_ [-2, 2] complex64 contiguous: NotImplementedError")
    rivals = cells[1].timings
    assert set(rivals) == {"fastinit", "torch", "numpy", "memset", "fill_"}
    assert cells[1].ratio("torch") == pytest.approx(rivals["torch"].seconds / rivals["fastinit"].seconds)


def test_what_only_torch_refuses_is_measured_with_its_reason() -> None:
    cell = sweep.measure(grid.Point("uniform_", "float8_e5m2", "contiguous", 4, 1), samples=1, sample_s=1e-4)
    assert "torch" not in cell.timings
    assert str(cell.torch_refusal).startswith("NotImplementedError")
    assert cell.record()["ratio_to_torch"] is None


def test_a_floor_speaks_of_rates_from_below_and_of_times_from_above() -> None:
    cost = {"own": 1.0, "other": 8.0}
    rate = floors.Ratio("own", "other", "at least", {1: 8.0, 2: 14.0})
    assert [rate.verdict(cost, threads).met for threads in (1, 2, 4)] == [True, False, None]
    assert rate.verdict(cost, 2, floors.RATE_SCALE["v3"]).met is True  # half of 14
    assert rate.verdict(cost, 1, floors.RATE_SCALE.get("baseline")).bound is None
    duration = floors.Ratio("other", "own", "at most", {1: 8.0})
    assert duration.verdict(cost, 1, None).value == 8.0
    assert duration.verdict(cost, 1, None).met is True
    assert duration.verdict({"own": 1.0, "other": 8.1}, 1).met is False


def test_every_floor_is_measured() -> None:
    before = torch.get_num_threads()
    try:
        verdicts = [
            *floors.rates(1, "v4", elements=2**8, samples=1),
            *floors.fresh(1, size=2**12),
            *floors.extra_memory(1, elements=2**8),
            *floors.overheads(samples=1),
            *floors.imports(samples=1),
        ]
    finally:
        torch.set_num_threads(before)
    assert len(verdicts) == len(floors.RATIOS) + 1 + 1 + 14 + 1
    for verdict in verdicts:
        record = verdict.record()
        assert verdict.bound is not None
        assert verdict.value is None or verdict.value >= 0
        assert set(record) == {"promise", "threads", "value", "unit", "sense", "bound", "met"}


def test_the_machine_is_named_without_its_owner() -> None:
    facts = machine.describe()
    assert facts["torch"] == torch.__version__
    assert facts["stream_version"] == fastinit.STREAM_VERSION
    text = json.dumps(facts)
    assert "/" not in text
    assert str(facts["cpu"]) in machine.headline(facts)


def test_a_sweep_from_the_command_line_leaves_a_table_a_file_and_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["sweep", "--full", "--ops", "uniform_", "--dtypes", "float32", "--layouts", "contiguous"]
    assert main([*arguments, "--sizes", "4", "6", "--threads", "1", "--out", str(tmp_path)]) == 0
    assert "uniform_" in capsys.readouterr().out
    results = json.loads((tmp_path / "sweep.json").read_text())
    assert (results["schema"], results["suite"]) == (report.SCHEMA, "sweep")
    assert [cell["elements"] for cell in results["cells"]] == [16, 64]
    assert (tmp_path / "sweep.png").read_bytes().startswith(PNG)


def test_orthogonal_matrices_are_timed_and_checked_in_both_libraries() -> None:
    result = orthogonal.measure(orthogonal.Case(8, 5, batch=3), 1, samples=1)
    assert set(result.timings) == {"fastinit", "torch"}
    assert result.times_torch == pytest.approx(result.timings["torch"].seconds / result.timings["fastinit"].seconds)
    assert 0 < result.error < 1e-6
    assert result.torch_error is not None
    assert 0 < result.torch_error < 1e-6
    assert orthogonal.departure(torch.tensor([[[1.0, 0.0], [0.25, 1.0]]])) == 0.25
    assert orthogonal.Case(3, 2).operations == 2 * 3 * 4 - 2 / 3 * 8


def test_the_promises_about_orthogonal_matrices_are_kept_or_not_by_arithmetic() -> None:
    seconds = {"fastinit": Timing.of([0.5]), "torch": Timing.of([1.4]), "product": Timing.of([0.4])}
    single = orthogonal.Result(orthogonal.Case(4, 4, times_torch=2.8, share=0.7), 1, seconds, 2**-19, 1e-6, 128)
    rivals = {"fastinit": Timing.of([0.6]), "float32": Timing.of([0.5])}
    half = orthogonal.Result(orthogonal.Case(4, 4, dtype="bfloat16"), 1, rivals, 0.1, None, 0)
    assert single.share == pytest.approx(4 / 3 / 0.5 / (2 / 0.4))
    kept = {verdict.promise: verdict.met for verdict in orthogonal.verdicts([single, half])}
    assert kept == {
        "4 x 4 against torch": True,
        "4 x 4, operations against mm's": False,
        "4 x 4, max |Q*Q - 1|": True,  # exactly 16 units
        "4 x 4, extra memory": False,
        "4 x 4 bfloat16 against float32": False,
    }


def test_extra_memory_of_an_orthogonal_matrix_is_read_in_a_process_of_its_own() -> None:
    extra = orthogonal.extra_bytes(orthogonal.Case(2048, 1024), 1)
    if extra is None:
        assert not Path("/proc/self/clear_refs").exists()
        return
    assert 2**20 < extra < 1.5 * 4 * 2048 * 1024


def test_the_orthogonal_suite_leaves_a_table_a_file_and_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["orthogonal", "--largest", "64", "--threads", "1", "--out", str(tmp_path)])
    assert "2 x 2" in capsys.readouterr().out
    results = json.loads((tmp_path / "orthogonal.json").read_text())
    assert [record["matrix"] for record in results["matrices"]] == [[2, 2], [8, 8]]
    assert (tmp_path / "orthogonal.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 4096, 50_001])
def test_the_read_limit_reads_every_byte_once(threads: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[tuple[int, int]] = []

    def memcmp(a: int, b: int, count: int) -> None:
        assert a == b
        reads.append((a, count))

    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(memcmp=memcmp))
    tensor = torch.empty(size, dtype=torch.uint8)
    with memory.read_limit(threads) as read:
        read(tensor)
    reads.sort()
    ends = [start + count for start, count in reads]
    assert [start for start, _ in reads] == [tensor.data_ptr(), *ends[:-1]]
    assert ends[-1] == tensor.data_ptr() + size


TINY = Model("tiny", torch.float32, (Parameter((30, 40), 0.02), Parameter((5,), None, 1.0), Parameter((7, 3), 0.1)))


def test_an_audit_is_timed_beside_what_only_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(audit.MODELS, "tiny", TINY)
    module, _, block = audit.build(TINY)
    assert [p.shape for p in module.parameters()] == [(30, 40), (5,), (7, 3)]
    assert {p.untyped_storage().data_ptr() for p in module.parameters()} == {block.untyped_storage().data_ptr()}
    before = torch.get_num_threads()
    one, two = audit.audits("tiny", [1, 2], samples=3)
    assert torch.get_num_threads() == before
    assert (one.threads, two.threads) == (1, 2)
    assert set(one.timings) == {audit.AUDIT, audit.PLAIN, *audit.READERS}
    assert one.share(audit.AUDIT) == one.limit / one.timings[audit.AUDIT].seconds
    assert one.limit == min(one.timings[name].seconds for name in audit.READERS)


def test_the_promise_of_the_audit_is_about_gpt2_xl_on_two_threads() -> None:
    assert GPT2_XL.elements == 1_557_611_200
    assert GPT2.elements == 124_439_808
    seconds = {audit.AUDIT: 3.0, audit.PLAIN: 1.5, "memcmp": 1.2, "torch amax": 1.4, "statistics": 1.3}
    timings = {name: Timing(value, value, value, 3, 1) for name, value in seconds.items()}
    results = [audit.Audited(model, threads, timings) for model in (GPT2, GPT2_XL) for threads in (1, 2)]
    verdicts = audit.verdicts(results)
    assert [v.met for v in verdicts] == [None] * 6 + [False, None]
    assert verdicts[6].value == pytest.approx(0.4)


def test_the_audit_suite_leaves_a_table_a_file_and_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(audit.MODELS, "small", TINY)
    assert main(["audit", "--model", "small", "--threads", "1", "--out", str(tmp_path)]) == 0
    assert "memcmp" in capsys.readouterr().out
    content = json.loads((tmp_path / "audit.json").read_text())
    assert content["suite"] == "audit"
    assert content["audits"][0]["elements"] == 30 * 40 + 5 + 21
    assert (tmp_path / "audit.png").read_bytes().startswith(PNG)


def test_a_forced_instruction_set_is_the_one_that_runs(tmp_path: Path) -> None:
    records = {"baseline": isa.forced("baseline", [4], [1])}
    rates = isa.one_thread_rates(records, 4)
    assert set(rates["baseline"]) == set(isa.OPS)
    plots.plot_isa(tmp_path / "isa.png", machine.describe(), rates)
    assert (tmp_path / "isa.png").read_bytes().startswith(PNG)
