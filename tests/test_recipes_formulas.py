"""Named recipes whose source is a paper, or code that is not installed: each number against its formula."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

import fastinit
from fastinit import Initializer, Normal, Uniform, recipes
from named_modules import tree, twin
from planned import ONE, ZERO, D, H, V, cut, fills, lecun, same, xavier_uniform

# GPT-2 in nanoGPT's names ---------------------------------------------------------------------------------------------


def nano_gpt(layers: int) -> nn.Module:
    """The names and classes of nanoGPT, whose projections are Linear and whose norm is its own."""

    def norm() -> nn.Module:
        return twin("LayerNorm", nn.Module(), weight=torch.empty(D), bias=None)

    parts: dict[str, nn.Module] = {"wte": nn.Embedding(V, D), "wpe": nn.Embedding(4, D), "ln_f": norm()}
    for i in range(layers):
        attention = tree({"c_attn": nn.Linear(D, 3 * D), "c_proj": nn.Linear(D, D)})
        parts |= {f"h.{i}.ln_1": norm(), f"h.{i}.attn": twin("CausalSelfAttention", attention)}
        parts |= {f"h.{i}.mlp.c_fc": nn.Linear(D, H), f"h.{i}.mlp.c_proj": nn.Linear(H, D)}
    model = tree({f"transformer.{name}": part for name, part in parts.items()})
    head = nn.Linear(D, V, bias=False)
    model.add_module("lm_head", head)
    model.get_submodule("transformer.wte").weight = head.weight
    return model


@pytest.mark.parametrize("position_std", [None, 0.01])
def test_gpt2_of_nanogpt(position_std: float | None) -> None:
    model = nano_gpt(3)
    expected: dict[str, Initializer] = {}
    for name, parameter in model.named_parameters():
        if name.endswith("c_proj.weight"):
            expected[name] = Normal(0.0, 0.02 / math.sqrt(2 * 3))
        elif parameter.ndim == 2:
            expected[name] = Normal(0.0, position_std if position_std and "wpe" in name else 0.02)
        else:
            expected[name] = ONE if "ln" in name else ZERO
    same(fills(model, recipes.gpt2(position_std=position_std)), expected)
    assert "lm_head.weight" not in expected  # tied: filled once, under its first name


# OLMo -----------------------------------------------------------------------------------------------------------------


def test_olmo_is_mitchell() -> None:
    parts = {"wte": nn.Embedding(V, D), "ff_out": nn.Linear(D, V, bias=False)}
    for i in range(3):
        parts |= {
            f"blocks.{i}.att_proj": nn.Linear(D, 2 * D, bias=False),  # fused, with fewer keys than queries
            f"blocks.{i}.attn_out": nn.Linear(D, D, bias=False),
            f"blocks.{i}.ff_proj": nn.Linear(D, 2 * H, bias=False),
            f"blocks.{i}.ff_out": nn.Linear(H, D, bias=False),
        }
    found = fills(tree({f"transformer.{name}": module for name, module in parts.items()}), recipes.olmo())
    expected = {"wte": cut(1 / math.sqrt(D), 3), "ff_out": cut(1 / math.sqrt(D), 3)}
    for i in range(3):
        expected |= {
            f"blocks.{i}.att_proj": cut(1 / math.sqrt(D), 3),
            f"blocks.{i}.attn_out": cut(1 / math.sqrt(2 * D * (i + 1)), 3),
            f"blocks.{i}.ff_proj": cut(1 / math.sqrt(D), 3),
            f"blocks.{i}.ff_out": cut(1 / math.sqrt(2 * H * (i + 1)), 3),
        }
    same(found, {f"transformer.{name}.weight": law for name, law in expected.items()})


def test_olmo2_and_bert_cut_one_distribution() -> None:
    model = tree({"embed": nn.Embedding(V, D, padding_idx=0), "layers.0.fc": nn.Linear(D, D), "norm": nn.LayerNorm(D)})
    rest = {"layers.0.fc.bias": ZERO, "norm.weight": ONE, "norm.bias": ZERO}
    for recipe, std, at in ((recipes.olmo2(), 0.02, 3), (recipes.olmo2(0.01, 2.0), 0.01, 2), (recipes.bert(), 0.02, 2)):
        expected = {"embed.weight": cut(std, at), "layers.0.fc.weight": cut(std, at), **rest}
        same(fills(model, recipe), expected)


# GPT-NeoX -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["small_init", "neox"])
def test_small_init_and_neox(name: str) -> None:
    layers = 5
    parts: dict[str, nn.Module] = {"embed_in": nn.Embedding(V, D), "embed_out": nn.Linear(D, V, bias=False)}
    for i in range(layers):
        parts[f"layers.{i}.attention.query_key_value"] = nn.Linear(D, 3 * D)
        parts[f"layers.{i}.attention.dense"] = nn.Linear(D, D)
        parts[f"layers.{i}.mlp.dense_h_to_4h"] = nn.Linear(D, H)
        parts[f"layers.{i}.mlp.dense_4h_to_h"] = nn.Linear(H, D)
    small = Normal(0.0, math.sqrt(2 / (5 * D)))
    wang = Normal(0.0, 2 / layers / math.sqrt(D))
    residual = wang if name == "neox" else small
    expected: dict[str, Initializer] = {}
    for part, module in parts.items():
        expected[f"{part}.weight"] = residual if part.endswith(("attention.dense", "dense_4h_to_h")) else small
        if getattr(module, "bias", None) is not None:
            expected[f"{part}.bias"] = ZERO
    same(fills(tree(parts), recipes.named(name)), expected)


# SIREN ----------------------------------------------------------------------------------------------------------------

SIRENS: dict[str, tuple[list[str], str]] = {
    "sequential": (["0", "2", "4"], "0"),
    "siren": (["net.0.linear", "net.1.linear", "net.3"], "net.0.linear"),
    "modules": (["net.net.0.0", "net.net.1.0", "net.net.2.0"], "net.net.0.0"),
    "digits in words": (["siren2.layers.0", "siren2.layers.1", "siren2.layers.10"], "siren2.layers.0"),
}


@pytest.mark.parametrize("kind", SIRENS)
def test_siren(kind: str) -> None:
    names, first = SIRENS[kind]
    sizes = [(2, H), (H, H), (H, 1)]
    model = tree({name: nn.Linear(*size) for name, size in zip(names, sizes, strict=True)})
    expected: dict[str, Initializer] = {}
    for name, (n, _) in zip(names, sizes, strict=True):
        bound = 1 / n if name == first else math.sqrt(6 / n) / 5.0
        expected[f"{name}.weight"] = Uniform(-bound, bound)
        expected[f"{name}.bias"] = Uniform(-1 / math.sqrt(n), 1 / math.sqrt(n))
    same(fills(model, recipes.siren(omega_0=5.0)), expected)


def test_siren_leaves_layers_without_numbers_to_the_reader() -> None:
    model = tree({"inner": nn.Linear(2, H), "outer": nn.Linear(H, 1)})
    with pytest.raises(ValueError, match="2 parameters match no rule"):
        fastinit.plan(model, recipes.siren())
    found = fills(model, recipes.siren(30.0, first="inner.weight", hidden="outer.weight"))
    assert found["inner.weight"] == Uniform(-0.5, 0.5)
    assert found["outer.weight"] == Uniform(-math.sqrt(6 / H) / 30, math.sqrt(6 / H) / 30)


# muP ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("multiplier", [True, False])
def test_mup(multiplier: bool) -> None:
    m = 4.0
    parts = {"embed": nn.Embedding(V, D), "layers.0.fc1": nn.Linear(D, D), "lm_head": nn.Linear(D, V, bias=False)}
    parts |= {"patch_embed.proj": nn.Conv2d(3, D, 2), "encode": nn.Linear(3, D, bias=False), "norm": nn.LayerNorm(D)}
    recipe = recipes.mup(D / m, D, 0.1, inputs="encode.weight", multiplier=multiplier)
    expected: dict[str, Initializer] = {
        **{f"{name}.weight": Normal(0.0, 0.1) for name in ("embed", "patch_embed.proj", "encode")},
        "layers.0.fc1.weight": Normal(0.0, 0.1 / math.sqrt(m)),
        "lm_head.weight": Normal(0.0, 0.1 if multiplier else 0.1 / m),
        **{"layers.0.fc1.bias": ZERO, "patch_embed.proj.bias": ZERO, "norm.weight": ONE, "norm.bias": ZERO},
    }
    same(fills(tree(parts), recipe), expected)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("multiplier", [True, False])
def test_mup_rates(multiplier: bool, optimizer: str) -> None:
    m = 4.0
    fixed, inside = (1.0, 1 / m) if optimizer == "adam" else (m, 1.0)  # tables 3 and 8
    parts = {"embed": nn.Embedding(V, D), "layers.0.fc1": nn.Linear(D, D), "lm_head": nn.Linear(D, V, bias=False)}
    model = tree({**parts, "attn": nn.MultiheadAttention(D, 2), "norm": nn.LayerNorm(D)})
    rates = recipes.mup_rates(model, D / m, D, optimizer=optimizer, multiplier=multiplier)
    names = ("layers.0.fc1.weight", "attn.in_proj_weight", "attn.out_proj.weight")
    expected = {name: inside if name in names else fixed for name, _ in model.named_parameters()}
    assert rates == expected | {"lm_head.weight": fixed if multiplier else 1 / m}
    with pytest.raises(ValueError, match='optimizer must be "adam" or "sgd"'):
        recipes.mup_rates(model, 1.0, 2.0, optimizer="adamw")


def test_mup_reads_the_width_and_leaves_routers() -> None:
    transformers: Any = pytest.importorskip("transformers")
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": V,
    }
    with torch.device("meta"):
        llama = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes))
        mixtral = transformers.MixtralForCausalLM(
            transformers.MixtralConfig(**sizes, num_local_experts=2, num_key_value_heads=2)
        )
    found = fills(llama, recipes.mup(base_width=8, std=0.02, zero_output=True))
    assert found["model.layers.0.mlp.down_proj.weight"] == Normal(0.0, 0.01)
    assert found["lm_head.weight"] == ZERO
    with pytest.raises(ValueError, match=r"1 parameters match no rule(.|\n)*mlp\.gate\.weight"):
        fastinit.plan(mixtral, recipes.mup(base_width=8))


# Flax and Keras -------------------------------------------------------------------------------------------------------


def test_flax() -> None:
    parts = {"fc": nn.Linear(D, H), "conv": nn.Conv2d(4, 8, 3, groups=2), "up": nn.ConvTranspose2d(4, 8, 3)}
    attention = nn.MultiheadAttention(D, 2)
    model = tree({**parts, "embed": nn.Embedding(V, D), "attn": attention})

    expected: dict[str, Initializer] = {
        "fc.weight": lecun(D),
        "conv.weight": lecun(2 * 9),
        "up.weight": lecun(4 * 9),
        "embed.weight": Normal(0.0, D**-0.5),
        "attn.in_proj_weight": lecun(D),
        "attn.out_proj.weight": lecun(D),
        **{f"{name}.bias": ZERO for name in (*parts, "attn.out_proj")},
        "attn.in_proj_bias": ZERO,
    }
    same(fills(model, recipes.flax()), expected)


def test_keras() -> None:
    parts: dict[str, nn.Module] = {
        "fc": nn.Linear(D, H),
        "conv": nn.Conv2d(4, 8, 3, groups=2),
        "norm": nn.BatchNorm1d(D),
    }
    model = tree({**parts, "embed": nn.Embedding(V, D), "lstm": nn.LSTM(3, D)})
    found = fills(model, recipes.keras())
    recurrent = found.pop("lstm.weight_hh_l0")
    assert recurrent is not None
    assert recurrent.moments((4 * D, D)) == (0.0, 1 / math.sqrt(4 * D))
    expected: dict[str, Initializer] = {
        "fc.weight": xavier_uniform(1.0, D, H),
        "conv.weight": xavier_uniform(1.0, 2 * 9, 8 * 9),
        "embed.weight": Uniform(-0.05, 0.05),
        "norm.weight": ONE,
        **{f"{name}.bias": ZERO for name in parts},
        "lstm.weight_ih_l0": xavier_uniform(1.0, 3, 4 * D),
        **{f"lstm.bias_ih_l0[{i * D}:{(i + 1) * D}]": ONE if i == 1 else ZERO for i in range(4)},
        "lstm.bias_hh_l0": ZERO,
    }
    same(found, expected)
