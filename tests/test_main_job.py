"""The main job on models small enough for a test: every way writes what is declared, and the checks can fail."""

from __future__ import annotations

import importlib
import json
import math
import os
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import fastinit

FAMILIES = ("gpt2", "llama", "mixtral", "vit", "bert")
SECONDS = {"torch": 12.0, "patch": 4.0, "defer": 1.4, "recipe": 1.1, "limit": 1.0}
FILLING = ("torch", "patch", "defer", "recipe")
NAMES = ("catalogue", "fresh", "histograms", "measured", "models", "promises", "small", "ways")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The scripts of benchmarks/, which import each other as a script's neighbours do."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return SimpleNamespace(**{name: importlib.import_module(name) for name in NAMES})


def smallest(bench: Any, family: str) -> Any:
    return bench.catalogue.Definition("tiny", family).smallest()


@torch.no_grad()
def spoil(model: torch.nn.Module) -> None:
    for parameter in model.parameters():
        parameter.fill_(math.nan)


def test_the_sizes_are_those_of_the_released_models(bench: Any) -> None:
    counts = {
        "gpt2": 124_439_808,
        "gpt2-medium": 354_823_168,
        "gpt2-large": 774_030_080,
        "gpt2-xl": 1_557_611_200,
        "bert-base": 109_514_298,
        "vit-base": 85_800_194,  # 85,798,656 and a classifier of two labels
        "llama-360m": 361_821_120,
        "llama-1b": 1_235_814_400,
        "llama-8b": 8_030_261_248,
    }
    assert set(bench.catalogue.DEFINITIONS) == {*counts, "mixtral-mini"}
    for name, count in counts.items():
        assert bench.measured.Measured.of(bench.catalogue.DEFINITIONS[name], 1).parameters == count


def test_bytes_follow_the_type(bench: Any) -> None:
    one = bench.measured.Measured.of(bench.catalogue.DEFINITIONS["llama-8b"], 1)
    assert one.bytes == 2 * one.parameters


@pytest.mark.parametrize("way", FILLING)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_way_writes_what_the_recipe_declares_and_writes_it_again(bench: Any, family: str, way: str) -> None:
    definition = smallest(bench, family)
    make, again = bench.ways.WAYS[way]
    model = make(definition, 0)
    assert all(tensor.device.type == "cpu" for tensor in (*model.parameters(), *model.buffers()))
    assert bench.histograms.check(model, definition.recipe) < 6
    spoil(model)
    assert bench.histograms.check(model, definition.recipe) == math.inf
    again(definition, model, 1)()
    assert bench.histograms.check(model, definition.recipe) < 6


def test_the_residual_projections_of_gpt2_are_scaled_by_depth_in_every_way(bench: Any) -> None:
    for way in FILLING:
        model = bench.ways.WAYS[way][0](smallest(bench, "gpt2"), 0)
        assert model.transformer.h[1].mlp.c_proj.weight.std().item() == pytest.approx(0.02 / math.sqrt(4), rel=0.05)
        assert model.lm_head.weight is model.transformer.wte.weight


def test_the_ways_are_those_they_are_called(bench: Any) -> None:
    definition = smallest(bench, "gpt2")
    models = (bench.ways.WAYS[way][0](definition, 0) for way in FILLING)
    by_torch, by_patch, by_defer, by_recipe = (model.transformer.wte.weight for model in models)
    torch.manual_seed(0)
    assert torch.equal(by_torch, definition.build().transformer.wte.weight)
    assert not torch.equal(by_patch, by_torch)
    assert torch.equal(by_defer, by_patch)
    assert not torch.equal(by_recipe, by_torch)
    assert torch.equal(by_recipe, bench.ways.by_recipe(definition, 0).transformer.wte.weight)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_limit_touches_every_parameter_once(bench: Any, family: str) -> None:
    definition = smallest(bench, family)
    make, again = bench.ways.WAYS["limit"]
    model = make(definition, 0)
    names = {id(parameter) for parameter in definition.on_meta().parameters()}
    assert len(list(model.parameters())) == len(names)
    assert all(p.device.type == "cpu" and not p.any() for p in model.parameters())
    spoil(model)
    again(definition, model, 0)()
    assert not any(p.any() for p in model.parameters())


