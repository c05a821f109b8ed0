"""Named recipes whose source is a paper, or code that is not installed: each number against its formula."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

import fastinit
from fastinit import Constant, Initializer, Normal, Recipe, TruncNormal, Uniform, recipes
from named_modules import tree, twin

D, H, V = 8, 24, 12  # width, width of the MLP, vocabulary


def fills(model: nn.Module, recipe: Recipe) -> dict[str, Initializer | None]:
    """What the recipe plans, by name."""
    return {entry.name: entry.fill for entry in fastinit.plan(model, recipe).entries}


def same(found: Mapping[str, Initializer | None], expected: Mapping[str, Initializer]) -> None:
    """Require the same laws with the same numbers, up to rounding."""
    assert set(found) == set(expected)
    for name, law in expected.items():
        fill = found[name]
        assert type(fill) is type(law), name
        given, wanted = vars(fill), vars(law)
        assert {k: pytest.approx(v, rel=1e-12, abs=0.0) for k, v in wanted.items()} == given, name


def xavier(gain: float, fan_in: int, fan_out: int) -> Normal:
    """Glorot and Bengio 2010, eq. 12."""
    return Normal(0.0, gain * math.sqrt(2.0 / (fan_in + fan_out)))


def xavier_uniform(gain: float, fan_in: int, fan_out: int) -> Uniform:
    """Glorot and Bengio 2010, eq. 16."""
    bound = gain * math.sqrt(6.0 / (fan_in + fan_out))
    return Uniform(-bound, bound)


def cut(std: float, at: float) -> TruncNormal:
    """A normal distribution cut at so many standard deviations."""
    return TruncNormal(0.0, std, -at * std, at * std)


ZERO, ONE = Constant(0.0), Constant(1.0)


def stack(layers: int, where: str = "layers") -> dict[str, nn.Module]:
    """Blocks as fairseq and Llama name their parts."""
    sizes = {"self_attn.q_proj": (D, D), "self_attn.k_proj": (D, D), "self_attn.v_proj": (D, D)}
    sizes |= {"self_attn.out_proj": (D, D), "fc1": (D, H), "fc2": (H, D)}
    return {f"{where}.{i}.{name}": nn.Linear(*size) for i in range(layers) for name, size in sizes.items()}


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


# DeepNorm -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [{}, {"encoder_layers": 6}, {"decoder_layers": 6}])
@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_deepnorm_of_one_stack(arguments: dict[str, int], distribution: str) -> None:
    glorot = xavier if distribution == "normal" else xavier_uniform
    depth = 3 if not arguments else 6
    beta = (8 * depth) ** -0.25  # table 1
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
    encoder, decoder = 0.87 * (n**4 * m) ** (-1 / 16), (12 * m) ** (-1 / 4)  # table 1
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
    "torch": ("layers.0.self_attn", nn.MultiheadAttention(D, 2, bias=False), "[{}:{}]"),
}


@pytest.mark.parametrize("kind", FUSED)
def test_deepnorm_takes_fused_projections_apart(kind: str) -> None:
    name, module, span = FUSED[kind]
    found = fills(tree({name: module}), recipes.deepnorm(encoder_layers=2))
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
    relative = [fastinit.Rule(Normal(), name="*relative_attention_bias*")]
    found = fills(t5, relative + recipes.deepnorm(2, 2))
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
    encoder, decoder = 0.67 * n**-0.25, (9 * n) ** -0.25  # section 3.2
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


# ViT of big_vision, and zeros in ResNets ------------------------------------------------------------------------------


def test_vit_of_big_vision() -> None:
    parts = {"attn.qkv": nn.Linear(D, 3 * D), "attn.proj": nn.Linear(D, D), "mlp.fc1": nn.Linear(D, H)}
    pool = twin("Pool", tree({"kv": nn.Linear(D, 2 * D, bias=False)}), latent=torch.empty(1, 1, D))
    model = tree(
        {
            **{f"blocks.0.{name}": module for name, module in parts.items()},
            "patch_embed.proj": nn.Conv2d(3, D, 4),
            "attn_pool": pool,
            "head": nn.Linear(D, 10),
        }
    )
    model.register_parameter("pos_embed", nn.Parameter(torch.empty(1, 5, D)))
    model.register_parameter("cls_token", nn.Parameter(torch.empty(1, 1, D)))
    lecun = math.sqrt(1 / (3 * 16)) / math.sqrt(
        1 - 2 * 2 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2))
    )
    expected: dict[str, Initializer] = {
        "blocks.0.attn.qkv.weight": xavier_uniform(1.0, D, D),  # of each third; they are alike
        "blocks.0.attn.qkv.bias": ZERO,
        "blocks.0.attn.proj.weight": xavier_uniform(1.0, D, D),
        "blocks.0.attn.proj.bias": ZERO,
        "blocks.0.mlp.fc1.weight": xavier_uniform(1.0, D, H),
        "blocks.0.mlp.fc1.bias": Normal(0.0, 1e-6),
        "patch_embed.proj.weight": cut(lecun, 2),
        "patch_embed.proj.bias": ZERO,
        "attn_pool.kv.weight": xavier_uniform(1.0, D, D),
        "attn_pool.latent": xavier_uniform(1.0, 1, D),
        "head.weight": ZERO,
        "head.bias": ZERO,
        "pos_embed": Normal(0.0, 1 / math.sqrt(D)),
        "cls_token": ZERO,
    }
    same(fills(model, recipes.vit("big_vision")), expected)


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
    parts = {"embed": nn.Embedding(V, D), "layers.0.fc": nn.Linear(D, D), "lm_head": nn.Linear(D, V, bias=False)}
    parts |= {"patch_embed.proj": nn.Conv2d(3, D, 2), "encode": nn.Linear(3, D, bias=False), "norm": nn.LayerNorm(D)}
    recipe = recipes.mup(D / m, D, 0.1, inputs="encode.weight", multiplier=multiplier)
    expected: dict[str, Initializer] = {
        **{f"{name}.weight": Normal(0.0, 0.1) for name in ("embed", "patch_embed.proj", "encode")},
        "layers.0.fc.weight": Normal(0.0, 0.1 / math.sqrt(m)),
        "lm_head.weight": Normal(0.0, 0.1 if multiplier else 0.1 / m),
        **{"layers.0.fc.bias": ZERO, "patch_embed.proj.bias": ZERO, "norm.weight": ONE, "norm.bias": ZERO},
    }
    same(fills(tree(parts), recipe), expected)


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
    truncation = math.sqrt(1 - 2 * 2 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)))

    def lecun(fan_in: int) -> TruncNormal:
        return cut(math.sqrt(1 / fan_in) / truncation, 2)

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
