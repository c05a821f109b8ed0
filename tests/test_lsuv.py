"""LSUV: unit variance layer by layer, by the paper's algorithm, and nothing else touched."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fastinit
from fastinit import Key
from fastinit.recipes import lsuv_

LAYERS = (nn.Linear, nn.Conv2d)


def data(*shape: int) -> Tensor:
    """A batch with a mean and a scale of its own."""
    return fastinit.normal_(torch.empty(shape), 0.3, 2.0, generator=Key(7))


def perceptron() -> nn.Sequential:
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 4))


def convolutions() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=2), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Dropout(0.5), nn.Flatten(), nn.Linear(8 * 36, 5)),
    )


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "perceptron": (perceptron, (64, 16)),
    "convolutions": (convolutions, (32, 3, 8, 8)),
}
every_model = pytest.mark.parametrize("name", MODELS)


def spreads(model: nn.Module, batch: Tensor) -> dict[str, float]:
    """The standard deviation of every layer's output, in evaluation."""
    found: dict[str, float] = {}
    model = copy.deepcopy(model).eval()
    for name, layer in model.named_modules():
        if isinstance(layer, LAYERS):
            layer.register_forward_hook(
                lambda _, __, out, name=name: found.__setitem__(name, float(out.detach().std(correction=0)))
            )
    model(batch)
    return found


@every_model
def test_every_layer_has_unit_variance(name: str) -> None:
    make, shape = MODELS[name]
    model, batch = make(), data(*shape)
    report = lsuv_(model, batch, seed=0)
    found = spreads(model, batch)
    assert len(found) == 3
    assert found == {layer.name: pytest.approx(1.0, abs=1e-4) for layer in report.layers}
    assert [layer.after for layer in report.layers] == [pytest.approx(value, rel=1e-4) for value in found.values()]
    assert all(layer.steps == 1 for layer in report.layers)
    assert report.left == ()


@every_model
def test_one_pass_gives_what_the_papers_loop_gives(name: str) -> None:
    make, shape = MODELS[name]
    model, batch = make(), data(*shape)
    other = copy.deepcopy(model)
    lsuv_(model, batch, seed=3)
    # Algorithm 1: orthonormal weights, then for each layer a pass, and its weight over the output's deviation.
    rules = [
        fastinit.Rule(fastinit.Orthogonal(), module=LAYERS, param="weight"),
        fastinit.Rule(fastinit.Zeros(), module=LAYERS, param="bias"),
        fastinit.Rule(fastinit.Leave(), optional=True),
    ]
    fastinit.initialize_(other, rules, seed=3)
    for layer, module in other.named_modules():
        while isinstance(module, LAYERS) and abs((spread := spreads(other, batch)[layer]) ** 2 - 1.0) > 0.01:
            with torch.no_grad():
                module.weight.div_(spread)
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


def test_weights_are_multiples_of_orthogonal_matrices_and_biases_zero() -> None:
    model = perceptron()
    lsuv_(model, data(64, 16), seed=0)
    for layer in model:
        if isinstance(layer, nn.Linear):
            weight = layer.weight.detach() if layer.out_features <= layer.in_features else layer.weight.detach().T
            gram = weight @ weight.T
            torch.testing.assert_close(gram / gram[0, 0], torch.eye(len(gram)), rtol=0.0, atol=1e-5)
            assert not layer.bias.any()


def test_target_and_tolerance_are_kept() -> None:
    model = perceptron()
    batch = data(64, 16)
    report = lsuv_(model, batch, std=0.5, seed=0)
    assert list(spreads(model, batch).values()) == pytest.approx([0.5] * 3, rel=1e-4)
    again = lsuv_(model, batch, std=0.5, orthogonal=False)
    assert [layer.steps for layer in again.layers] == [0, 0, 0]
    assert [layer.name for layer in report.layers] == ["0", "2", "4"]


