"""Initialization for models that change their width."""

from __future__ import annotations

import re

from torch import nn

from fastinit.models.elementary import Normal
from fastinit.models.initializers import Zeros
from fastinit.models.rules import Names, Recipe
from fastinit.recipes.common import biases, norms, rule
from fastinit.recipes.vocabulary import HEADS, LINEAR, ending

__all__ = ["mup"]

_NO_ROUTER = re.compile(r"(?!(?:.*\.)?(?:\w*gate|\w*router)\.)(?:.*\.)?weight")


def mup(
    base_width: float,
    width: float | None = None,
    std: float = 0.02,
    *,
    inputs: Names | None = None,
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
    rates; the model has to divide the scores of its attention by the size of the heads instead of the square root, and
    in the first form the outputs (or, what is the same, the inputs of the output layer) by m. Embeddings may be tied to
    an output of the first form.

    Args:
        base_width: the width at which ``std`` and the learning rate were chosen.
        width: the model's; None reads ``hidden_size`` of its ``config``.
        std: at the base width.
        inputs: names of weights, for `fastinit.Rule`, that map something of fixed size to the width; embeddings,
            patch projections and learned positions are known.
        outputs: names of weights that map the width to something of fixed size; None knows lm_head, head, classifier
            and the like. Routers of experts are outputs too, but nothing tells how their model scales them: they are
            left unclaimed.
        multiplier: the form of the output.
        zero_output: the output starts at 0, as the authors recommend (appendix D.2).

    Source: Yang, Hu et al. 2022, Tensor Programs V, table 8 (with multiplier) and table 3 (without).

    Example:
        >>> import fastinit
        >>> from torch import nn
        >>> model = nn.ModuleDict({"embed": nn.Embedding(10, 64), "fc": nn.Linear(64, 64), "head": nn.Linear(64, 10)})
        >>> plan = fastinit.plan(model, fastinit.recipes.mup(base_width=16, width=64))
        >>> [entry.fill.std for entry in plan.entries if "weight" in entry.name]
        [0.02, 0.01, 0.02]
    """
    m = "width" if width is not None else "hidden_size"
    positions = ("pos_embed", "position_embeddings", "cls_token", "*.pos_embed", "*.position_embeddings", "*.cls_token")
    fixed, hidden = Normal(std="std"), Normal(std=f"std / sqrt({m} / base_width)")
    output = Zeros() if zero_output else fixed if multiplier else Normal(std=f"std * base_width / {m}")
    return Recipe(
        (
            *(() if inputs is None else (rule(fixed, name=inputs),)),
            rule(output, name=ending(*HEADS) if outputs is None else outputs),
            rule(fixed, module=nn.Embedding, param="weight"),
            rule(fixed, name=positions),
            rule(fixed, name=ending(r"patch_embed\.proj", r"patch_embeddings\.projection")),
            rule(hidden, name=_NO_ROUTER, module=LINEAR),
            rule(hidden, module="*Experts", param=("gate_up_proj", "up_proj", "gate_proj", "down_proj")),
            biases(nn.Conv2d),
            *norms(),
        ),
        name="mup",
        source=f"Yang, Hu et al. 2022, Tensor Programs V, table {8 if multiplier else 3}",
        constants={"std": std, "base_width": base_width} | ({} if width is None else {"width": width}),
    )
