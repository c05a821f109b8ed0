"""The probe finds what is known beforehand, and leaves no trace."""

from __future__ import annotations

import copy
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fastinit
from fastinit import Key, probe
from fastinit.probing.trend import trend

pytestmark = pytest.mark.usefixtures("one_thread")

WIDTH = 512


def chain(depth: int, gain: float, activation: type[nn.Module] | None = None) -> nn.Sequential:
    """Layers whose weights have the standard deviation gain / sqrt(width)."""
    layers: list[nn.Module] = []
    for i in range(depth):
        layer = nn.Linear(WIDTH, WIDTH, bias=False)
        fastinit.normal_(layer.weight, std=gain / math.sqrt(WIDTH), generator=Key(3).fold_in(i))
        layers += [layer] if activation is None else [layer, activation()]
    return nn.Sequential(*layers)


def batch(*shape: int) -> Tensor:
    return fastinit.normal_(torch.empty(shape), generator=Key(9))


# Known answers


@pytest.mark.parametrize("gain", [0.7, 1.0, 1.3])
def test_a_linear_chain_grows_by_its_gain(gain: float) -> None:
    found = probe(chain(24, gain), batch(64, WIDTH))
    assert found.activations.factor == pytest.approx(gain, rel=0.01)
    assert found.gradients.factor == pytest.approx(gain, rel=0.01)
    assert found.activations.total == pytest.approx(gain**23, rel=0.2)
    expected = {0.7: "vanishing", 1.0: "steady", 1.3: "exploding"}[gain]
    assert (found.activations.verdict, found.gradients.verdict) == (expected, expected)
    assert found.ok == (gain == 1.0)


@pytest.mark.parametrize(("gain", "verdict"), [(1.0, "vanishing"), (math.sqrt(2), "steady"), (2.0, "exploding")])
def test_a_relu_network_needs_the_square_root_of_two(gain: float, verdict: str) -> None:
    """He et al. 2015."""
    found = probe(chain(30, gain, nn.ReLU), batch(64, WIDTH))
    assert found.activations.verdict == found.gradients.verdict == verdict
    assert found.activations.factor == pytest.approx(gain / math.sqrt(2), rel=0.02)
    relus = [row for row in found.rows if row.kind == "ReLU"]
    assert all(0.4 < row.zeros < 0.6 for row in relus)


def test_every_row_is_what_torch_computes() -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    x, first = batch(7, 6), model.get_parameter("0.weight")

    def loss(output: Tensor) -> Tensor:
        return output.square().sum()

    hidden = model[0](x).detach().requires_grad_()
    output = model[2](model[1](hidden))
    gradient = torch.autograd.grad(loss(output), hidden, retain_graph=True)[0]
    weight = torch.autograd.grad(loss(model(x)), first)[0]
    found, hidden = probe(model, x, loss=loss), hidden.detach()
    row = found.rows[0]
    assert [row.name for row in found.rows] == ["0", "1", "2"]
    assert found.loss == pytest.approx(float(loss(output).detach()), rel=1e-6)
    assert row.mean == pytest.approx(float(hidden.mean()), rel=1e-5)
    assert row.std == pytest.approx(float(hidden.std(correction=0)), rel=1e-5)
    assert row.rms == pytest.approx(float(hidden.square().mean().sqrt()), rel=1e-5)
    assert row.gradient_rms == pytest.approx(float(gradient.detach().square().mean().sqrt()), rel=1e-5)
    name, value, by_weight = row.parameters[0]
    assert name == "weight"
    assert value == pytest.approx(float(first.detach().square().mean().sqrt()), rel=1e-5)
    assert by_weight == pytest.approx(float(weight.detach().square().mean().sqrt()), rel=1e-5)


def test_the_default_loss_gives_the_output_a_gradient_of_one_and_is_reproducible() -> None:
    model = chain(3, 1.0)
    found = probe(model, batch(64, WIDTH))
    assert found.rows[-1].gradient_rms == pytest.approx(1.0, rel=0.02)
    torch.manual_seed(5)
    assert probe(model, batch(64, WIDTH)).to_dict() == found.to_dict()


