"""Networks for images: residual ones and transformers."""

from __future__ import annotations

from torch import nn

from fastinit.models.elementary import Constant, Normal, TruncNormal, Uniform
from fastinit.models.initializer import Initializer
from fastinit.models.initializers import KaimingNormal, LecunNormal, TruncNormalTF, XavierUniform, Zeros
from fastinit.models.layouts import Layout
from fastinit.models.rules import Recipe, Rule
from fastinit.recipes.common import norms, rule
from fastinit.recipes.vocabulary import ending

__all__ = ["resnet", "vit"]

_WHOLE = Layout()  # torch's functions take a weight as it is stored: fan-out of all groups, fused projections as one


def resnet(zero_init_residual: bool = False) -> Recipe:
    """ResNet: He's normal distribution by fan-out for convolutions; torch's default for the classifier.

    Fans are those of the weight as it is stored, so that of grouped convolutions (ResNeXt) fan-out counts all groups,
    as in torchvision. Norms are 1 and 0.

    Args:
        zero_init_residual: the last norm of each block starts at 0, so that the block is the identity.

    Source: He et al. 2015, Delving Deep into Rectifiers, eq. 14; Goyal et al. 2017, section 5.1 (zeros); the ResNets of
    torchvision, transformers and timm (whose default is ``zero_init_residual=True``).

    Example:
        >>> import fastinit, torch
        >>> model = torch.nn.Conv2d(3, 8, 4, bias=False)
        >>> round(fastinit.plan(model, fastinit.recipes.resnet()).entries[0].fill.std, 9)
        0.125
    """
    last = (
        rule(Zeros(), name="*.bn3.weight", within="Bottleneck"),
        rule(Zeros(), name="*.bn2.weight", within="BasicBlock"),
        rule(Zeros(), name="*.layer.2.normalization.weight", within="ResNetBottleNeckLayer"),
        rule(Zeros(), name="*.layer.1.normalization.weight", within="ResNetBasicLayer"),
    )
    return Recipe(
        (
            *(last if zero_init_residual else ()),
            rule(KaimingNormal(mode="fan_out", nonlinearity="relu"), module=nn.Conv2d, param="weight", layout=_WHOLE),
            *_torch_default(),
            *norms(),
        ),
        name="resnet",
        source="He et al. 2015, Delving Deep into Rectifiers, eq. 14; torchvision.models.resnet",
    )


def vit(mode: str = "") -> Recipe:
    """Vision transformers, by the names that timm has for its modes, and three more.

    * "": timm's own. Matrices and positions are normal with std 0.02, class and register tokens with 1e-6; biases 0;
      the projection of patches is torch's default.
    * "jax": Xavier uniform matrices; biases normal with std 1e-6 in the MLP, and 0 elsewhere; patches LeCun normal; the
      head 0; tokens and positions as in "".
    * "jax_nlhb": the same with -log(classes) for the bias of the head.
    * "moco": Xavier uniform matrices, of queries, keys and values each with its own fans; biases 0; the rest as in "".
    * "big_vision": what "jax" transcribes. Queries, keys and values each with their own fans; positions normal with std
      1 / sqrt(width); class token 0.
    * "torchvision": Xavier uniform in the MLP, with biases of std 1e-6; attention as torch's default; patches normal
      with std 1 / sqrt(fan_in); positions 0.02; class token and head 0.
    * "transformers": everything normal with std 0.02, biases 0.

    What the sources cut, they cut at an absolute 2 or more, far out. Layer scales of timm start at their
    ``init_values``; norms at 1 and 0.

    Args:
        mode: one of the above.

    Raises:
        ValueError: another mode.

    Source: Dosovitskiy et al. 2021; ``init_weights_vit_timm``, ``_jax`` and ``_moco`` of timm's vision_transformer.py;
    google-research/big_vision, models/vit.py; Chen et al. 2021 (MoCo v3); torchvision's and transformers' ViT.

    Example:
        >>> import fastinit, torch
        >>> model = torch.nn.ModuleDict({"attn": torch.nn.ModuleDict({"qkv": torch.nn.Linear(3, 9, bias=False)})})
        >>> [fastinit.plan(model, fastinit.recipes.vit(mode)).entries[0].fill for mode in ("", "transformers")]
        [TruncNormal(std=0.02), Normal(std=0.02)]
    """
    if mode not in _MODES:
        raise ValueError(f"mode must be one of {', '.join(map(repr, _MODES))}, but got {mode!r}")
    return Recipe(
        (*_MODES[mode](), *norms(), rule(Constant("init_values"), module="LayerScale", param="gamma")),
        name=f"vit({mode})" if mode else "vit",
        source="Dosovitskiy et al. 2021, An Image is Worth 16x16 Words; timm, big_vision, torchvision and transformers",
    )