def test_the_check_notices_a_wrong_spread_a_wrong_constant_and_a_padding_row(bench: Any) -> None:
    definition, check = smallest(bench, "bert"), bench.histograms.check
    model = bench.ways.by_recipe(definition, 0)
    words = model.bert.embeddings.word_embeddings

    def deviation(break_it: Callable[[], object]) -> float:
        bench.ways.recipe_again(definition, model, 0)()
        with torch.no_grad():
            break_it()
        return float(check(model, definition.recipe))

    assert deviation(lambda: None) < 6
    assert deviation(lambda: words.weight.mul_(1.1)) > 10
    assert deviation(lambda: words.weight[1:].add_(0.002)) > 10
    assert deviation(lambda: model.bert.embeddings.LayerNorm.weight[3].fill_(0.5)) == math.inf
    assert deviation(lambda: words.weight[words.padding_idx].fill_(0.02)) == math.inf


def test_moments_hold_where_one_sum_in_single_precision_does_not(bench: Any) -> None:
    values = torch.full((2**22 + 5,), 0.1)
    values[::2] = 0.3
    mean, std = bench.histograms._moments(values)
    assert mean == pytest.approx(0.2, rel=1e-6)
    assert std == pytest.approx(0.1, rel=1e-5)


def test_pictures_show_each_law_and_are_densities(bench: Any) -> None:
    definition = smallest(bench, "gpt2")
    found = bench.histograms.pictures(bench.ways.by_recipe(definition, 0), definition.recipe)
    assert {picture.law for picture in found.values()} == {"Normal, std 0.02", "Normal, std 0.01"}
    for picture in found.values():
        width = picture.edges[1] - picture.edges[0]
        assert sum(picture.written) * width == pytest.approx(1, abs=1e-3)
        assert sum(picture.declared) * width == pytest.approx(1, abs=1e-5)


def test_every_call_runs_in_a_process_of_its_own(bench: Any) -> None:
    first, second = (bench.fresh.in_fresh_process(os.getpid) for _ in range(2))
    assert len({first, second, os.getpid()}) == 3
    with pytest.raises(ZeroDivisionError):
        bench.fresh.in_fresh_process(divmod, 1, 0)
    with pytest.raises(BrokenProcessPool):
        bench.fresh.in_fresh_process(os._exit, 1)


def test_a_sample_has_times_memory_and_a_look_where_it_is_asked_for(bench: Any) -> None:
    # Wide enough that the memory shows: 34 MB, of which tied weights are half.
    definition = bench.catalogue.Definition(
        "wide", "gpt2", {**smallest(bench, "gpt2").sizes, "n_embd": 256, "vocab_size": 2**14}
    )
    size = bench.measured.Measured.of(definition, 1).bytes
    samples = {
        way: bench.fresh.in_fresh_process(bench.fresh.sample, definition, way, seed=0, threads=1, look=True)
        for way in ("torch", "recipe", "limit")
    }
    for sample in samples.values():
        assert sample.again > 0
        assert sample.seconds > 0
    assert samples["limit"].deviation is None
    assert samples["torch"].deviation < 6
    assert set(samples["torch"].pictures) == set(samples["recipe"].pictures) != set()
    extra = {way: sample.extra for way, sample in samples.items()}
    if extra["torch"] is None:
        pytest.skip("this system does not say what a process's peak was")
    assert extra["torch"] > 2**14 * 256 * 4 * 0.9  # the head's own weight, before it is tied
    assert abs(extra["recipe"]) < 0.1 * size


def fake(bench: Any, seconds: dict[str, float], **given: Any) -> Any:
    """A model with one sample a way, a tenth as long in touched memory."""
    one = bench.measured.Measured.of(smallest(bench, given.pop("family", "gpt2")), 2)
    for way, taken in seconds.items():
        one.samples[way].append(bench.fresh.Sample(taken, taken / 10, int(0.01 * one.bytes), 1.0, **given))
    return one


def test_a_way_sits_out_once_its_budget_is_spent(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int, bool]] = []

    def sample(function: object, definition: object, way: str, *, seed: int, threads: int, look: bool) -> Any:
        seen.append((way, seed, look))
        return bench.fresh.Sample(8.0 if way == "torch" else 1.0, 4.0 if way == "torch" else 0.5, 0, 1.0)

    monkeypatch.setattr(bench.models, "in_fresh_process", sample)
    measured = bench.models.measure(smallest(bench, "gpt2"), threads=1, rounds=3, budget_s=10)
    rounds = ("torch patch defer recipe limit", "limit recipe defer patch", "patch defer recipe limit")
    assert [way for way, _, _ in seen] == " ".join(rounds).split()
    assert [look for _, _, look in seen] == [True] * 5 + [False] * 8
    assert {way: len(taken) for way, taken in measured.samples.items()} == dict.fromkeys(bench.ways.WAYS, 3) | {
        "torch": 1
    }