class Counter(nn.Module):
    """Writes to its buffers in every pass, in place and by a new tensor, and draws random numbers."""

    calls: Tensor
    last: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))
        self.register_buffer("last", None)

    def forward(self, x: Tensor) -> Tensor:
        """Noise, whatever the mode."""
        assert not self.training
        assert not torch.is_grad_enabled()
        self.calls += 1
        self.last = x.mean(0)
        return x + 0.01 * torch.randn_like(x)


def observed(model: nn.Module) -> dict[str, Any]:
    """All that must stay."""
    return {
        "modes": [module.training for module in model.modules()],
        "hooks": [(list(m._forward_hooks), list(m._forward_hooks_with_kwargs)) for m in model.modules()],
        "grads": [p.grad if p.grad is None else (id(p.grad), p.grad.sum().item()) for p in model.parameters()],
        "requires": [p.requires_grad for p in model.parameters()],
        "buffers": [(name, id(b), b.tolist()) for name, b in model.named_buffers()],
        "empty": [name for m in model.modules() for name, b in m._buffers.items() if b is None],
        "random": torch.random.get_rng_state().tolist(),
        "fast": torch.backends.mha.get_fastpath_enabled(),
        "grad": torch.is_grad_enabled(),
    }


def lived_in() -> nn.Sequential:
    """A model with hooks, gradients, mixed modes and busy buffers."""
    model = nn.Sequential(nn.Linear(8, 8), Counter(), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 4))
    model.train()
    model[2].eval()
    model[0].register_forward_hook(lambda *_: None)
    model[0].weight.grad = torch.ones(8, 8)
    model[4].bias.requires_grad_(False)
    return model


def test_everything_else_is_left_as_it_was() -> None:
    model = lived_in()
    before = observed(model)
    lsuv_(model, data(32, 8), seed=0)
    assert observed(model) == before


class Broken(nn.Module):
    """Fails once the layers before it are rescaled."""

    def forward(self, x: Tensor) -> Tensor:
        """Raise."""
        raise RuntimeError("broken")


@pytest.mark.parametrize("own", [False, True])
def test_nothing_is_left_of_a_call_that_raises(own: bool) -> None:
    model = lived_in().append(Broken())
    generator = torch.Generator().manual_seed(1) if own else None
    before, state = observed(model), None if generator is None else generator.get_state()
    weights = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(RuntimeError, match="broken"):
        lsuv_(model, data(32, 8), generator=generator)
    assert observed(model) == before
    assert all(torch.equal(p, weight) for p, weight in zip(model.parameters(), weights, strict=True))
    if generator is not None and state is not None:
        assert torch.equal(generator.get_state(), state)


def test_generator_is_drawn_from_and_not_without_orthogonal() -> None:
    batch = data(32, 16)
    before = torch.random.get_rng_state()
    model = perceptron()
    torch.random.set_rng_state(before)
    lsuv_(model, batch, orthogonal=False)
    assert torch.equal(torch.random.get_rng_state(), before)
    lsuv_(model, batch)
    assert not torch.equal(torch.random.get_rng_state(), before)
    generators = [torch.Generator().manual_seed(5) for _ in range(2)]
    first, second = perceptron(), perceptron()
    lsuv_(first, batch, generator=generators[0])
    lsuv_(second, batch, generator=generators[1])
    assert torch.equal(first.state_dict()["4.weight"], second.state_dict()["4.weight"])


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_output_without_a_spread_is_refused_by_name(value: float) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    weight = model.state_dict()["0.weight"].clone()
    with pytest.raises(ValueError, match="the output of 0 has a standard deviation of"):
        lsuv_(model, torch.full((8, 4), value), seed=0)
    assert torch.equal(model.state_dict()["0.weight"], weight)


def test_meta_parameters_are_refused() -> None:
    with torch.device("meta"):
        model = perceptron()
    with pytest.raises(ValueError, match="real parameters"):
        lsuv_(model, data(4, 16))