class Residual(nn.Module):
    """A block of a residual network."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(64), nn.Linear(64, 64)

    def forward(self, x: Tensor) -> Tensor:
        """See its class."""
        result: Tensor = x + self.linear(self.norm(x))
        return result


def test_depth_is_counted_in_the_blocks_of_a_stack() -> None:
    model = nn.Sequential(nn.Linear(8, 64), nn.Sequential(*[Residual() for _ in range(6)]), nn.Linear(64, 4))
    found = probe(model, batch(16, 8))
    assert [row.name for row in found.blocks] == [f"1.{i}" for i in range(6)]
    assert {row.name for row in found.rows} >= {"0", "1.0.norm", "1.0.linear", "1.0", "2"}
    assert found.ok


def test_an_infinity_on_the_way_is_told() -> None:
    model = chain(4, 1.0)
    with torch.no_grad():
        model.get_parameter("1.weight")[0, 0] = math.inf
    found = probe(model, batch(2, WIDTH))
    assert found.activations.verdict == "non-finite"
    assert not found.ok
    assert found.rows[0].non_finite == 0
    assert found.rows[1].non_finite == 2


def test_dead_units_are_told() -> None:
    model = chain(3, 1.0, nn.ReLU)
    with torch.no_grad():
        weight = model.get_parameter("2.weight")
        weight.copy_(-weight.abs())
    found = probe(model, batch(2, WIDTH).abs())
    assert found.rows[3].zeros == 1.0
    assert found.activations.verdict == "vanishing"


def test_a_module_that_is_called_twice_has_two_rows() -> None:
    shared = nn.Linear(8, 8)
    found = probe(nn.Sequential(shared, shared, shared), batch(2, 8))
    assert [row.name for row in found.rows] == ["0", "0 (call 2)", "0 (call 3)"]
    assert [bool(row.parameters) for row in found.rows] == [True, False, False]
    assert len(found.blocks) == 3


def test_trends_of_too_few_blocks_are_unknown() -> None:
    assert trend([1.0]).verdict == "unknown"
    assert trend([1.0, math.nan]).verdict == "non-finite"
    assert trend([1.0, 0.0]).verdict == "vanishing"
    assert trend([1e-300, 1.0, 1e300]).verdict == "exploding"
    assert probe(nn.Linear(3, 3), batch(2, 3)).ok


# Batches, outputs and losses


class Named(nn.Module):
    """Wants two inputs by name, returns a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, first: Tensor, second: Tensor, labels: Tensor | None = None) -> dict[str, Any]:
        """See its class."""
        logits = self.linear(first + second)
        loss = None if labels is None else (logits - labels).square().mean()
        return {"loss": loss, "ids": torch.arange(3), "logits": logits}


def test_batches_by_position_and_by_name() -> None:
    x, y = batch(2, 4), torch.ones(2, 4)
    by_name = probe(Named(), {"first": x, "second": y})
    assert by_name.rows[-1].gradient_rms is not None
    probe(Named(), (x, y))
    labelled = probe(Named(), {"first": x, "second": y, "labels": y})
    assert labelled.loss == pytest.approx(float(Named()(x, y, y)["loss"].detach()), rel=10)
    assert labelled.loss > 0


def test_a_recurrent_layer_returns_a_tuple() -> None:
    found = probe(nn.LSTM(4, 5), batch(3, 2, 4))
    assert found.rows[0].gradient_rms == pytest.approx(1.0, rel=0.5)
    assert len(found.rows[0].parameters) == 4


def test_a_model_of_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(n_layer=3, n_head=2, n_embd=32, vocab_size=50, n_positions=16)
    model = transformers.GPT2LMHeadModel(config)
    ids = torch.arange(12).view(2, 6)
    plain, labelled = probe(model, ids), probe(model, {"input_ids": ids, "labels": ids})
    assert labelled.loss == pytest.approx(math.log(50), rel=0.1)
    for found in (plain, labelled):
        assert [row.name for row in found.blocks] == [f"transformer.h.{i}" for i in range(3)]
        assert all(row.gradient_rms is not None for row in found.blocks)


def test_what_is_refused() -> None:
    with pytest.raises(TypeError, match="no floating-point tensor"):
        probe(nn.Flatten(), torch.arange(6).view(2, 3))
    with pytest.raises(ValueError, match="tensor of one number"):
        probe(nn.Linear(3, 3), batch(2, 3), loss=lambda output: output)
    with pytest.raises(ValueError, match="depends on no parameter"):
        probe(nn.ReLU(), batch(2, 3))


# No trace


