"""What layers start with elsewhere: for models that come from JAX or Keras, on torch's modules."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.conv import _ConvNd

from fastinit.models.elementary import Constant, Normal, Uniform
from fastinit.models.initializers import LecunNormal, Orthogonal, XavierUniform, Zeros
from fastinit.models.layouts import Layout
from fastinit.models.rules import Recipe
from fastinit.recipes.common import fused, norms, rule

__all__ = ["flax", "keras"]

_LAYERS = (nn.Linear, _ConvNd)
_WHOLE = Layout()  # Keras takes all gates of a recurrent layer as one matrix, and grouped kernels as they are stored


def flax() -> Recipe:
    """Flax's defaults: LeCun normal for matrices and kernels, normal with std 1 / sqrt(width) for embeddings.

    Biases are 0. The projections of `nn.MultiheadAttention` each have the fan-in of their own. Recurrent layers are
    left unclaimed: Flax's have other parameters.

    Source: flax.linen: Dense, Conv, ConvTranspose, Embed, MultiHeadDotProductAttention.

    Example:
        >>> import fastinit, torch
        >>> fastinit.plan(torch.nn.Embedding(100, 16), fastinit.recipes.flax()).entries[0].fill
        Normal(std=0.25)
    """
    return Recipe(
        (
            rule(LecunNormal(), module=_LAYERS, param="weight"),
            rule(Zeros(), module=_LAYERS, param="bias"),
            rule(Normal(std="1 / sqrt(embedding_dim)"), module=(nn.Embedding, nn.EmbeddingBag), param="weight"),
            *fused(LecunNormal()),
            *norms(),
        ),
        name="flax",
        source="flax.linen, default initializers of its layers",
    )


def keras() -> Recipe:
    """Keras's defaults: Glorot uniform for matrices and kernels, uniform within 0.05 for embeddings.

    Biases are 0. Recurrent weights are orthogonal, all gates as one matrix, and the forget gate of an LSTM starts with
    a bias of 1, which Keras has once and torch twice: here it is in ``bias_ih``.

    Source: keras.layers: Dense, Conv, Embedding, LSTM, GRU, SimpleRNN, MultiHeadAttention.

    Example:
        >>> import fastinit, torch
        >>> plan = fastinit.plan(torch.nn.LSTMCell(3, 4), fastinit.recipes.keras())
        >>> [(entry.name, entry.fill) for entry in plan.entries if "bias_ih" in entry.name][:2]
        [('bias_ih[0:4]', Constant()), ('bias_ih[4:8]', Constant(val=1.0))]
    """
    recurrent, lstm = (nn.RNNBase, nn.RNNCellBase), (nn.LSTM, nn.LSTMCell)
    # Parts in the order of torch's gates: input, forget, cell, output. This is 1 for part 1, else 0.
    forget = Constant("max(0, 1 - (part - 1) ** 2)")
    return Recipe(
        (
            rule(XavierUniform(), module=_LAYERS, param="weight", layout=_WHOLE),
            rule(Zeros(), module=_LAYERS, param="bias"),
            rule(Uniform(-0.05, 0.05), module=(nn.Embedding, nn.EmbeddingBag), param="weight"),
            *fused(XavierUniform()),
            rule(XavierUniform(), module=recurrent, param="weight_ih*", layout=_WHOLE),
            rule(Orthogonal(), module=recurrent, param="weight_hh*", layout=_WHOLE),
            rule(forget, module=lstm, param="bias_ih*", layout=Layout(split=4)),
            rule(Zeros(), module=recurrent, param="bias_*"),
            *norms(),
        ),
        name="keras",
        source="keras.layers, default initializers of its layers",
    )