@pytest.mark.parametrize("wrong", [{"std": 0.0}, {"std": -1.0}, {"std": float("nan")}, {"tolerance": -0.1}])
def test_impossible_targets_are_refused(wrong: dict[str, float]) -> None:
    model = perceptron()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match="std must be positive"):
        lsuv_(model, data(4, 16), **wrong)  # type: ignore[arg-type]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_biases_that_spread_too_far_are_warned_of() -> None:
    model = nn.Linear(4, 4)
    with torch.no_grad():
        model.bias.copy_(torch.tensor([-9.0, 9.0, -9.0, 9.0]))
    with pytest.warns(UserWarning, match=r"did not reach a std of 1\.0"):
        report = lsuv_(model, data(64, 4), orthogonal=False, steps=3)
    assert report.layers[0].steps == 3
    assert report.layers[0].after > 1.1


class Tied(nn.Module):
    """An embedding with the head's weight, one layer called twice, one not at all, and one parametrized."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(6, 8)
        self.twice = nn.Linear(8, 8)
        self.never = nn.Linear(8, 8)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))
        self.head = nn.Linear(8, 6, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor, scale: float = 1.0) -> Tensor:
        """Logits."""
        x = scale * self.twice(torch.relu(self.twice(self.embed(tokens))))
        out: Tensor = self.head(self.normed(x))
        return out


@pytest.mark.parametrize("form", [tuple, dict])
def test_layers_that_cannot_be_rescaled_are_reported(form: type) -> None:
    model = Tied()
    embedding, normed = model.embed.weight.detach().clone(), model.normed.weight.detach().clone()
    tokens = torch.arange(6)
    batch = (tokens, 2.0) if form is tuple else {"tokens": tokens, "scale": 2.0}
    report = lsuv_(model, batch, seed=0)
    assert [layer.name for layer in report.layers] == ["twice"]
    assert set(report.left) == {"never", "normed", "head"}
    assert torch.equal(model.embed.weight, embedding)
    assert torch.equal(model.normed.weight, normed)
    assert float(model.twice(model.embed(tokens)).detach().std(correction=0)) == pytest.approx(1.0, abs=1e-4)


def test_fused_attention_in_evaluation_does_not_pass_layers_by() -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    report = lsuv_(layer, data(8, 5, 16), seed=0)
    assert [done.name for done in report.layers] == ["linear1", "linear2"]
    assert report.left == ("self_attn.out_proj",)


def test_hooks_of_others_see_the_rescaled_output() -> None:
    model = perceptron()
    seen: list[float] = []
    model[2].register_forward_hook(lambda _, __, out: seen.append(float(out.std(correction=0))))
    lsuv_(model, data(64, 16), seed=0)
    assert seen == [pytest.approx(1.0, abs=1e-4)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_types(dtype: torch.dtype) -> None:
    model, batch = perceptron().to(dtype), data(64, 16).to(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = lsuv_(model, batch, seed=0)
    assert [layer.after for layer in report.layers] == pytest.approx([1.0] * 3, abs=5e-3)


def test_deep_networks_keep_their_signal() -> None:
    """What it is for: through 40 layers of ReLU, torch's default loses the signal."""
    model = nn.Sequential(*(m for _ in range(40) for m in (nn.Linear(32, 32, bias=False), nn.ReLU())))
    batch = data(128, 32)
    fastinit.initialize_(model, fastinit.recipes.torch_default(), seed=0)
    assert list(spreads(model, batch).values())[-1] < 1e-6
    lsuv_(model, batch, seed=0)
    assert list(spreads(model, batch).values())[-1] == pytest.approx(1.0, abs=1e-3)


def test_report_prints_and_exports() -> None:
    report = lsuv_(perceptron(), data(64, 16), seed=0)
    assert str(report).splitlines()[0].startswith("layer")
    assert len(str(report).splitlines()) == 4
    assert report.to_dict()["layers"][0]["name"] == "0"
