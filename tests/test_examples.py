"""The examples do what they say: each is run as a reader runs it, and what it leaves behind is checked."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str) -> tuple[dict[str, Any], Any]:
    """The example's names, and what its main() returns."""
    names = runpy.run_path(str(EXAMPLES / f"{name}.py"))
    return names, names["main"]()


def test_every_example_is_tested_and_prints_something(capsys: pytest.CaptureFixture[str]) -> None:
    files = {path.stem for path in EXAMPLES.glob("*.py")}
    assert files <= {name.removeprefix("test_") for name in globals()}
    for name in sorted(files):
        run(name)
        assert capsys.readouterr().out.strip(), name


def test_per_layer() -> None:
    _, net = run("per_layer")
    hidden, output = net[0], net[2]
    assert hidden.weight.std().item() == pytest.approx((2 / 784) ** 0.5, rel=0.01)
    bound = (6 / (256 + 10)) ** 0.5
    assert 0.98 * bound < output.weight.abs().max().item() <= bound
    assert not hidden.bias.any()
    assert not output.bias.any()
    assert hidden.weight.grad_fn is None


def test_apply_fn(capsys: pytest.CaptureFixture[str]) -> None:
    _, net = run("apply_fn")
    assert "same weights: True" in capsys.readouterr().out
    linears = [module for module in net.modules() if isinstance(module, nn.Linear)]
    assert [linear.bias is None for linear in linears] == [False, True, False]
    for linear in linears:
        bound = 5 / 3 * (6 / (linear.in_features + linear.out_features)) ** 0.5  # tanh's gain
        assert 0.9 * bound < linear.weight.abs().max().item() <= bound
        assert linear.bias is None or torch.equal(linear.bias, torch.full_like(linear.bias, 0.01))


def test_by_isinstance() -> None:
    names, net = run("by_isinstance")
    assert names["initialise"](net) == {"Conv2d": 2, "BatchNorm2d": 1, "Linear": 1}
    first, norm, linear = net[0], net[1][1], net[4]
    assert first.weight.std().item() == pytest.approx((2 / (16 * 9)) ** 0.5, rel=0.15)
    assert bool((norm.weight == 1).all())
    assert not norm.bias.any()
    assert linear.weight.abs().max().item() <= 0.04
    assert linear.weight.std().item() == pytest.approx(0.02 * 0.88, rel=0.15)  # 0.88 of sigma is left within two
    assert not linear.bias.any()


def test_by_name() -> None:
    _, (shallow, deep) = run("by_name")
    for name, parameter in shallow.named_parameters():
        assert torch.equal(parameter, deep.get_parameter(name)), name
    assert shallow.embed.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert bool((shallow.norm.weight == 1).all())
    assert not shallow.head.bias.any()
    assert deep.middle.weight.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.1)


def test_shared(capsys: pytest.CaptureFixture[str]) -> None:
    _, net = run("shared")
    assert "filled under: embed\n" in capsys.readouterr().out
    assert net.head.weight is net.embed.weight
    assert net.head.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_custom() -> None:
    names, net = run("custom")
    weight = net[0].weight
    others = weight[weight != 0].abs()
    assert others.numel() / weight.numel() == pytest.approx(0.5, abs=0.03)
    assert others.min().item() > 5
    assert others.max().item() <= 10
    assert others.mean().item() == pytest.approx(7.5, abs=0.1)
    assert not torch.equal(weight, net[2].weight)
    key = names["Key"](3)
    draws = []
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        draws.append(names["gapped_"](torch.empty(300, 700), generator=key))
    torch.set_num_threads(before)
    assert torch.equal(*draws)


def test_data() -> None:
    _, layer = run("data")
    assert not layer.weight[:, ::2].any()
    assert layer.weight[:, 1::2].std().item() == pytest.approx(0.1, rel=0.05)
    assert layer.bias[0].item() == 1
    assert 0.08 < layer.bias[1:].abs().max().item() < 0.1


def test_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    _, (net, stage, report) = run("recipe")
    assert "whole model's weights: True" in capsys.readouterr().out
    assert net.head.weight is net.embed.weight
    assert net.blocks[3].out.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)
    for name, parameter in stage.named_parameters():
        assert torch.equal(parameter, net.get_parameter(f"blocks.5.{name}"))
    assert report.materialised == report.filled == 49
