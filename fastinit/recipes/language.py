"""Language models: one standard deviation, and what became of it."""

from __future__ import annotations

from torch import nn

from fastinit.models.elementary import Constant, Normal
from fastinit.models.initializers import TruncNormalTF, Zeros
from fastinit.models.rules import Recipe
from fastinit.recipes.common import biases, experts, fused, norms, rule
from fastinit.recipes.vocabulary import LINEAR, RESIDUAL_OUT, ending

__all__ = ["bert", "gpt2", "llama", "neox", "olmo", "olmo2", "small_init", "t5"]

_MATRICES = (*LINEAR, nn.Embedding)
_RESIDUAL = ending(*RESIDUAL_OUT, param=r"(?:\.weight)?")


def gpt2(std: float = 0.02, position_std: float | None = None) -> Recipe:
    """GPT-2: normal, with the projections back to the residual stream scaled by 1 / sqrt(2 layers).

    Each block adds to the residual stream twice, so that its variance stays what it is in a model of one block. Biases
    are 0. Megatron's ``scaled_init_method_normal`` is the same. The projections are found by name (`c_proj`, `o_proj`,
    `out_proj` of an attention, `fc2` of a block...), in GPT-2 and in others; ``layers`` is the length of their stack.
    For a part of a model, as a pipeline's stage, tell the depth of the whole: ``gpt2().with_constants(layers=48)``.

    Args:
        std: of matrices and token embeddings.
        position_std: of learned positions; the same where None, as in transformers and nanoGPT. OpenAI's code has 0.01.

    Source: Radford et al. 2019, section 2.3; ``_init_weights`` of transformers' GPT-2 and of nanoGPT.

    Example:
        >>> import fastinit
        >>> from torch import nn
        >>> encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 64), 8, enable_nested_tensor=False)
        >>> plan = fastinit.plan(encoder, fastinit.recipes.gpt2())
        >>> fills = {entry.name: entry.fill for entry in plan.entries}
        >>> fills["layers.0.linear1.weight"], fills["layers.0.linear2.weight"]
        (Normal(std=0.02), Normal(std=0.005))
    """
    constants = {"std": std} if position_std is None else {"std": std, "position_std": position_std}
    positions = ("*wpe.weight", "*position_embeddings.weight", "*embed_positions.weight")
    return Recipe(
        (
            rule(Normal(std="std / sqrt(2 * layers)"), name=_RESIDUAL),
            *(() if position_std is None else (rule(Normal(std="position_std"), name=positions, module=nn.Embedding),)),
            rule(Normal(std="std"), module=_MATRICES, param="weight"),
            *experts(Normal(std="std")),
            *fused(Normal(std="std")),
            biases(),
            *norms(),
        ),
        name="gpt2",
        source="Radford et al. 2019, Language Models are Unsupervised Multitask Learners, section 2.3",
        constants=constants,
    )


def llama(std: float = 0.02) -> Recipe:
    """Llama and what transformers treats alike: one normal distribution for every matrix, whatever the depth.

    Mistral, Mixtral, Qwen 2 and 3 (dense and mixture of experts), OLMo, OLMoE, DeepSeek-V3, Phi-3, Gemma, GPT-NeoX in
    transformers. Biases are 0, norms 1; the norms of Gemma and of Qwen3-Next, which multiply by 1 + weight, 0.

    Args:
        std: of matrices, embeddings, experts and routers: ``initializer_range`` in transformers' configurations.

    Source: ``PreTrainedModel._init_weights`` of transformers, and those of the models named.

    Example:
        >>> import fastinit, torch
        >>> block = torch.nn.ModuleDict({"q_proj": torch.nn.Linear(8, 8, bias=False), "norm": torch.nn.RMSNorm(8)})
        >>> [entry.fill for entry in fastinit.plan(block, fastinit.recipes.llama()).entries]
        [Normal(std=0.02), Constant(val=1.0)]
    """
    init = Normal(std="std")
    return Recipe(
        (rule(init, module=_MATRICES, param="weight"), *experts(init), *fused(init), biases(), *norms()),
        name="llama",
        source="transformers, PreTrainedModel._init_weights",
        constants={"std": std},
    )


