"""Deep residual networks that an initialization keeps stable: with a norm that weighs the branches, or with none."""

from __future__ import annotations

import re

from torch import nn

from fastinit.models.elementary import Normal
from fastinit.models.initializer import Initializer
from fastinit.models.initializers import Ones, XavierNormal, XavierUniform, Zeros
from fastinit.models.layouts import Layout
from fastinit.models.rules import Recipe, Rule
from fastinit.recipes.common import norms, rule
from fastinit.recipes.vocabulary import (
    ATTENTION_OUT,
    CROSS_ATTENTION,
    FUSED_QKV,
    HEADS,
    MLP_IN,
    MLP_OUT,
    QUERY_KEY,
    VALUE,
    ending,
)

__all__ = ["deepnorm", "fixup", "t_fixup"]

_COLUMNS = Layout(in_axis=0, out_axis=1, split=3, split_axis=1)
_NOT_RELATIVE = re.compile(r"(?!.*relative).*")  # biases of attention by distance, one for each head
_NOT_ACROSS = rf"(?!(?:.*\.)?{CROSS_ATTENTION[0]}\Z)"


def deepnorm(
    encoder_layers: int | None = None, decoder_layers: int | None = None, distribution: str = "normal"
) -> Recipe:
    """DeepNorm: Xavier, times beta for feed-forward, value and output projections; queries and keys have gain 1.

    For a model whose residual is ``LayerNorm(alpha * x + f(x))``:

    ==================  ===============================  ================================
    model               alpha                            beta
    ==================  ===============================  ================================
    N layers            (2 N) ** (1/4)                   (8 N) ** (-1/4)
    N encoder layers    0.81 (N ** 4 M) ** (1/16)        0.87 (N ** 4 M) ** (-1/16)
    and M decoder ones  (3 M) ** (1/4)                   (12 M) ** (-1/4)
    ==================  ===============================  ================================

    Projections of queries, keys and values in one are taken apart, each third with the fans and the gain of its own.
    Embeddings and an output projection are normal with std 1 / sqrt(width), as in the authors' torchscale; biases are
    0. What is not known by its name is left unclaimed.

    Args:
        encoder_layers: N of a model with an encoder and a decoder.
        decoder_layers: M. With one of the two, or none, the model has one stack; with none its depth is counted, and
            attention across two stacks is not claimed. With both, names tell the stacks apart, by a part "encoder" or
            "decoder".
        distribution: Xavier's: "normal" as in the paper's figure, or "uniform".

    Raises:
        ValueError: another distribution.

    Source: Wang et al. 2022, DeepNet, figure 2.

    Example:
        >>> import fastinit
        >>> from torch import nn
        >>> encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 32), 2, enable_nested_tensor=False)
        >>> plan = fastinit.plan(encoder, fastinit.recipes.deepnorm())
        >>> [entry.fill.std for entry in plan.entries[:3]]  # queries, keys, values
        [0.3535533905932738, 0.3535533905932738, 0.1767766952966369]
    """
    if distribution not in ("normal", "uniform"):
        raise ValueError(f'distribution must be "normal" or "uniform", but got {distribution!r}')
    init = XavierNormal if distribution == "normal" else XavierUniform
    rules: tuple[Rule, ...] = ()
    constants: dict[str, float] = {}
    if encoder_layers is not None and decoder_layers is not None:
        constants = {"encoder_layers": encoder_layers, "decoder_layers": decoder_layers}
        encoder = "0.87 * (encoder_layers ** 4 * decoder_layers) ** (-1 / 16)"
        rules += _blocks(init, "(12 * decoder_layers) ** (-1 / 4)", r"(?:.*\.)?decoder\.")
        rules += _blocks(init, encoder, r"(?:.*\.)?encoder\.")
    else:
        depth = decoder_layers if encoder_layers is None else encoder_layers
        constants = {} if depth is None else {"layers": depth}
        rules += _blocks(init, "(8 * layers) ** (-1 / 4)", _NOT_ACROSS)
    return Recipe(
        (*rules, *_ends("1 / sqrt(embedding_dim)"), *norms()),
        name="deepnorm",
        source="Wang et al. 2022, DeepNet: Scaling Transformers to 1,000 Layers, figure 2",
        constants=constants,
    )


def t_fixup(layers: int | None = None, qk_gain: float = 1.0) -> Recipe:
    """T-Fixup: Xavier, scaled down by depth, for transformers without layer norms, trained without warmup.

    Feed-forward, value and output projections: Xavier uniform times 0.67 N ** (-1/4) in an encoder, and times
    (9 N) ** (-1/4) in a decoder. Embeddings: normal with std (9 N) ** (-1/4) / sqrt(width). Queries and keys: Xavier.
    Biases are 0. There is no rule for norms, for the model must have none; what is not known by its name, which has a
    part "encoder" or "decoder", is left unclaimed.

    Args:
        layers: N, of encoder and decoder each; None counts, where a parameter stands in a stack, that stack, and for
            embeddings the longest one.
        qk_gain: gain of queries and keys; the authors' code has fairseq's 1 / sqrt(2).

    Source: Huang et al. 2020, Improving Transformer Optimization Through Better Initialization.

    Example:
        >>> import fastinit, torch
        >>> layer = lambda: torch.nn.ModuleDict({"fc1": torch.nn.Linear(8, 24), "fc2": torch.nn.Linear(24, 8)})
        >>> model = torch.nn.ModuleDict({"encoder": torch.nn.Sequential(layer(), layer())})
        >>> round(fastinit.plan(model, fastinit.recipes.t_fixup()).entries[0].fill.b, 5)
        0.24396
    """
    decoder = "(9 * layers) ** (-1 / 4)"
    return Recipe(
        (
            *_blocks(XavierUniform, decoder, r"(?:.*\.)?decoder\.", "qk_gain"),
            *_blocks(XavierUniform, "0.67 * layers ** (-1 / 4)", r"(?:.*\.)?encoder\.", "qk_gain"),
            *_ends(f"{decoder} / sqrt(embedding_dim)"),
        ),
        name="t_fixup",
        source="Huang et al. 2020, Improving Transformer Optimization Through Better Initialization",
        constants={"qk_gain": qk_gain} | ({} if layers is None else {"layers": layers}),
    )