def _torch_default() -> tuple[Rule, ...]:
    """What a constructor leaves where nothing is said."""
    return (
        rule(Uniform("-1 / sqrt(fan_in)", "1 / sqrt(fan_in)"), module=_LAYERS, param="weight", layout=_WHOLE),
        rule(
            Uniform("-1 / sqrt(weight_fan_in)", "1 / sqrt(weight_fan_in)"), module=_LAYERS, param="bias", layout=_WHOLE
        ),
    )


_LAYERS = (nn.Linear, nn.Conv2d)
_HEADS = ("head", "head_dist")
_ROW = Layout(in_axis=2, out_axis=1)  # tokens and positions, (1, number, width): the fan-in is the width


def _tokens() -> tuple[Rule, ...]:
    return (
        rule(TruncNormalTF(std="1 / sqrt(columns)"), name="*attn_pool.pos_embed"),
        rule(TruncNormalTF(std="1 / sqrt(fan_in)"), param="latent", layout=_ROW),
        rule(TruncNormal(std=0.02), param=("pos_embed", "dist_token")),
        rule(Normal(std=1e-6), param=("cls_token", "reg_token")),
    )


def _timm() -> tuple[Rule, ...]:
    return (
        *_tokens(),
        rule(TruncNormal(std=0.02), module=nn.Linear, param="weight"),
        rule(Zeros(), module=nn.Linear, param="bias"),
        *_torch_default(),
    )


def _moco() -> tuple[Rule, ...]:
    return (
        *_tokens(),
        rule(XavierUniform(), name="*qkv.weight", module=nn.Linear, layout=Layout(split=3)),
        rule(XavierUniform(), module=nn.Linear, param="weight"),
        rule(Zeros(), module=nn.Linear, param="bias"),
        *_torch_default(),
    )


def _jax() -> tuple[Rule, ...]:
    return (*_tokens(), *_flax(Zeros()))


def _jax_nlhb() -> tuple[Rule, ...]:
    """A bias of the head with which all classes are equally likely under a sigmoid."""
    return (*_tokens(), *_flax(Constant("-log(weight_fan_out)")))


def _flax(head_bias: Initializer) -> tuple[Rule, ...]:
    return (
        rule(Zeros(), name=ending(*_HEADS), module=nn.Linear),
        rule(head_bias, name=ending(*_HEADS, param=r"\.bias"), module=nn.Linear),
        rule(XavierUniform(), module=nn.Linear, param="weight"),
        rule(Normal(std=1e-6), name="*mlp*.bias", module=nn.Linear),
        rule(LecunNormal(), module=nn.Conv2d, param="weight", layout=_WHOLE),
        rule(Zeros(), module=_LAYERS, param="bias"),
    )


def _big_vision() -> tuple[Rule, ...]:
    return (
        rule(Normal(std="1 / sqrt(fan_in)"), param="pos_embed", layout=_ROW),
        rule(XavierUniform(), param="latent", layout=Layout(in_axis=1, out_axis=2)),
        rule(Zeros(), param=("cls_token", "reg_token")),
        rule(XavierUniform(), name="*qkv.weight", module=nn.Linear, layout=Layout(split=3)),
        rule(XavierUniform(), name="*attn_pool.kv.weight", module=nn.Linear, layout=Layout(split=2)),
        *_flax(Zeros()),
    )


def _transformers() -> tuple[Rule, ...]:
    return (
        rule(TruncNormal(std=0.02), param=("position_embeddings", "cls_token")),
        rule(Zeros(), param="mask_token"),
        rule(Normal(std=0.02), module=_LAYERS, param="weight"),
        rule(Zeros(), module=_LAYERS, param="bias"),
    )


def _torchvision() -> tuple[Rule, ...]:
    heads = ("heads.head.*", "*.heads.head.*")
    return (
        rule(Normal(std=0.02), param="pos_embedding"),
        rule(Zeros(), param="class_token"),
        rule(Zeros(), name=heads, module=nn.Linear),
        rule(TruncNormal(std="1 / sqrt(fan_in)"), name=ending("pre_logits", "conv_proj"), module=_LAYERS),
        rule(XavierUniform(), module=nn.Linear, within="MLP*", param="weight"),
        rule(Normal(std=1e-6), module=nn.Linear, within="MLP*", param="bias"),
        rule(XavierUniform(), module=nn.MultiheadAttention, param="in_proj_weight", layout=_WHOLE),
        rule(Uniform("-1 / sqrt(fan_in)", "1 / sqrt(fan_in)"), name=ending(r"self_attention\.out_proj")),
        rule(Zeros(), module=nn.MultiheadAttention, param="in_proj_bias"),
        rule(Zeros(), module=_LAYERS, param="bias"),
    )


_MODES = {
    "": _timm,
    "jax": _jax,
    "jax_nlhb": _jax_nlhb,
    "moco": _moco,
    "big_vision": _big_vision,
    "torchvision": _torchvision,
    "transformers": _transformers,
}
