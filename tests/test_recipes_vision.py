"""Named recipes for images: against formulas, and against timm and torchvision where these are installed."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

import fastinit
from fastinit import Constant, Initializer, Normal, TruncNormal, Uniform, recipes
from named_modules import tree, twin
from planned import ONE, ZERO, D, H, fills, lecun, same, xavier_uniform
from recorder import disagreements, recording

HEADS: dict[str, dict[str, Any]] = {
    "token": {"reg_tokens": 2, "init_values": 1e-5, "qk_norm": True},
    "map": {"global_pool": "map", "class_token": False},
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("mode", ["", "jax", "jax_nlhb", "moco"])
def test_vit_is_timms(mode: str, head: str) -> None:
    vision_transformer: Any = pytest.importorskip("timm.models.vision_transformer")
    sizes = {"img_size": 8, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 4, "num_classes": 10}
    with recording() as recorder:
        model = vision_transformer.VisionTransformer(**sizes, weight_init=mode, **HEADS[head])
    plan = fastinit.plan(model, recipes.vit(mode))
    assert disagreements(plan, recorder) == []


@pytest.mark.parametrize("zero_init", [False, True])
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d"])
def test_resnet_is_torchvisions(name: str, zero_init: bool) -> None:
    models: Any = pytest.importorskip("torchvision.models")
    with recording() as recorder:
        model = getattr(models, name)(zero_init_residual=zero_init)
    assert disagreements(fastinit.plan(model, recipes.resnet(zero_init)), recorder) == []


@pytest.mark.parametrize("name", ["resnet18", "resnet26", "seresnext26t_32x4d"])
def test_resnet_is_timms(name: str) -> None:
    timm: Any = pytest.importorskip("timm")
    with recording() as recorder:
        model = timm.create_model(name)
    assert disagreements(fastinit.plan(model, recipes.resnet(zero_init_residual=True)), recorder) == []


def test_vit_is_torchvisions() -> None:
    vision_transformer: Any = pytest.importorskip("torchvision.models.vision_transformer")
    with recording() as recorder:
        model = vision_transformer.VisionTransformer(8, 4, 2, 2, 16, 24, num_classes=5, representation_size=6)
    assert disagreements(fastinit.plan(model, recipes.vit("torchvision")), recorder) == []


def timm_vit() -> nn.Module:
    """The names of timm's ViT, with one block."""
    parts = {"attn.qkv": nn.Linear(D, 3 * D), "attn.proj": nn.Linear(D, D), "mlp.fc1": nn.Linear(D, H)}
    model = tree(
        {
            **{f"blocks.0.{name}": module for name, module in parts.items()},
            "blocks.0.ls1": twin("LayerScale", nn.Module(), gamma=torch.empty(D), init_values=0.1),
            "patch_embed.proj": nn.Conv2d(3, D, 4),
            "norm": nn.LayerNorm(D),
            "head": nn.Linear(D, 10),
        }
    )
    model.register_parameter("pos_embed", nn.Parameter(torch.empty(1, 5, D)))
    model.register_parameter("cls_token", nn.Parameter(torch.empty(1, 1, D)))
    return model


PATCH = 3 * 4 * 4
SMALL = TruncNormal(0.0, 0.02, -2.0, 2.0)
JAX: dict[str, Initializer] = {
    "blocks.0.attn.qkv.weight": xavier_uniform(1.0, D, 3 * D),
    "blocks.0.attn.proj.weight": xavier_uniform(1.0, D, D),
    "blocks.0.mlp.fc1.weight": xavier_uniform(1.0, D, H),
    "blocks.0.mlp.fc1.bias": Normal(0.0, 1e-6),
    "patch_embed.proj.weight": lecun(PATCH),
    "patch_embed.proj.bias": ZERO,
    "head.weight": ZERO,
}
VIT: dict[str, dict[str, Initializer]] = {
    "": {f"{n}.weight": SMALL for n in ("blocks.0.attn.qkv", "blocks.0.attn.proj", "blocks.0.mlp.fc1", "head")},
    "jax": JAX,
    "jax_nlhb": JAX | {"head.bias": Constant(-math.log(10))},
    "moco": {
        "blocks.0.attn.qkv.weight": xavier_uniform(1.0, D, D),
        "blocks.0.attn.proj.weight": xavier_uniform(1.0, D, D),
        "blocks.0.mlp.fc1.weight": xavier_uniform(1.0, D, H),
        "head.weight": xavier_uniform(1.0, D, 10),
    },
}


@pytest.mark.parametrize("mode", VIT)
def test_vit_modes_of_timm(mode: str) -> None:
    bound = 1 / math.sqrt(PATCH)
    names = ("blocks.0.attn.qkv", "blocks.0.attn.proj", "blocks.0.mlp.fc1", "head", "norm")
    expected = {
        **{f"{name}.bias": ZERO for name in names},
        **{"norm.weight": ONE, "blocks.0.ls1.gamma": Constant(0.1), "pos_embed": SMALL, "cls_token": Normal(0.0, 1e-6)},
        **{f"patch_embed.proj.{name}": Uniform(-bound, bound) for name in ("weight", "bias")},
        **VIT[mode],
    }
    same(fills(timm_vit(), recipes.vit(mode)), expected)


