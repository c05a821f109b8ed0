"""Initialization and learning rates for models that change their width."""

from __future__ import annotations

from torch import nn

from fastinit.models.elementary import Constant, Normal
from fastinit.models.initializer import Initializer
from fastinit.models.initializers import Zeros
from fastinit.models.plan import plan
from fastinit.models.rules import Names, Recipe, Rule
from fastinit.recipes.common import biases, norms, rule
from fastinit.recipes.vocabulary import (
    FUSED_QKV,
    HEADS,
    LINEAR,
    MLP_IN,
    NORMS,
    QUERY_KEY,
    RESIDUAL_OUT,
    VALUE,
    ending,
)

__all__ = ["mup", "mup_rates"]

# Of fused projections it does not matter here how they are laid out.
_HIDDEN = (*RESIDUAL_OUT, *MLP_IN, *QUERY_KEY, *VALUE, *FUSED_QKV, "c_attn", "query_key_value", "qkv_proj", "att_proj")
_POSITIONS = ("pos_embed", "position_embeddings", "cls_token")


def mup(
    base_width: float,
    width: float | None = None,
    std: float = 0.02,
    *,
    inputs: Names | None = None,
    hidden: Names | None = None,
    outputs: Names | None = None,
    multiplier: bool = True,
    zero_output: bool = False,
) -> Recipe:
    """The maximal update parametrization: hyperparameters found at one width hold at another.

    Every parameter is normal with ``std`` at ``base_width``. With m = width / base_width, and by what a parameter maps
    to what:

    ======== ============================== =========================== ================== ==============
    kind     from, to                       std                         Adam: lr times     SGD: lr times
    ======== ============================== =========================== ================== ==============
    input    finite, width (embeddings)     std                         1                  m
    biases   (and norms)                    0 (and 1)                   1                  m
    hidden   width, width                   std / sqrt(m)               1 / m              1
    output   width, finite, multiplied by   std                         1                  m
             1 / m in the forward pass
    output   with ``multiplier=False``      std / m                     1 / m              1 / m
    ======== ============================== =========================== ================== ==============

    The two forms of the output are the same function and learn the same. An optimizer has to be given the learning
    rates, which `mup_rates` computes; the model has to divide the scores of its attention by the size of the heads
    instead of the square root, and in the first form the outputs (or, what is the same, the inputs of the output layer)
    by m. Embeddings may be tied to an output of the first form. What is none of these by its name is left unclaimed.

    Args:
        base_width: the width at which ``std`` and the learning rate were chosen.
        width: the model's; None reads ``hidden_size`` of its ``config``.
        std: at the base width.
        inputs: names of weights, for `fastinit.Rule`, that map something of fixed size to the width; embeddings,
            patch projections and learned positions are known.
        hidden: names of weights that map width to width; None knows the projections of attention and of feed-forward
            blocks, of experts too.
        outputs: names of weights that map the width to something of fixed size; None knows lm_head, head, classifier
            and the like. Routers of experts are outputs too, but nothing tells how their model scales them.
        multiplier: the form of the output.
        zero_output: the output starts at 0, as the authors recommend (appendix D.2).

    Source: Yang, Hu et al. 2022, Tensor Programs V, table 8 (with multiplier) and table 3 (without).

    Example:
        >>> import fastinit
        >>> from torch import nn
        >>> parts = {"embed": nn.Embedding(10, 64), "up_proj": nn.Linear(64, 64), "head": nn.Linear(64, 10)}
        >>> model = nn.ModuleDict(parts)
        >>> plan = fastinit.plan(model, fastinit.recipes.mup(base_width=16, width=64))
        >>> [entry.fill.std for entry in plan.entries if "weight" in entry.name]
        [0.02, 0.01, 0.02]
    """
    m, constants = _ratio(base_width, width)
    fixed = Normal(std="std")
    output = Zeros() if zero_output else fixed if multiplier else Normal(std=f"std / ({m})")
    return Recipe(
        (
            *_matrices(fixed, Normal(std=f"std / sqrt({m})"), output, inputs, hidden, outputs),
            rule(Zeros(), module=nn.MultiheadAttention, param="in_proj_bias"),
            biases(nn.Conv2d),
            *norms(),
        ),
        name="mup",
        source=f"Yang, Hu et al. 2022, Tensor Programs V, table {8 if multiplier else 3}",
        constants={"std": std, **constants},
    )