def state(model: nn.Module) -> Any:
    """All that must be the same afterwards."""
    return (
        {
            n: (p.detach().clone(), p.requires_grad, p.grad if p.grad is None else p.grad.clone())
            for n, p in model.named_parameters()
        },
        {n: b.clone() for n, b in model.named_buffers()},
        [(m.training, len(m._forward_hooks), len(m._backward_hooks)) for m in model.modules()],
        torch.get_rng_state(),
    )


def assert_unchanged(before: Any, after: Any) -> None:
    assert before[2] == after[2]
    assert torch.equal(before[3], after[3])
    for old, new in zip(before[0].values(), after[0].values(), strict=True):
        assert torch.equal(old[0], new[0])
        assert old[1] == new[1]
        assert (old[2] is None) == (new[2] is None)
        assert old[2] is None or torch.equal(old[2], new[2])
    for name, old in before[1].items():
        assert torch.equal(old, after[1][name]), name


class Failing(nn.Module):
    """Raises in the middle of a pass."""

    def forward(self, x: Tensor) -> Tensor:
        """See its class."""
        raise RuntimeError("on purpose")


def network(last: nn.Module) -> nn.Sequential:
    """With all that a pass changes: running averages, random masks, an operation in place."""
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(288, 4),
        last,
    )
    first = model.get_parameter("0.weight")
    first.grad = torch.ones_like(first)
    model[5].requires_grad_(False)
    model[3].eval()
    model[0].register_forward_hook(lambda *_: None)
    return model


@pytest.mark.parametrize("mode", ["train", "eval", "frozen"])
@pytest.mark.parametrize("fails", [False, True], ids=["", "raises"])
def test_the_model_is_left_as_it_was(mode: str, fails: bool) -> None:
    model = network(Failing() if fails else nn.Identity())
    if mode == "eval":
        model.eval()
    if mode == "frozen":
        model.requires_grad_(False)
    before = state(model)
    identities = [id(b) for b in model.buffers()]
    if fails:
        with pytest.raises(RuntimeError, match="on purpose"):
            probe(model, batch(2, 3, 8, 8))
    else:
        found = probe(model, batch(2, 3, 8, 8))
        assert found.rows[0].gradient_rms is not None
        assert all(gradient is not None for row in found.rows for _, _, gradient in row.parameters)
    assert_unchanged(before, state(model))
    assert [id(b) for b in model.buffers()] == identities


def test_a_loss_that_raises_leaves_no_trace_and_gradients_are_taken_under_no_grad() -> None:
    model = network(nn.Identity())
    before = state(model)
    with pytest.raises(ZeroDivisionError):
        probe(model, batch(2, 3, 8, 8), loss=lambda output: output.sum() * (1 / 0))
    assert_unchanged(before, state(model))
    with torch.no_grad():
        assert probe(model, batch(2, 3, 8, 8)).rows[0].gradient_rms is not None
        assert not torch.is_grad_enabled()
    assert_unchanged(before, state(model))


def test_a_training_step_afterwards_is_the_one_there_would_have_been() -> None:
    def step(model: nn.Module) -> Tensor:
        torch.manual_seed(0)
        model.zero_grad()
        model(batch(2, 3, 8, 8)).sum().backward()
        gradient = model.get_parameter("0.weight").grad
        assert gradient is not None
        return gradient

    model = network(nn.Identity())
    twin = copy.deepcopy(model)
    probe(model, batch(2, 3, 8, 8))
    assert torch.equal(step(model), step(twin))
    assert all(map(torch.equal, model.buffers(), twin.buffers()))


# Showing


def test_it_prints_exports_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = probe(chain(4, 0.5, nn.ReLU), batch(8, WIDTH))
    assert repr(found) == "Probe(8 modules, activations steady, gradients steady)"
    assert "4 blocks of 8 modules" in str(found)
    found.to_json(tmp_path / "probe.json")
    data = json.loads((tmp_path / "probe.json").read_text())
    assert data["activations"]["verdict"] == "steady"
    assert len(data["modules"]) == 8
    assert data["modules"][0]["parameters"][0]["name"] == "weight"
    found.show()
    assert "Linear" in capsys.readouterr().out
    found.plot(tmp_path / "made" / "probe.png")
    assert (tmp_path / "made" / "probe.png").read_bytes().startswith(b"\x89PNG")