def _blocks(init: type[XavierNormal | XavierUniform], beta: str, before: str, gain: str = "1") -> tuple[Rule, ...]:
    """Both projections that the softmax sees with one gain, all else in a block with beta.

    Args:
        init: the distribution.
        beta: an expression.
        before: a regular expression that the names start with.
        gain: an expression.
    """

    def named(*ends: str, param: str = r"[._]weight") -> re.Pattern[str]:
        return re.compile(before + ending(*ends, param=param).pattern)

    plain = init() if gain == "1" else init(gain=gain)
    # Parts 0 and 1 are queries and keys, part 2 is values.
    fused = init(gain=f"{gain} + ({beta} - {gain}) * max(part - 1, 0)")
    scaled = (*VALUE, *ATTENTION_OUT, *MLP_IN, *MLP_OUT)
    bias = named(*scaled, *QUERY_KEY, *FUSED_QKV, r"c_attn", param=r"\.bias")
    return (
        rule(fused, name=named(*FUSED_QKV), layout=Layout(split=3)),
        rule(fused, name=named("c_attn"), module="Conv1D", layout=_COLUMNS),
        # Elsewhere c_attn may have fewer keys than queries.
        rule(fused, name=named("c_attn"), within="CausalSelfAttention", layout=Layout(split=3)),
        rule(fused, name=re.compile(before + ".*"), module=nn.MultiheadAttention, param="in_proj_weight"),
        rule(Zeros(), name=re.compile(before + ".*"), module=nn.MultiheadAttention, param="in_proj_bias"),
        rule(plain, name=named(*QUERY_KEY)),
        rule(init(gain=beta), name=named(*scaled)),
        rule(Zeros(), name=bias),
    )


def _ends(embedding: str) -> tuple[Rule, ...]:
    """Embeddings, and a head that is not tied to them."""
    return (
        rule(Normal(std=embedding), name=_NOT_RELATIVE, module=nn.Embedding),
        rule(Normal(std="1 / sqrt(fan_in)"), name=ending(*HEADS), module=nn.Linear),
        rule(Zeros(), name=ending(*HEADS, param=r"\.bias"), module=nn.Linear),
    )


def fixup(blocks: int) -> Recipe:
    """Fixup, for residual networks without norms: the branches start at 0, and what is in them small.

    He's normal distribution by fan-out; in a branch of m convolutions all but the last are multiplied by
    blocks ** (-1 / (2 m - 2)), and the last is 0. The output layer is 0, scalar biases are 0, multipliers 1.
    For blocks whose convolutions are called conv1, conv2, and conv3 in bottlenecks.

    Args:
        blocks: how many residual blocks the network has, over all its stages.

    Source: Zhang et al. 2019, Fixup Initialization, section 3; the authors' FixupResNet (which leaves the network's
    first convolution at torch's default).

    Example:
        >>> import fastinit, torch
        >>> class BasicBlock(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.conv1, self.conv2 = torch.nn.Conv2d(2, 2, 2, bias=False), torch.nn.Conv2d(2, 2, 2, bias=False)
        >>> plan = fastinit.plan(BasicBlock(), fastinit.recipes.fixup(blocks=4))
        >>> [entry.fill for entry in plan.entries]
        [Normal(std=0.25), Constant()]
    """

    def he(scale: str) -> Initializer:
        return Normal(std=f"sqrt(2 / fan_out){scale}")

    basic, bottleneck = ("*BasicBlock*",), ("*Bottleneck*", "*BottleNeck*")
    whole = Layout()  # the fan-out is that of all groups
    return Recipe(
        (
            rule(Zeros(), name="*conv3.weight", within=bottleneck),
            rule(he(" * blocks ** (-1 / 4)"), name=("*conv1.weight", "*conv2.weight"), within=bottleneck, layout=whole),
            rule(Zeros(), name="*conv2.weight", within=basic),
            rule(he(" * blocks ** (-1 / 2)"), name="*conv1.weight", within=basic, layout=whole),
            rule(he(""), module=nn.Conv2d, param="weight", layout=whole),
            rule(Zeros(), module=nn.Linear),
            rule(Zeros(), module=nn.Conv2d, param="bias"),
            rule(Zeros(), module=(*basic, *bottleneck, "*Fixup*"), param="bias*"),
            rule(Ones(), module=(*basic, *bottleneck, "*Fixup*"), param="scale*"),
        ),
        name="fixup",
        source="Zhang et al. 2019, Fixup Initialization: Residual Learning Without Normalization, section 3",
        constants={"blocks": blocks},
    )
