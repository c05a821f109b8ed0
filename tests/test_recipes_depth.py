"""DeepNorm, T-Fixup and Fixup: each number against its formula in the paper."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

import fastinit
from fastinit import Initializer, Normal, recipes
from named_modules import tree, twin
from planned import ONE, ZERO, D, H, V, fills, same, xavier, xavier_uniform


def stack(layers: int, where: str = "layers") -> dict[str, nn.Module]:
    """Blocks as fairseq and Llama name their parts."""
    sizes = {"self_attn.q_proj": (D, D), "self_attn.k_proj": (D, D), "self_attn.v_proj": (D, D)}
    sizes |= {"self_attn.out_proj": (D, D), "fc1": (D, H), "fc2": (H, D)}
    return {f"{where}.{i}.{name}": nn.Linear(*size) for i in range(layers) for name, size in sizes.items()}


# DeepNorm -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [{}, {"encoder_layers": 6}, {"decoder_layers": 6}])
@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_deepnorm_of_one_stack(arguments: dict[str, int], distribution: str) -> None:
    glorot = xavier if distribution == "normal" else xavier_uniform
    depth = 3 if not arguments else 6
    beta = (8 * depth) ** -0.25  # figure 2
    expected: dict[str, Initializer] = {"embed_tokens.weight": Normal(0.0, D**-0.5)}
    for name, module in stack(3).items():
        assert isinstance(module, nn.Linear)
        gain = 1.0 if name.endswith(("q_proj", "k_proj")) else beta
        expected[f"{name}.weight"] = glorot(gain, module.in_features, module.out_features)
        expected[f"{name}.bias"] = ZERO
    model = tree({"embed_tokens": nn.Embedding(V, D), **stack(3)})
    same(fills(model, recipes.deepnorm(**arguments, distribution=distribution)), expected)


def test_deepnorm_of_torchs_transformer_with_encoder_and_decoder() -> None:
    n, m = 3, 2
    model = nn.Transformer(D, 2, n, m, H, batch_first=True)
    encoder, decoder = 0.87 * (n**4 * m) ** (-1 / 16), (12 * m) ** (-1 / 4)  # figure 2
    found = fills(model, recipes.deepnorm(encoder_layers=n, decoder_layers=m))
    expected: dict[str, Initializer] = {}
    for name, parameter in model.named_parameters():
        beta = encoder if name.startswith("encoder") else decoder
        if name.endswith("in_proj_weight"):  # queries, keys, values
            for i, gain in enumerate((1.0, 1.0, beta)):
                expected[f"{name}[{i * D}:{(i + 1) * D}]"] = xavier(gain, D, D)
        elif parameter.ndim == 2:
            expected[name] = xavier(beta, parameter.shape[1], parameter.shape[0])
        else:
            expected[name] = ONE if "norm" in name and name.endswith("weight") else ZERO
    same(found, expected)


FUSED: dict[str, tuple[str, nn.Module, str]] = {
    "timm": ("blocks.0.attn.qkv", nn.Linear(D, 3 * D, bias=False), "[{}:{}]"),
    "nanoGPT": ("h.0.attn.c_attn", nn.Linear(D, 3 * D, bias=False), "[{}:{}]"),
    "torch": ("layers.0.self_attn", nn.MultiheadAttention(D, 2, bias=False), "[{}:{}]"),
}


@pytest.mark.parametrize("kind", FUSED)
def test_deepnorm_takes_fused_projections_apart(kind: str) -> None:
    name, module, span = FUSED[kind]
    model = tree({name: module})
    twin("CausalSelfAttention" if kind == "nanoGPT" else "Attention", model.get_submodule(name.rpartition(".")[0]))
    found = fills(model, recipes.deepnorm(encoder_layers=2))
    weight = f"{name}.weight" if isinstance(module, nn.Linear) else f"{name}.in_proj_weight"
    for i, gain in enumerate((1.0, 1.0, 0.5)):
        part = found[weight + span.format(i * D, (i + 1) * D)]
        assert isinstance(part, Normal)
        assert part.std == pytest.approx(xavier(gain, D, D).std, rel=1e-12)


def test_deepnorm_on_the_models_of_transformers() -> None:
    transformers: Any = pytest.importorskip("transformers")
    config = {"n_embd": D, "n_layer": 2, "n_head": 2, "vocab_size": V, "n_positions": 4, "n_inner": H}
    with torch.device("meta"):
        gpt2 = transformers.GPT2Model(transformers.GPT2Config(**config, bos_token_id=0, eos_token_id=0))
        sizes = {"hidden_size": D, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": V}
        bert = transformers.BertModel(transformers.BertConfig(**sizes, intermediate_size=H), add_pooling_layer=False)
        t5 = transformers.T5Model(
            transformers.T5Config(d_model=D, d_kv=4, num_heads=2, d_ff=H, num_layers=2, vocab_size=V)
        )
        neox = transformers.GPTNeoXModel(transformers.GPTNeoXConfig(**sizes, intermediate_size=H, eos_token_id=0))
    beta = 16**-0.25
    found = fills(gpt2, recipes.deepnorm())
    gains = [found[f"h.1.attn.c_attn.weight[:, {i * D}:{(i + 1) * D}]"] for i in range(3)]
    assert [fill.std for fill in gains] == pytest.approx([g * D**-0.5 for g in (1.0, 1.0, beta)], rel=1e-12)  # type: ignore[union-attr]
    same(
        {name: found[name] for name in ("h.0.mlp.c_fc.weight", "h.0.mlp.c_proj.weight", "h.0.attn.c_proj.weight")},
        {
            "h.0.mlp.c_fc.weight": xavier(beta, D, H),
            "h.0.mlp.c_proj.weight": xavier(beta, H, D),
            "h.0.attn.c_proj.weight": xavier(beta, D, D),
        },
    )
    found = fills(bert, recipes.deepnorm())
    attention = "encoder.layer.0.attention"
    names = {"self.query": 1.0, "self.key": 1.0, "self.value": beta, "output.dense": beta}
    same(
        {name: found[f"{attention}.{name}.weight"] for name in names},
        {name: xavier(gain, D, D) for name, gain in names.items()},
    )
    assert found["encoder.layer.1.intermediate.dense.weight"] == found["encoder.layer.1.output.dense.weight"]
    relative = fastinit.Rule(Normal(), name="*relative_attention_bias*")
    found = fills(t5, recipes.deepnorm(2, 2).extend(relative))  # no embedding of the model's width: not claimed
    cross = {name: found[f"decoder.block.0.layer.1.EncDecAttention.{name}.weight"] for name in "qkvo"}
    betas = {"q": 1.0, "k": 1.0, "v": 24**-0.25, "o": 24**-0.25}
    same(cross, {name: xavier(gain, D, D) for name, gain in betas.items()})
    # Interleaved by heads: no layout can be assumed, so it has to be declared.
    with pytest.raises(ValueError, match=r"query_key_value.weight"):
        fastinit.plan(neox, recipes.deepnorm())


def test_deepnorm_of_one_stack_leaves_cross_attention_to_the_reader() -> None:
    model = nn.Transformer(D, 2, 2, 2, H, batch_first=True)
    with pytest.raises(ValueError, match=r"8 parameters match no rule(.|\n)*multihead_attn\.in_proj_weight"):
        fastinit.plan(model, recipes.deepnorm())


# T-Fixup --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [{}, {"layers": 5, "qk_gain": math.sqrt(0.5)}])
def test_t_fixup(arguments: dict[str, Any]) -> None:
    n, gain = arguments.get("layers", 3), arguments.get("qk_gain", 1.0)
    encoder, decoder = 0.67 * n**-0.25, (9 * n) ** -0.25  # the three steps of T-Fixup
    parts = {"embed_tokens": nn.Embedding(V, D), "output_projection": nn.Linear(D, V, bias=False)}
    parts |= {**stack(3, "encoder.layers"), **stack(3, "decoder.layers")}
    parts["decoder.layers.0.encoder_attn.v_proj"] = nn.Linear(D, D)
    expected: dict[str, Initializer] = {
        "embed_tokens.weight": Normal(0.0, decoder * D**-0.5),
        "output_projection.weight": Normal(0.0, D**-0.5),
    }
    for name, module in parts.items():
        if "layers" in name:
            assert isinstance(module, nn.Linear)
            beta = gain if name.endswith(("q_proj", "k_proj")) else encoder if name.startswith("encoder") else decoder
            expected[f"{name}.weight"] = xavier_uniform(beta, module.in_features, module.out_features)
            expected[f"{name}.bias"] = ZERO
    same(fills(tree(parts), recipes.t_fixup(**arguments)), expected)


def test_t_fixup_wants_no_norms() -> None:
    with pytest.raises(ValueError, match=r"layer_norm\.weight"):
        fastinit.plan(tree({"encoder.layers.0.layer_norm": nn.LayerNorm(D)}), recipes.t_fixup())


# Fixup ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["FixupBasicBlock", "FixupBottleneck"])
def test_fixup(kind: str) -> None:
    blocks = 16
    convolutions = ("conv1", "conv2", "conv3")[: 2 if kind == "FixupBasicBlock" else 3]
    scalars = {"bias1a": torch.ones(1), "scale": torch.zeros(1)}
    block = twin(kind, nn.ModuleDict({name: nn.Conv2d(4, 4, 3, bias=False) for name in convolutions}), **scalars)
    model = nn.ModuleDict(
        {"conv1": nn.Conv2d(3, 4, 3, bias=False), "layer1": nn.Sequential(block), "fc": nn.Linear(4, 2)}
    )
    he = math.sqrt(2 / (4 * 9))
    inside = he * blocks ** (-1 / (2 * len(convolutions) - 2))  # section 3, rule 2
    expected: dict[str, Initializer] = {f"layer1.0.{name}.weight": Normal(0.0, inside) for name in convolutions}
    expected |= {f"layer1.0.{convolutions[-1]}.weight": ZERO, "conv1.weight": Normal(0.0, he)}
    expected |= {"layer1.0.bias1a": ZERO, "layer1.0.scale": ONE, "fc.weight": ZERO, "fc.bias": ZERO}
    same(fills(model, recipes.fixup(blocks)), expected)
