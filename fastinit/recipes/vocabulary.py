"""What transformers call their parts: one vocabulary, on which every recipe stands that tells parts apart.

Each constant is a tuple of regular expressions for the end of a module's qualified name. A word that means one thing
only stands alone (``down_proj``); one that others use too (``proj``, ``fc2``) only together with what it must stand in.
So a classifier called ``head.fc2`` is no residual projection, and what is not recognised stays unclaimed, which is an
error that can be seen, where a wrong scale could not.

Covered are the models of transformers (GPT-2, GPT-J, NeoX, OPT, BERT, T5, ViT, Llama and what came after), torch's
own (`nn.MultiheadAttention`, `nn.TransformerEncoderLayer`), timm's ViT, nanoGPT, fairseq, OLMo and Meta's Llama.
"""

from __future__ import annotations

import re

from torch import nn

__all__ = [
    "ATTENTION_OUT",
    "CROSS_ATTENTION",
    "FUSED_QKV",
    "HEADS",
    "LINEAR",
    "MLP_IN",
    "MLP_OUT",
    "NORMS",
    "OFFSET_NORMS",
    "QUERY_KEY",
    "RESIDUAL_OUT",
    "VALUE",
    "ending",
]

_ATTENTION = r"[^.]*[aA]tt(?:n|ention)"  # attn, self_attn, self_attention, encoder_attn, SelfAttention...
_MLP = r"(?:mlp|ffn|feed_forward|DenseReluDense|\d+)"  # or the block itself, a number

ATTENTION_OUT = (
    "o_proj",
    "attn_out",
    r"attention\.output\.dense",
    rf"{_ATTENTION}\.(?:c_proj|out_proj|out_lin|dense|proj|o|wo)",
)
"""What leads from the heads back to the residual stream."""

MLP_OUT = (
    "down_proj",
    "dense_4h_to_h",
    r"\d+\.output\.dense",
    r"\d+\.ff_out",
    rf"{_MLP}\.(?:c_proj|fc2|fc_out|linear2|lin2|w2|wo)",
)
"""The last matrix of a feed-forward block."""

MLP_IN = (
    *("c_fc", "gate_proj", "up_proj", "gate_up_proj", "dense_h_to_4h", r"\d+\.intermediate\.dense", r"\d+\.ff_proj"),
    rf"{_MLP}\.(?:fc1|fc_in|linear1|lin1|w1|w3|wi|wi_0|wi_1)",
)
"""The first matrix of a feed-forward block, and its gate."""

QUERY_KEY = ("[qk]_proj", "[qk]_lin", r"self\.(?:query|key)", rf"{_ATTENTION}\.(?:query|key|q|k|wq|wk)")
"""Projections that only the softmax sees."""

VALUE = ("v_proj", "v_lin", r"self\.value", rf"{_ATTENTION}\.(?:value|v|wv)")
"""Projections whose output the heads average."""

FUSED_QKV = (rf"{_ATTENTION}\.qkv",)
"""Queries, keys and values in one, as three blocks of rows. Projections that interleave them by heads (NeoX, Bloom), or
whose blocks differ in size (grouped queries), are not in here on purpose: what they need, a `fastinit.Layout` says."""

RESIDUAL_OUT = ATTENTION_OUT + MLP_OUT
"""All that is added to the residual stream."""

CROSS_ATTENTION = (r"(?:multihead_attn|encoder_attn|cross_?[aA]tt(?:n|ention)|EncDecAttention)(?:\..*)?",)
"""A decoder's attention to the encoder, whatever is in it."""

HEADS = ("lm_head", "embed_out", "output_projection", "generator", "classifier", "head", r"head\.fc", "score")
"""What leads from the width of the model to its output."""

LINEAR = (nn.Linear, "Conv1D")
"""Matrices: torch's, and the transposed one of transformers' GPT-2."""

NORMS = ("*LayerNorm*", "*RMSNorm*", "*RmsNorm*", "GroupNorm", "_NormBase")
"""Norms by the names of their classes: every model has its own."""

OFFSET_NORMS = (
    *("GemmaRMSNorm", "Gemma[23]RMSNorm", "RecurrentGemmaRMSNorm", "VaultGemmaRMSNorm", "T5Gemma*RMSNorm"),
    *("Qwen3NextRMSNorm", "Qwen3_5*RMSNorm", "Qwen4ExpTextRMSNorm", "MiniMaxM3VLRMSNorm", "Step3p7RMSNorm"),
)
"""Norms that multiply by 1 + weight: their weights start at 0."""


def ending(*ends: str, param: str = r"\.weight", before: str = "") -> re.Pattern[str]:
    """Names of parameters that end in one of these and ``param``.

    Args:
        ends: members of the tuples above.
        param: a regular expression for the rest of the name.
        before: a regular expression for what must be found somewhere before, as a whole part of the name.

    Example:
        >>> from fastinit.recipes.vocabulary import RESIDUAL_OUT, ending
        >>> pattern = ending(*RESIDUAL_OUT)
        >>> [bool(pattern.fullmatch(f"{name}.weight")) for name in ("h.0.mlp.c_proj", "blocks.7.attn.proj", "head.fc2")]
        [True, True, False]
    """
    there = rf"(?:.*\.)?{before}\." if before else ""
    return re.compile(rf"{there}(?:.*\.)?(?:{'|'.join(ends)}){param}")
