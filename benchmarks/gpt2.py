"""GPT-2 from its public definition: the sizes, a model without weights, and the rules that fill them.

Nothing is downloaded.  The sizes are those of Radford et al., "Language Models are Unsupervised Multitask Learners"
(2019), table 2, with the heads of the released models; the code is that of the transformers package.
"""

from __future__ import annotations

import math
import os
from types import ModuleType
from typing import Final

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when transformers is imported

import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

# name -> (layers, heads, width)
SIZES: Final = {
    "gpt2": (12, 12, 768),
    "gpt2-medium": (24, 16, 1024),
    "gpt2-large": (36, 20, 1280),
    "gpt2-xl": (48, 25, 1600),
}
STD: Final = 0.02


def config(name: str) -> GPT2Config:
    """The configuration of a released model."""
    layers, heads, width = SIZES[name]
    return GPT2Config(n_layer=layers, n_head=heads, n_embd=width)


def build(definition: GPT2Config) -> GPT2LMHeadModel:
    """The model on the meta device: shapes, no memory, and no time spent on weights that ``rules`` will write."""
    with torch.device("meta"):
        return GPT2LMHeadModel(definition)


def materialise(model: GPT2LMHeadModel) -> None:
    """Gives a model memory on the CPU that has never been written."""
    model.to_empty(device="cpu")
    model.tie_weights()  # to_empty gives the two names of a shared weight a tensor each


def dematerialise(model: GPT2LMHeadModel) -> None:
    """Takes the memory away again: back to the meta device."""
    model.to_empty(device="meta")
    model.tie_weights()


def rules(model: nn.Module, layers: int, init: ModuleType) -> None:
    """GPT-2's initialisation, said once for any library with the names of ``torch.nn.init``.

    Args:
        model: the model; a weight with two names (embedding and output head) is filled once.
        layers: its number of blocks, which scales the residual projections.
        init: ``torch.nn.init`` or ``fastinit``.

    """
    for name, parameter in model.named_parameters():
        std = standard_deviation(name, layers)
        if std is not None:
            init.normal_(parameter, mean=0.0, std=std)
        elif name.endswith(".bias"):
            init.zeros_(parameter)
        else:
            init.ones_(parameter)


def standard_deviation(name: str, layers: int) -> float | None:
    """That of the normal distribution a parameter is drawn from, by its name; None for what is constant.

    Every weight has 0.02, except the projections back into the residual stream: two a block add up there, so they are
    scaled by 1/sqrt(2 layers) (the paper's section 2.3).  Biases are zero and the gains of the layer norms one.
    """
    if name.endswith(".bias") or ".ln_" in name:
        return None
    return STD / math.sqrt(2 * layers) if name.endswith("c_proj.weight") else STD


def shown_weights(layers: int) -> tuple[str, ...]:
    """A few weights worth looking at: the embedding, an attention, and a residual projection at either end."""
    return (
        "transformer.wte.weight",
        "transformer.h.0.attn.c_attn.weight",
        "transformer.h.0.attn.c_proj.weight",
        f"transformer.h.{layers - 1}.mlp.c_proj.weight",
    )
