"""Named recipes against the models of transformers: every parameter, law and number, with nothing left over."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

import fastinit
from fastinit import Recipe, recipes
from recorder import disagreements, recording

transformers: Any = pytest.importorskip("transformers")

SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 32}
DENSE = {**SIZES, "intermediate_size": 24}
GROUPED = {**DENSE, "num_key_value_heads": 2}
EXPERTS = {**GROUPED, "moe_intermediate_size": 8, "num_experts": 2}
IMAGES = {"image_size": 8, "patch_size": 4}
GPT2 = {"vocab_size": 32, "n_positions": 8, "n_embd": 16, "n_layer": 3, "n_head": 4}
T5 = {"vocab_size": 32, "d_model": 16, "d_kv": 2, "d_ff": 24, "num_heads": 4, "num_layers": 3}
DEEPSEEK = {
    **{
        **DENSE,
        "num_key_value_heads": 4,
        "n_routed_experts": 4,
        "moe_intermediate_size": 8,
        "first_k_dense_replace": 1,
    },
    **{"n_group": 1, "topk_group": 1, "num_experts_per_tok": 2, "kv_lora_rank": 4, "q_lora_rank": 4},
    **{"qk_rope_head_dim": 4, "v_head_dim": 4, "qk_nope_head_dim": 4},
}

CASES: dict[str, tuple[Callable[[], Recipe], str, dict[str, Any]]] = {
    "gpt2": (recipes.gpt2, "GPT2LMHeadModel", GPT2),
    "gpt2, untied": (recipes.gpt2, "GPT2LMHeadModel", {**GPT2, "tie_word_embeddings": False}),
    "gpt2, as a decoder": (
        lambda: recipes.gpt2(0.03),
        "GPT2LMHeadModel",
        {**GPT2, "add_cross_attention": True, "initializer_range": 0.03},
    ),
    "llama": (recipes.llama, "LlamaForCausalLM", GROUPED),
    "llama, with biases": (recipes.llama, "LlamaForCausalLM", {**GROUPED, "attention_bias": True, "mlp_bias": True}),
    "mistral": (recipes.llama, "MistralForCausalLM", GROUPED),
    "mixtral": (recipes.llama, "MixtralForCausalLM", {**GROUPED, "num_local_experts": 2}),
    "qwen2": (recipes.llama, "Qwen2ForCausalLM", GROUPED),
    "qwen2_moe": (recipes.llama, "Qwen2MoeForCausalLM", {**EXPERTS, "shared_expert_intermediate_size": 8}),
    "qwen3": (recipes.llama, "Qwen3ForCausalLM", GROUPED),
    "qwen3_moe": (recipes.llama, "Qwen3MoeForCausalLM", EXPERTS),
    "olmo": (recipes.llama, "OlmoForCausalLM", GROUPED),
    "olmo2": (recipes.llama, "Olmo2ForCausalLM", GROUPED),
    "olmoe": (recipes.llama, "OlmoeForCausalLM", {**GROUPED, "num_experts": 2}),
    "deepseek_v3": (recipes.llama, "DeepseekV3ForCausalLM", DEEPSEEK),
    "phi3": (recipes.llama, "Phi3ForCausalLM", {**GROUPED, "pad_token_id": 0}),
    "gemma": (recipes.llama, "GemmaForCausalLM", {**GROUPED, "head_dim": 4}),
    "gemma2": (recipes.llama, "Gemma2ForCausalLM", {**GROUPED, "head_dim": 4}),
    "gpt_neox": (recipes.llama, "GPTNeoXForCausalLM", DENSE),
    "bert": (lambda: recipes.bert(truncated=False), "BertForPreTraining", DENSE),
    "bert, as a classifier": (lambda: recipes.bert(truncated=False), "BertForSequenceClassification", DENSE),
    "roberta": (lambda: recipes.bert(truncated=False), "RobertaForMaskedLM", DENSE),
    "t5": (recipes.t5, "T5ForConditionalGeneration", T5),
    "t5 v1.1": (
        lambda: recipes.t5(0.5),
        "T5ForConditionalGeneration",
        {**T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "initializer_factor": 0.5},
    ),
    "vit": (lambda: recipes.vit("transformers"), "ViTForImageClassification", {**DENSE, **IMAGES}),
    "vit, masked": (lambda: recipes.vit("transformers"), "ViTForMaskedImageModeling", {**DENSE, **IMAGES}),
    "resnet": (
        recipes.resnet,
        "ResNetForImageClassification",
        {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [2, 1], "layer_type": "bottleneck"},
    ),
    "resnet, basic": (
        recipes.resnet,
        "ResNetForImageClassification",
        {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [2, 1], "layer_type": "basic"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_recipe_plans_what_transformers_writes(case: str) -> None:
    recipe, name, config = CASES[case]
    kind = getattr(transformers, name)
    with recording() as recorder:
        model = kind(kind.config_class(**config))
    plan = fastinit.plan(model, recipe(), skip=False)
    assert plan.entries
    assert disagreements(plan, recorder) == []


def test_disagreements_are_found() -> None:
    config = transformers.GPT2Config(**GPT2, bos_token_id=0, eos_token_id=0)
    with recording() as recorder:
        model = transformers.GPT2LMHeadModel(config)

    def wrong(recipe: Recipe) -> set[str]:
        return {line.split(":")[0] for line in disagreements(fastinit.plan(model, recipe, skip=False), recorder)}

    matrices = {name for name, parameter in model.named_parameters() if parameter.ndim == 2}
    assert wrong(recipes.gpt2(0.02 * (1 + 1e-9))) == matrices
    assert wrong(recipes.llama()) == {name for name in matrices if "c_proj" in name}
    assert wrong(recipes.bert()) == matrices
    ones = recipes.gpt2().override(fastinit.Rule(fastinit.Ones(), param="bias"))
    assert wrong(ones) == {name for name in dict(model.named_parameters()) if name.endswith("bias")}


@pytest.mark.parametrize("case", ["gpt2", "mixtral", "bert", "t5", "vit", "resnet"])
def test_what_is_written_from_meta_has_the_planned_moments(case: str) -> None:
    recipe, name, config = CASES[case]
    kind = getattr(transformers, name)
    with fastinit.meta_parameters():
        model = kind(kind.config_class(**config))
    report = fastinit.initialize_(model, recipe(), seed=0, device="cpu", skip=False)
    assert report.materialised == report.filled == len(list(model.parameters()))
    for entry in report.plan.entries:
        assert entry.fill is not None
        mean, std = entry.fill.moments(entry.site.shape) or (0.0, math.nan)
        values = entry.tensor.detach().double()
        # Six standard errors; of the standard deviation sigma / sqrt(2 n), less for laws without tails.
        allowed = 6 * std / math.sqrt(values.numel())
        assert abs(float(values.mean()) - mean) <= allowed
        assert abs(float((values - mean).square().mean().sqrt()) - std) <= allowed