def test_records_and_promises_are_ratios_of_medians(bench: Any) -> None:
    one = fake(bench, SECONDS)
    record = one.record()
    assert record["torch_to_patch"] == pytest.approx(3)
    assert record["recipe_to_limit"] == pytest.approx(1.1)
    assert record["torch_to_recipe_again"] == pytest.approx(12 / 1.1)
    verdicts = {verdict.promise: verdict for verdict in bench.promises.promises([one], [], 2)}
    assert {promise.partition(": ")[2]: verdict.met for promise, verdict in verdicts.items()} == {
        "patch against the limit": False,  # 4 of at most 1.5
        "defer against the limit": True,
        "recipe against the limit": True,
        "patch, extra memory": True,
        "defer, extra memory": True,
        "recipe, extra memory": True,
        "patch against torch": False,  # 3 of at least 4
        "defer against torch": True,
        "recipe against torch, again": True,
    }


def test_promises_are_made_of_gpt2_and_two_threads(bench: Any) -> None:
    promises = bench.promises.promises
    assert promises([fake(bench, SECONDS, family="llama")], [], 2) == []
    of_one_thread = promises([fake(bench, SECONDS)], bench.small.small(["normal"], 1, count=2, samples=1), 1)
    assert len(of_one_thread) == 11
    assert all(verdict.bound is None and verdict.met is None and verdict.value > 0 for verdict in of_one_thread)


def test_a_model_that_does_not_fit_is_left_out_with_a_word(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench.models, "available_bytes", lambda: 2**30)
    assert bench.models.main(["--models", "gpt2-xl"]) == 1
    assert "gpt2-xl left out: it takes 7.5 GiB and 1.0 GiB are free" in capsys.readouterr().out


@pytest.mark.parametrize("law", ["normal", "kaiming_uniform", "trunc_normal"])
def test_the_small_parameters_get_the_same_distribution_in_every_way(bench: Any, law: str) -> None:
    chosen = bench.small.LAWS[law]
    model = torch.nn.ModuleList(torch.nn.Linear(64, 64, bias=False) for _ in range(20))
    tensors = list(model.parameters())
    torch.manual_seed(0)
    spreads = []
    fills: list[Callable[[], object]] = [
        partial(bench.small._loop, chosen.torch, tensors),
        partial(bench.small._loop, chosen.one, tensors),
        partial(chosen.all, tensors),
        lambda: fastinit.initialize_(model, [fastinit.Rule(chosen.rule)], seed=0),
    ]
    for fill in fills:
        spoil(model)
        fill()
        spreads.append(torch.cat([tensor.detach().flatten() for tensor in tensors]).std().item())
    assert spreads == pytest.approx([spreads[0]] * 4, rel=0.02)  # the standard error is a quarter of a percent


def test_a_run_measures_prints_draws_and_writes(
    bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench.models, "DEFINITIONS", {"tiny": smallest(bench, "gpt2")})
    monkeypatch.setattr(bench.models, "small", partial(bench.small.small, count=10, samples=3))
    arguments = ["--models", "tiny", "--rounds", "2", "--threads", "1", "--out", str(tmp_path)]
    assert bench.models.main(arguments) == 0
    content = json.loads((tmp_path / "models.json").read_text())
    (model,) = content["models"]
    assert model["samples"] == dict.fromkeys(bench.ways.WAYS, 2)
    assert model["torch_to_recipe"] == pytest.approx(model["seconds"]["torch"] / model["seconds"]["recipe"])
    assert model["deviation"] < 6
    assert [entry["law"] for entry in content["small"]] == ["normal", "kaiming_uniform", "trunc_normal"]
    assert {line["threads"] for line in content["floors"]} == {1}
    for name in ("models.png", "weights.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert "smallest gpt2" in capsys.readouterr().out


def test_weights_that_are_not_as_declared_fail_the_run(
    bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = bench.fresh.in_fresh_process(
        bench.fresh.sample, smallest(bench, "gpt2"), "recipe", seed=0, threads=1, look=True
    )
    bad = bench.fresh.Sample(1.0, 1.0, None, 7.0, good.pictures)
    smalls = bench.small.small(["normal"], 1, count=2, samples=1)
    monkeypatch.setattr(bench.models, "DEFINITIONS", {"tiny": smallest(bench, "gpt2")})
    monkeypatch.setattr(
        bench.models, "in_fresh_process", lambda function, *a, **k: bad if function is bench.fresh.sample else smalls
    )
    assert bench.models.main(["--models", "tiny", "--out", str(tmp_path)]) == 1
    assert "not as declared: smallest gpt2" in capsys.readouterr().out
