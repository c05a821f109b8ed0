"""Named recipes for images against timm and torchvision, where they are installed, and against formulas everywhere."""

from __future__ import annotations

from typing import Any

import pytest

import fastinit
from fastinit import recipes
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
