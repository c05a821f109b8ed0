"""The models that are made: their published shapes, the class that builds them, and the recipe that fits.

Nothing is downloaded: configurations are written here, with their sources, and the code is transformers'.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when transformers is imported

import torch
import transformers

from fastinit import Recipe, recipes

_SMALLEST: Final = {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2}


@dataclass(frozen=True)
class Family:
    """Models of one class, at any size."""

    config: str
    model: str
    recipe: Recipe
    """The named recipe that has the distributions of the class's own `_init_weights`."""
    smallest: Mapping[str, Any]
    """A configuration that costs nothing: for tests, and to load the code before anything is timed."""


def _gpt2(layers: int, heads: int, width: int) -> dict[str, int]:
    return {"n_layer": layers, "n_head": heads, "n_embd": width}


FAMILIES: Final = {
    "gpt2": Family(
        "GPT2Config",
        "GPT2LMHeadModel",
        recipes.gpt2(),
        {**_gpt2(2, 2, 64), "vocab_size": 256, "n_positions": 32, "bos_token_id": 0, "eos_token_id": 0},
    ),
    "llama": Family(
        "LlamaConfig",
        "LlamaForCausalLM",
        recipes.llama(),
        {**_SMALLEST, "vocab_size": 256},
    ),
    "mixtral": Family(
        "MixtralConfig",
        "MixtralForCausalLM",
        recipes.llama(),
        {**_SMALLEST, "num_key_value_heads": 2, "num_local_experts": 4, "vocab_size": 256},
    ),
    "vit": Family(
        "ViTConfig",
        "ViTForImageClassification",
        recipes.vit("transformers"),
        {**_SMALLEST, "image_size": 32},
    ),
    "bert": Family(
        "BertConfig",
        "BertForMaskedLM",
        recipes.bert(truncated=False),
        {**_SMALLEST, "vocab_size": 256},
    ),
}


@dataclass(frozen=True)
class Definition:
    """One model: a family, the sizes that are not its class's defaults, and the type of its parameters."""

    name: str
    family: str
    sizes: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = "float32"

    @property
    def recipe(self) -> Recipe:
        """The family's."""
        return FAMILIES[self.family].recipe

    def build(self) -> transformers.PreTrainedModel:
        """Call the plain constructor, whose code decides what is filled and how often."""
        family = FAMILIES[self.family]
        config = getattr(transformers, family.config)(**self.sizes)
        before = torch.get_default_dtype()
        torch.set_default_dtype(getattr(torch, self.dtype))
        try:
            model: transformers.PreTrainedModel = getattr(transformers, family.model)(config)
        finally:
            torch.set_default_dtype(before)
        return model

    def on_meta(self) -> transformers.PreTrainedModel:
        """The same with shapes alone: no memory, and no time spent on values."""
        with torch.device("meta"):
            return self.build()

    def smallest(self) -> Definition:
        """A model of the same family that costs nothing."""
        return Definition(f"smallest {self.family}", self.family, FAMILIES[self.family].smallest, self.dtype)


def _llama(
    layers: int, width: int, inner: int, heads: int, kv_heads: int, vocabulary: int, tied: bool
) -> dict[str, Any]:
    return {
        "num_hidden_layers": layers,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocabulary,
        "tie_word_embeddings": tied,
    }


DEFINITIONS: Final = {
    definition.name: definition
    for definition in (
        # Radford et al., "Language Models are Unsupervised Multitask Learners" (2019), table 2; heads as released.
        Definition("gpt2", "gpt2", _gpt2(12, 12, 768)),
        Definition("gpt2-medium", "gpt2", _gpt2(24, 16, 1024)),
        Definition("gpt2-large", "gpt2", _gpt2(36, 20, 1280)),
        Definition("gpt2-xl", "gpt2", _gpt2(48, 25, 1600)),
        # Devlin et al., "BERT" (2019), section 3, and Dosovitskiy et al., "An Image is Worth 16x16 Words" (2021), table
        # 1: both are their classes' defaults.
        Definition("bert-base", "bert"),
        Definition("vit-base", "vit"),
        # Allal et al., "SmolLM2" (2025): the 360M model, a Llama in everything but size.
        Definition("llama-360m", "llama", _llama(32, 960, 2560, 15, 5, 49152, tied=True)),
        # Grattafiori et al., "The Llama 3 Herd of Models" (2024), table 3, and Llama 3.2's released configuration.
        Definition("llama-1b", "llama", _llama(16, 2048, 8192, 32, 8, 128256, tied=True)),
        Definition("llama-8b", "llama", _llama(32, 4096, 14336, 32, 8, 128256, tied=False), "bfloat16"),
        # Jiang et al., "Mixtral of Experts" (2024), table 1, with a quarter of the width and 2 of the 32 layers: the
        # smallest that still has 8 experts a layer in two stacked weights.
        Definition(
            "mixtral-mini",
            "mixtral",
            {**_llama(2, 1024, 3584, 8, 2, 32000, tied=False), "num_local_experts": 8},
        ),
    )
}