def olmo(cut: float = 3.0) -> Recipe:
    """OLMo's "mitchell": by fan-in, and the deeper a block the less it adds to the residual stream.

    Truncated normal distributions with a standard deviation (before the cut) of 1 / sqrt(fan_in); of
    1 / sqrt(2 fan_in (layer + 1)) where a block adds to the residual stream, ``layer`` counted from 0; of
    1 / sqrt(width) for embeddings. Biases are 0.

    Args:
        cut: where the distributions are cut, in standard deviations.

    Source: Groeneveld et al. 2024, OLMo; ``init_fn: mitchell`` of its code.

    Example:
        >>> import fastinit, torch
        >>> blocks = [torch.nn.ModuleDict({"o_proj": torch.nn.Linear(8, 8, bias=False)}) for _ in range(2)]
        >>> model = torch.nn.Sequential(*blocks)
        >>> [entry.fill.std for entry in fastinit.plan(model, fastinit.recipes.olmo()).entries]
        [0.25, 0.17677669529663687]
    """
    return Recipe(
        (
            rule(_cut("1 / sqrt(2 * fan_in * (layer + 1))"), name=_RESIDUAL),
            rule(_cut("1 / sqrt(fan_in)"), module=LINEAR, param="weight"),
            *fused(_cut("1 / sqrt(fan_in)")),
            rule(_cut("1 / sqrt(embedding_dim)"), module=nn.Embedding, param="weight"),
            biases(),
            *norms(),
        ),
        name="olmo",
        source="Groeneveld et al. 2024, OLMo: Accelerating the Science of Language Models; init_fn mitchell",
        constants={"cut": cut},
    )


def olmo2(std: float = 0.02, cut: float = 3.0) -> Recipe:
    """OLMo 2: one truncated normal distribution for every matrix, whatever the depth.

    Args:
        std: before the cut.
        cut: where the distribution is cut, in standard deviations.

    Source: OLMo team 2025, 2 OLMo 2 Furious; ``InitMethod.normal`` of OLMo-core.

    Example:
        >>> import fastinit, torch
        >>> model = torch.nn.Linear(8, 8, bias=False)
        >>> fastinit.plan(model, fastinit.recipes.olmo2()).entries[0].fill
        TruncNormal(std=0.02, a=-0.06, b=0.06)
    """
    init = _cut("std")
    return Recipe(
        (rule(init, module=_MATRICES, param="weight"), *experts(init), *fused(init), biases(), *norms()),
        name="olmo2",
        source="OLMo team 2025, 2 OLMo 2 Furious",
        constants={"std": std, "cut": cut},
    )


def _cut(std: str) -> TruncNormalTF:
    return TruncNormalTF(std=std, a="-cut", b="cut")


def bert(std: float = 0.02, truncated: bool = True) -> Recipe:
    """BERT: one normal distribution, cut at two standard deviations in Google's code and whole in transformers.

    Biases are 0. The row of ``padding_idx`` is 0, as it is in transformers.

    Args:
        std: of matrices and embeddings; before the cut.
        truncated: cut at 2 std (which leaves a standard deviation of 0.88 std), as ``tf.truncated_normal_initializer``
            does in the original; False is what transformers does.

    Source: Devlin et al. 2019, ``create_initializer`` of google-research/bert; transformers' BERT.

    Example:
        >>> import fastinit, torch
        >>> model = torch.nn.Linear(8, 8, bias=False)
        >>> fastinit.plan(model, fastinit.recipes.bert()).entries[0].fill
        TruncNormal(std=0.02, a=-0.04, b=0.04)
    """
    init = TruncNormalTF(std="std") if truncated else Normal(std="std")
    return Recipe(
        (
            rule(init, module=_MATRICES, param="weight"),
            *fused(init),
            biases("*LMPredictionHead", "*LMHead"),
            *norms(),
        ),
        name="bert",
        source="Devlin et al. 2019, google-research/bert, create_initializer",
        constants={"std": std},
    )


