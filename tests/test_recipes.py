"""What holds for every named recipe: how it is found, written to a file, documented, and what it does not claim."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import nn

import fastinit
from fastinit import Recipe, recipes

ARGUMENTS: dict[str, list[dict[str, Any]]] = {
    "bert": [{}, {"truncated": False}],
    "deepnorm": [{}, {"encoder_layers": 6, "decoder_layers": 3, "distribution": "uniform"}, {"decoder_layers": 4}],
    "fixup": [{"blocks": 8}],
    "gpt2": [{}, {"std": 0.01, "position_std": 0.02}],
    "mup": [
        {"base_width": 64},
        {"base_width": 64, "width": 128, "multiplier": False},
        {"base_width": 1, "inputs": "x"},
    ],
    "resnet": [{}, {"zero_init_residual": True}],
    "siren": [{}, {"omega_0": 5.0, "first": ("a.*", "b.*")}],
    "t_fixup": [{}, {"layers": 6, "qk_gain": 0.5}],
    "vit": [{"mode": mode} for mode in ("", "jax", "jax_nlhb", "moco", "big_vision", "torchvision", "transformers")],
}
EVERY = [(name, arguments) for name in recipes.names() for arguments in ARGUMENTS.get(name, [{}])]
every_recipe = pytest.mark.parametrize(("name", "arguments"), EVERY, ids=lambda value: str(value))


@every_recipe
def test_recipe_survives_a_file(name: str, arguments: dict[str, Any]) -> None:
    recipe = recipes.named(name, **arguments)
    back = Recipe.from_dict(recipe.to_dict())
    assert back.to_dict() == recipe.to_dict()
    assert Recipe.from_yaml(recipe.to_yaml()).to_dict() == recipe.to_dict()
    model = _Everything()
    assert [_seen(rule, model) for rule in back.rules] == [_seen(rule, model) for rule in recipe.rules]


@every_recipe
def test_recipe_warns_of_no_unused_rule_and_names_its_source(name: str, arguments: dict[str, Any]) -> None:
    recipe = recipes.named(name, **arguments)
    assert all(rule.optional for rule in recipe.rules)
    assert recipe.name.startswith(name)
    assert recipe.source


@every_recipe
def test_recipe_does_not_claim_what_it_does_not_know(name: str, arguments: dict[str, Any]) -> None:
    class Unknown(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.matrix = nn.Parameter(torch.empty(4, 4))
            self.weight = nn.Parameter(torch.empty(4, 4))
            self.temperature = nn.Parameter(torch.empty(()))

    model = nn.Sequential(Unknown())
    with pytest.raises(ValueError, match="3 parameters match no rule"):
        fastinit.plan(model, recipes.named(name, **arguments))


@pytest.mark.parametrize("name", recipes.names())
def test_recipe_is_documented(name: str) -> None:
    function = getattr(recipes, name)
    text = inspect.getdoc(function) or ""
    assert "Source: " in text
    assert ">>> " in text
    for parameter in inspect.signature(function).parameters:
        assert f"{parameter}:" in text


def test_recipes_are_found_by_name() -> None:
    assert set(recipes.names()) < set(recipes.__all__)
    assert recipes.named("gpt2", std=0.5).constants == {"std": 0.5}
    with pytest.raises(ValueError, match="unknown recipe 'gpt3'; known are bert, deepnorm"):
        recipes.named("gpt3")
    with pytest.raises(TypeError):
        recipes.named("gpt2", sigma=0.5)


def test_wrong_choices_are_refused() -> None:
    with pytest.raises(ValueError, match="mode must be one of '', 'jax'"):
        recipes.vit("flax")
    with pytest.raises(ValueError, match='distribution must be "normal" or "uniform"'):
        recipes.deepnorm(distribution="truncated_normal")


def _seen(rule: fastinit.Rule, model: nn.Module) -> tuple[str, list[str]]:
    """What a rule gives, and to what."""
    return repr(rule.init), [site.name for site in _sites(model) if rule.matches(site)]


def _sites(model: nn.Module) -> list[fastinit.Site]:
    plan = fastinit.plan(model, [fastinit.Rule(fastinit.Leave())])
    return [entry.site for entry in plan.entries]


class _Everything(nn.Module):
    """A little of everything that recipes have rules for."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(4, 4)
        self.pos_embed = nn.Parameter(torch.empty(1, 2, 4))
        self.transformer = nn.Transformer(4, 2, 1, 1, 8, batch_first=True)
        self.layer1 = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Bilinear(2, 2, 2), nn.PReLU())
        self.net = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 4), nn.LSTM(4, 4))
        block = nn.ModuleDict(
            {"attn": nn.ModuleDict({"qkv": nn.Linear(4, 12)}), "mlp": nn.ModuleDict({"fc2": nn.Linear(4, 4)})}
        )
        self.blocks = nn.ModuleList([block])
        self.head = nn.Linear(4, 2)