def mup_rates(
    model: nn.Module,
    base_width: float,
    width: float | None = None,
    *,
    optimizer: str = "adam",
    inputs: Names | None = None,
    hidden: Names | None = None,
    outputs: Names | None = None,
    multiplier: bool = True,
) -> dict[str, float]:
    """What the learning rate of each parameter is to be multiplied with under `mup`, by its qualified name.

    Args:
        model: the model.
        base_width: this and all but ``optimizer`` as for `mup`.
        width: the model's width.
        optimizer: "adam" for those that normalise each element's gradient (AdamW, Adafactor, Lion), or "sgd".
        inputs: names of input weights.
        hidden: names of hidden weights.
        outputs: names of output weights.
        multiplier: the form of the output.

    Returns:
        A rate for each parameter, tied ones under their first name.

    Raises:
        ValueError: another optimizer; parameters that are none of the kinds that `mup` knows.

    Source: Yang, Hu et al. 2022, Tensor Programs V, tables 3 and 8.

    Example:
        >>> import fastinit, torch
        >>> parts = {"embed": torch.nn.Embedding(10, 64), "up_proj": torch.nn.Linear(64, 64)}
        >>> model = torch.nn.ModuleDict(parts)
        >>> rates = fastinit.recipes.mup_rates(model, base_width=16, width=64)
        >>> rates
        {'embed.weight': 1.0, 'up_proj.weight': 0.25, 'up_proj.bias': 1.0}
        >>> groups = [{"params": [p], "lr": 0.001 * rates[name]} for name, p in model.named_parameters()]
        >>> optimizer = torch.optim.AdamW(groups)
    """
    if optimizer not in ("adam", "sgd"):
        raise ValueError(f'optimizer must be "adam" or "sgd", but got {optimizer!r}')
    m, constants = _ratio(base_width, width)
    fixed = Constant("1" if optimizer == "adam" else m)
    output = fixed if multiplier else Constant(f"1 / ({m})")
    # The selectors are those of the recipe; what they give stands for the rate.
    rates = Recipe(
        (
            *_matrices(fixed, Constant(f"1 / ({m})" if optimizer == "adam" else "1"), output, inputs, hidden, outputs),
            rule(fixed, module=nn.MultiheadAttention, param="in_proj_bias"),
            rule(fixed, module=(*LINEAR, nn.Conv2d), param="bias"),
            rule(fixed, module=NORMS, param=("weight", "bias")),
        ),
        name="mup_rates",
        constants=constants,
    )
    found: dict[str, float] = {}
    for entry in plan(model, rates, skip=False).entries:
        assert isinstance(entry.fill, Constant)
        (found[entry.site.name],) = entry.fill.numbers(entry.fill.val)
    return found


def _ratio(base_width: float, width: float | None) -> tuple[str, dict[str, float]]:
    """The expression for m, and the constants that are in it."""
    if width is None:
        return "hidden_size / base_width", {"base_width": base_width}
    return "width / base_width", {"base_width": base_width, "width": width}


def _matrices(
    fixed: Initializer,
    inside: Initializer,
    output: Initializer,
    inputs: Names | None,
    hidden: Names | None,
    outputs: Names | None,
) -> tuple[Rule, ...]:
    """Everything but biases and norms, by its kind."""
    return (
        *(() if inputs is None else (rule(fixed, name=inputs),)),
        rule(output, name=ending(*HEADS) if outputs is None else outputs),
        rule(fixed, module=nn.Embedding, param="weight"),
        rule(fixed, param=_POSITIONS),
        rule(fixed, name=ending(r"patch_embed\.proj", r"patch_embeddings\.projection")),
        rule(inside, name=ending(*_HIDDEN, param=r"(?:\.weight)?") if hidden is None else hidden),
        rule(inside, module=nn.MultiheadAttention, param="*_proj_weight"),
    )
