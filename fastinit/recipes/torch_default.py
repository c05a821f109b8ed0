"""What torch's own modules do in their constructors, as rules."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from fastinit.models.elementary import Constant, Normal, Uniform
from fastinit.models.initializer import Initializer
from fastinit.models.initializers import Ones, XavierNormal, XavierUniform, Zeros
from fastinit.models.layouts import Layout
from fastinit.models.rules import Recipe, Rule

__all__ = ["torch_default"]

_NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
_AS_STORED = Layout()  # torch reads fans off the shape, (out, in, *kernel), whatever the layer is
_MATRICES = (nn.Linear, _ConvNd, nn.Bilinear, nn.Embedding, nn.EmbeddingBag, nn.MultiheadAttention)
_WEIGHTS = ("weight", "*_proj_weight", "bias_[kv]")
_BILINEAR = Layout(batch_axis=2)  # as if the second input were many layers: torch takes the first input's size


def _within(fan: str) -> Uniform:
    """Within 1 / sqrt(fan); a layer without inputs has a bias of 0."""
    bound = f"min({fan}, 1) / sqrt(max({fan}, 1))"
    return Uniform(f"-{bound}", bound)


def torch_default() -> Recipe:
    """What the constructors of torch.nn's modules write, in distribution.

    Linear, convolutions (transposed ones included, whose fan torch takes from dimension 1 of the weight), embeddings,
    norms, `nn.Bilinear`, `nn.PReLU`, recurrent layers and cells, `nn.MultiheadAttention`, `nn.Transformer`.

    Source: the ``reset_parameters`` methods of torch.nn.modules.

    Example:
        >>> import fastinit, torch
        >>> with torch.device("meta"):
        ...     model = torch.nn.Linear(100, 10)
        >>> _ = fastinit.initialize_(model, fastinit.recipes.torch_default(), seed=0, device="cpu")
        >>> bool(model.weight.abs().max() <= 0.1)
        True
    """

    def rule(init: Initializer, module: type | tuple[type, ...], param: str) -> Rule:
        return Rule(init, module=module, param=param, layout=_AS_STORED, optional=True)

    attention, recurrent, affine = nn.MultiheadAttention, (nn.RNNBase, nn.RNNCellBase), (nn.Linear, _ConvNd)
    return Recipe(
        (
            # Not what the modules in it do: at the end nn.Transformer goes over all of its matrices.
            Rule(
                XavierUniform(),
                within=nn.Transformer,
                module=_MATRICES,
                param=_WEIGHTS,
                layout=_AS_STORED,
                optional=True,
            ),
            rule(XavierUniform(), attention, "*_proj_weight"),
            rule(XavierNormal(), attention, "bias_[kv]"),
            rule(Zeros(), attention, "in_proj_bias"),
            Rule(Zeros(), within=attention, name="*out_proj.bias", optional=True),
            rule(_within("fan_in"), affine, "weight"),
            rule(_within("weight_fan_in"), affine, "bias"),
            Rule(_within("fan_in"), module=nn.Bilinear, param="weight", layout=_BILINEAR, optional=True),
            Rule(_within("weight_fan_in"), module=nn.Bilinear, param="bias", layout=_BILINEAR, optional=True),
            rule(Normal(), (nn.Embedding, nn.EmbeddingBag), "weight"),
            rule(Ones(), _NORMS, "weight"),
            rule(Zeros(), _NORMS, "bias"),
            rule(Constant("init"), nn.PReLU, "weight"),
            rule(_within("hidden_size"), recurrent, "*"),
        ),
        name="torch_default",
        source="torch.nn.modules, reset_parameters",
    )