def t5(factor: float = 1.0) -> Recipe:
    """T5, whose attention does not divide by sqrt(d_kv): the queries' projection starts that much smaller.

    Normal distributions: queries 1 / sqrt(d_model d_kv); keys, values and all other matrices 1 / sqrt(fan_in); token
    embeddings and an untied head 1; relative positions 1 / sqrt(d_model). ``d_kv`` and ``d_model`` are read from the
    ``config`` of the model; without one, give them with `fastinit.Recipe.with_constants`.

    Args:
        factor: multiplies every standard deviation, and the norms.

    Source: Raffel et al. 2020 and Mesh TensorFlow's ``transformer_layers``, as in transformers' T5.

    Example:
        >>> import fastinit, torch
        >>> attention = torch.nn.ModuleDict({"q": torch.nn.Linear(8, 8, bias=False)})
        >>> model = torch.nn.ModuleDict({"SelfAttention": attention})
        >>> fastinit.plan(model, fastinit.recipes.t5().with_constants(d_kv=2)).entries[0].fill
        Normal(std=0.25)
    """
    attention = r"(?:Self|EncDec)Attention"
    return Recipe(
        (
            rule(Normal(std="factor / sqrt(fan_in * d_kv)"), name=ending(rf"{attention}\.q")),
            rule(Normal(std="factor / sqrt(d_model)"), name="*relative_attention_bias.weight"),
            rule(Normal(std="factor / sqrt(fan_in)"), name=ending(rf"{attention}\.[kvo]", r"DenseReluDense\.w\w+")),
            rule(Normal(std="factor"), name=("shared.weight", "*.shared.weight", "*embed_tokens.weight")),
            rule(Normal(std="factor"), name=("lm_head.weight", "*.lm_head.weight")),
            rule(Zeros(), module=LINEAR, within="*DenseReluDense", param="bias"),
            rule(Constant("factor"), module="*LayerNorm", param="weight"),
        ),
        name="t5",
        source="Raffel et al. 2020, Mesh TensorFlow, transformer_layers; transformers, T5PreTrainedModel._init_weights",
        constants={"factor": factor},
    )


def small_init() -> Recipe:
    """SmallInit: normal with std sqrt(2 / (5 width)): Xavier for a (width, 4 width) matrix, used for all of them.

    The width is the fan-in of a matrix, the fan-out where it leads back to the residual stream. Biases are 0.

    Source: Nguyen and Salazar 2019, Transformers without Tears.

    Example:
        >>> import fastinit, torch
        >>> model = torch.nn.ModuleDict({"q_proj": torch.nn.Linear(10, 10, bias=False)})
        >>> fastinit.plan(model, fastinit.recipes.small_init()).entries[0].fill
        Normal(std=0.2)
    """
    return _small("sqrt(2 / (5 * fan_out))", "small_init", "Nguyen and Salazar 2019, Transformers without Tears")


def neox() -> Recipe:
    """GPT-NeoX-20B: SmallInit, and 2 / (layers sqrt(width)) where a block adds to the residual stream.

    Source: Black et al. 2022, GPT-NeoX-20B, section 2.3.1 (``small_init`` and ``wang_init`` of its code, the latter
    from Wang and Komatsuzaki's GPT-J); Nguyen and Salazar 2019.

    Example:
        >>> import fastinit, torch
        >>> blocks = [torch.nn.ModuleDict({"o_proj": torch.nn.Linear(16, 16, bias=False)}) for _ in range(5)]
        >>> fastinit.plan(torch.nn.Sequential(*blocks), fastinit.recipes.neox()).entries[0].fill
        Normal(std=0.1)
    """
    return _small("2 / (layers * sqrt(fan_out))", "neox", "Black et al. 2022, GPT-NeoX-20B, section 2.3.1")


def _small(residual: str, name: str, source: str) -> Recipe:
    return Recipe(
        (
            rule(Normal(std=residual), name=ending(*RESIDUAL_OUT)),
            rule(Normal(std="sqrt(2 / (5 * fan_in))"), module=LINEAR, param="weight"),
            *fused(Normal(std="sqrt(2 / (5 * fan_in))")),
            rule(Normal(std="sqrt(2 / (5 * embedding_dim))"), module=nn.Embedding, param="weight"),
            biases(),
            *norms(),
        ),
        name=name,
        source=source,
    )