def test_vit_of_torchvision() -> None:
    mlp = twin("MLPBlock", nn.Sequential(nn.Linear(D, H), nn.GELU(), nn.Dropout(), nn.Linear(H, D)))
    block = {"ln_1": nn.LayerNorm(D), "self_attention": nn.MultiheadAttention(D, 2), "mlp": mlp}
    parts = {f"encoder.layers.encoder_layer_0.{name}": module for name, module in block.items()}
    model = tree({**parts, "conv_proj": nn.Conv2d(3, D, 4), "heads.head": nn.Linear(D, 5)})
    model.register_parameter("class_token", nn.Parameter(torch.empty(1, 1, D)))
    fan = 1 / math.sqrt(D)
    inside: dict[str, Initializer] = {
        **{"ln_1.weight": ONE, "ln_1.bias": ZERO},
        "self_attention.in_proj_weight": xavier_uniform(1.0, D, 3 * D),
        "self_attention.in_proj_bias": ZERO,
        "self_attention.out_proj.weight": Uniform(-fan, fan),
        "self_attention.out_proj.bias": ZERO,
        **{"mlp.0.weight": xavier_uniform(1.0, D, H), "mlp.0.bias": Normal(0.0, 1e-6)},
        **{"mlp.3.weight": xavier_uniform(1.0, H, D), "mlp.3.bias": Normal(0.0, 1e-6)},
    }
    expected = {f"encoder.layers.encoder_layer_0.{name}": law for name, law in inside.items()}
    expected |= {"conv_proj.weight": TruncNormal(0.0, 1 / math.sqrt(PATCH), -2.0, 2.0), "conv_proj.bias": ZERO}
    expected |= {"heads.head.weight": ZERO, "heads.head.bias": ZERO, "class_token": ZERO}
    same(fills(model, recipes.vit("torchvision")), expected)


def test_vit_of_big_vision() -> None:
    pool = twin("Pool", tree({"kv": nn.Linear(D, 2 * D, bias=False)}), latent=torch.empty(1, 1, D))
    model = timm_vit()
    model.add_module("attn_pool", pool)
    expected: dict[str, Initializer] = {
        **JAX,
        "blocks.0.attn.qkv.weight": xavier_uniform(1.0, D, D),  # of each third; they are alike
        **{f"{name}.bias": ZERO for name in ("blocks.0.attn.qkv", "blocks.0.attn.proj", "head", "norm")},
        **{"norm.weight": ONE, "blocks.0.ls1.gamma": Constant(0.1)},
        "attn_pool.kv.weight": xavier_uniform(1.0, D, D),
        "attn_pool.latent": xavier_uniform(1.0, 1, D),
        "pos_embed": Normal(0.0, 1 / math.sqrt(D)),
        "cls_token": ZERO,
    }
    same(fills(model, recipes.vit("big_vision")), expected)


RESNETS: dict[str, tuple[str, int]] = {"BasicBlock": ("bn2", 2), "Bottleneck": ("bn3", 3)}


@pytest.mark.parametrize("kind", RESNETS)
@pytest.mark.parametrize("zeros", [False, True])
def test_resnet(kind: str, zeros: bool) -> None:
    last, count = RESNETS[kind]
    parts: dict[str, nn.Module] = {f"conv{i}": nn.Conv2d(4, 4, 3, groups=2, bias=False) for i in range(1, count + 1)}
    parts |= {f"bn{i}": nn.BatchNorm2d(4) for i in range(1, count + 1)}
    model = nn.ModuleDict({"layer1": nn.Sequential(twin(kind, nn.ModuleDict(parts))), "fc": nn.Linear(D, 5)})
    fan = 1 / math.sqrt(D)
    expected: dict[str, Initializer] = {"fc.weight": Uniform(-fan, fan), "fc.bias": Uniform(-fan, fan)}
    for name in parts:
        if name.startswith("conv"):
            expected[f"layer1.0.{name}.weight"] = Normal(0.0, math.sqrt(2 / (4 * 9)))  # fan-out of both groups
        else:
            expected[f"layer1.0.{name}.weight"] = ZERO if zeros and name == last else ONE
            expected[f"layer1.0.{name}.bias"] = ZERO
    same(fills(model, recipes.resnet(zeros)), expected)


def test_zero_init_residual_of_transformers_resnet() -> None:
    transformers: Any = pytest.importorskip("transformers")
    for kind, last in (("basic", 1), ("bottleneck", 2)):
        sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [2, 1]}
        with torch.device("meta"):
            model = transformers.ResNetModel(transformers.ResNetConfig(**sizes, layer_type=kind))
        zeros = {name for name, fill in fills(model, recipes.resnet(True)).items() if fill == ZERO and "weight" in name}
        assert zeros == {
            f"encoder.stages.{s}.layers.{i}.layer.{last}.normalization.weight" for s, i in ((0, 0), (0, 1), (1, 0))
        }
