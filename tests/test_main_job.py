"""The main job on a model small enough for a test: same rules for both libraries, and a check that can fail."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import fastinit

LAYERS = 2


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The scripts of benchmarks/, which import each other as a script's neighbours do."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return {name: importlib.import_module(name) for name in ("gpt2", "histograms", "models")}


@pytest.fixture
def definition(modules: dict[str, ModuleType]) -> Any:
    return modules["gpt2"].GPT2Config(n_layer=LAYERS, n_head=2, n_embd=64, vocab_size=256, n_positions=32)


def test_the_sizes_are_those_of_the_released_models(modules: dict[str, ModuleType]) -> None:
    gpt2 = modules["gpt2"]
    counts = {"gpt2": 124_439_808, "gpt2-medium": 354_823_168, "gpt2-large": 774_030_080, "gpt2-xl": 1_557_611_200}
    assert set(gpt2.SIZES) == set(counts)
    for name, count in counts.items():
        assert sum(parameter.numel() for parameter in gpt2.build(gpt2.config(name)).parameters()) == count


@pytest.mark.parametrize("init", [torch.nn.init, fastinit], ids=["torch", "fastinit"])
def test_the_rules_fill_every_parameter_and_the_check_agrees(
    modules: dict[str, ModuleType], definition: Any, init: ModuleType
) -> None:
    gpt2, check = modules["gpt2"], modules["histograms"].check
    model = gpt2.build(definition)
    gpt2.materialise(model)
    assert model.lm_head.weight is model.transformer.wte.weight
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(math.nan)
    assert check(model, LAYERS) == math.inf
    torch.manual_seed(0)
    gpt2.rules(model, LAYERS, init)
    assert check(model, LAYERS) < 6
    residual = model.transformer.h[1].mlp.c_proj.weight
    assert residual.std().item() == pytest.approx(0.02 / math.sqrt(2 * LAYERS), rel=0.05)


def test_the_check_notices_a_wrong_spread_and_a_wrong_constant(modules: dict[str, ModuleType], definition: Any) -> None:
    gpt2, check = modules["gpt2"], modules["histograms"].check
    model = gpt2.build(definition)
    gpt2.materialise(model)
    gpt2.rules(model, LAYERS, fastinit)
    with torch.no_grad():
        model.transformer.wte.weight.mul_(1.1)
        assert check(model, LAYERS) > 10
        gpt2.rules(model, LAYERS, fastinit)
        model.transformer.h[0].ln_1.weight[3] = 0.5
        assert check(model, LAYERS) == math.inf


def test_a_run_measures_both_libraries_and_draws_them(
    modules: dict[str, ModuleType], definition: Any, tmp_path: Path
) -> None:
    models, histograms = modules["models"], modules["histograms"]
    run = models.Run("tiny", definition, threads=1)
    models.measure(run, rounds=2)
    fresh, touched = run.records()
    assert (fresh["pages"], touched["pages"]) == ("fresh", "touched")
    for record in (fresh, touched):
        seconds = record["seconds"]
        assert set(seconds) == {"torch", "fastinit", "memset"}
        assert record["samples"] == dict.fromkeys(seconds, 2)
        assert record["ratio_to_torch"] == pytest.approx(seconds["torch"] / seconds["fastinit"])
        assert record["bytes_per_s"] == pytest.approx(run.parameters * 4 / seconds["fastinit"])
        assert record["share_of_memset"] == pytest.approx(seconds["memset"] / seconds["fastinit"])
        assert set(record["deviation"]) == {"torch", "fastinit"}
        assert max(record["deviation"].values()) < 6
    assert len(run.rows()) == 2
    for picture in run.pictures.values():
        for name, density in picture.items():
            std = modules["gpt2"].standard_deviation(name, LAYERS)
            width = 2 * histograms.REACH * std / histograms.BINS
            assert density.sum().item() * width == pytest.approx(1, abs=1e-3)
    histograms.draw(tmp_path / "models.png", models.describe(), {"tiny": (LAYERS, run.pictures)})
    assert (tmp_path / "models.png").read_bytes().startswith(b"\x89PNG")
