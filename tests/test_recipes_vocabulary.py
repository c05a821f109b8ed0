"""The names that recipes know: each projection of many models under exactly one heading, and nothing besides."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
import torch
from torch import nn

import fastinit
from fastinit.recipes import vocabulary
from fastinit.recipes.vocabulary import ending
from named_modules import tree

ROLES = {
    role: ending(*getattr(vocabulary, role), param=r"(?:[._]weight)?")
    for role in ("ATTENTION_OUT", "MLP_OUT", "MLP_IN", "QUERY_KEY", "VALUE", "FUSED_QKV")
}
LAYERS = 2
SIZES = {"hidden_size": 16, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "vocab_size": 32}
DENSE = {**SIZES, "intermediate_size": 24}
SPLIT = {"ATTENTION_OUT": 1, "MLP_OUT": 1, "MLP_IN": 1, "QUERY_KEY": 2, "VALUE": 1}
GATED = {**SPLIT, "MLP_IN": 2}
FUSED = {"ATTENTION_OUT": 1, "MLP_OUT": 1, "MLP_IN": 1}  # with a projection that is in no heading, on purpose

# The model of transformers, its configuration, and how many of each a block has.
MODELS: dict[str, tuple[str, dict[str, Any], dict[str, int]]] = {
    "bert": ("BertModel", DENSE, SPLIT),
    "bloom": ("BloomModel", {"hidden_size": 16, "n_layer": LAYERS, "n_head": 4, "vocab_size": 32}, FUSED),
    "clip": ("CLIPVisionModel", {**DENSE, "image_size": 8, "patch_size": 4}, SPLIT),
    "distilbert": ("DistilBertModel", {"dim": 16, "hidden_dim": 24, "n_layers": LAYERS, "n_heads": 4}, SPLIT),
    "falcon": ("FalconModel", {**SIZES, "new_decoder_architecture": False}, FUSED),
    "gemma": ("GemmaModel", {**DENSE, "head_dim": 4, "num_key_value_heads": 2}, GATED),
    "gpt2": ("GPT2Model", {"n_embd": 16, "n_layer": LAYERS, "n_head": 4, "vocab_size": 32}, FUSED),
    "gpt_neox": ("GPTNeoXModel", DENSE, FUSED),
    "gptj": ("GPTJModel", {"n_embd": 16, "n_layer": LAYERS, "n_head": 4, "vocab_size": 32, "rotary_dim": 2}, SPLIT),
    "llama": ("LlamaModel", DENSE, GATED),
    "mixtral": ("MixtralModel", {**DENSE, "num_local_experts": 2, "num_key_value_heads": 2}, SPLIT),
    "opt": ("OPTModel", {**SIZES, "ffn_dim": 24, "word_embed_proj_dim": 16}, SPLIT),
    "phi": ("PhiModel", DENSE, SPLIT),
    "phi3": ("Phi3Model", {**DENSE, "num_key_value_heads": 2, "pad_token_id": 0}, FUSED),
    "t5": ("T5EncoderModel", {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_heads": 4, "num_layers": LAYERS}, SPLIT),
    "vit": ("ViTModel", {**DENSE, "image_size": 8, "patch_size": 4}, SPLIT),
}


def counted(names: list[str]) -> Counter[str]:
    """How often each heading is found; a name under two of them is counted as both, joined."""
    found: Counter[str] = Counter()
    for name in names:
        roles = [role for role, pattern in ROLES.items() if pattern.fullmatch(name)]
        if roles:
            found["+".join(roles)] += 1
    return found


def matrices(model: nn.Module) -> list[str]:
    """The names of all that is no bias and no norm."""
    return [name for name, parameter in model.named_parameters() if parameter.ndim > 1]


@pytest.mark.parametrize("name", MODELS)
def test_projections_of_transformers_are_known(name: str) -> None:
    transformers: Any = pytest.importorskip("transformers")
    kind, config, expected = MODELS[name]
    cls = getattr(transformers, kind)
    with torch.device("meta"):
        model = cls(cls.config_class(**config))
    names = matrices(model)
    assert counted(names) == {role: count * LAYERS for role, count in expected.items()}
    assert all(re.search(r"\.\d+\.", known) for known in names if counted([known]))


def test_cross_attention_is_known() -> None:
    transformers: Any = pytest.importorskip("transformers")
    sizes = {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_heads": 4, "num_layers": LAYERS}
    with torch.device("meta"):
        models = [
            transformers.T5Model(transformers.T5Config(**sizes)),
            nn.Transformer(16, 2, LAYERS, LAYERS, 24, batch_first=True),
        ]
    pattern = re.compile(rf"(?:.*\.)?{vocabulary.CROSS_ATTENTION[0]}")
    for model, each in zip(models, (4, 2), strict=True):
        found = [name for name in matrices(model) if pattern.fullmatch(name)]
        assert len(found) == each * LAYERS
        assert all("decoder" in name for name in found)


OTHERS: dict[str, tuple[str, str]] = {
    "Meta's Llama": ("layers.0.attention.wo layers.0.feed_forward.w2", "layers.0.attention.wq layers.0.attention.wk"),
    "OLMo": ("transformer.blocks.0.attn_out transformer.blocks.0.ff_out", ""),
    "fairseq": ("layers.0.self_attn.out_proj layers.0.fc2", "layers.0.self_attn.q_proj layers.0.self_attn.k_proj"),
    "nanoGPT": ("transformer.h.0.attn.c_proj transformer.h.0.mlp.c_proj", ""),
    "timm": ("blocks.0.attn.proj blocks.0.mlp.fc2", ""),
    "torch": ("encoder.layers.0.self_attn.out_proj encoder.layers.0.linear2", ""),
}


@pytest.mark.parametrize("name", OTHERS)
def test_projections_of_others_are_known(name: str) -> None:
    out, query_key = (text.split() for text in OTHERS[name])
    assert counted([f"{one}.weight" for one in out]) == {"ATTENTION_OUT": 1, "MLP_OUT": 1}
    assert counted([f"{one}.weight" for one in query_key]) == ({"QUERY_KEY": 2} if query_key else {})


def test_heads_are_no_projections() -> None:
    names = ("lm_head", "head", "head.fc2", "classifier.out_proj", "pooler.dense", "cls.predictions.transform.dense")
    assert counted([f"{name}.weight" for name in (*names, "transformer.ff_out", "score", "fc2", "proj", "o")]) == {}


def test_stacks_of_names_count_their_layers() -> None:
    """`tree`, on which the other tests stand, makes stacks that recipes see."""
    model = tree({f"h.{i}.mlp.c_proj": nn.Linear(2, 2, bias=False) for i in range(4)})
    entries = fastinit.plan(model, [fastinit.Rule(fastinit.Leave())]).entries
    assert [(entry.site.layer, entry.site.layers) for entry in entries] == [(i, 4) for i in range(4)]
