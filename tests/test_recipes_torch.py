"""The recipe of torch's defaults against the constructors of torch.nn: every module that has parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
import torch
from torch import nn

import fastinit
from fastinit import recipes
from recorder import disagreements, recording

MODULES: dict[str, Callable[[], nn.Module]] = {
    "AdaptiveLogSoftmaxWithLoss": lambda: nn.AdaptiveLogSoftmaxWithLoss(16, 20, [5, 10]),
    "BatchNorm1d": lambda: nn.BatchNorm1d(4),
    "BatchNorm2d": lambda: nn.BatchNorm2d(4),
    "BatchNorm3d": lambda: nn.BatchNorm3d(4),
    "Bilinear": lambda: nn.Bilinear(3, 5, 4),
    "Conv1d": lambda: nn.Conv1d(6, 4, 3, groups=2),
    "Conv2d": lambda: nn.Conv2d(6, 4, (3, 2), groups=2),
    "Conv3d": lambda: nn.Conv3d(3, 4, 3),
    "ConvTranspose1d": lambda: nn.ConvTranspose1d(6, 4, 3),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(6, 4, (3, 2), groups=2),
    "ConvTranspose3d": lambda: nn.ConvTranspose3d(3, 4, 3),
    "Embedding": lambda: nn.Embedding(8, 4, padding_idx=1),
    "EmbeddingBag": lambda: nn.EmbeddingBag(8, 4),
    "GRU": lambda: nn.GRU(3, 4, num_layers=2, bidirectional=True),
    "GRUCell": lambda: nn.GRUCell(3, 4),
    "GroupNorm": lambda: nn.GroupNorm(2, 4),
    "InstanceNorm1d": lambda: nn.InstanceNorm1d(4, affine=True),
    "InstanceNorm2d": lambda: nn.InstanceNorm2d(4, affine=True),
    "InstanceNorm3d": lambda: nn.InstanceNorm3d(4, affine=True),
    "LSTM": lambda: nn.LSTM(3, 6, proj_size=2),
    "LSTMCell": lambda: nn.LSTMCell(3, 4),
    "LayerNorm": lambda: nn.LayerNorm((4, 2)),
    "Linear": lambda: nn.Linear(3, 4),
    "MultiheadAttention": lambda: nn.MultiheadAttention(8, 2, add_bias_kv=True),
    "PReLU": lambda: nn.PReLU(3, init=0.1),
    "RMSNorm": lambda: nn.RMSNorm(4),
    "RNN": lambda: nn.RNN(3, 4),
    "RNNBase": lambda: nn.RNNBase("RNN_TANH", 3, 4),
    "RNNCell": lambda: nn.RNNCell(3, 4),
    "RNNCellBase": lambda: nn.modules.rnn.RNNCellBase(3, 4, True, 2),
    "SyncBatchNorm": lambda: nn.SyncBatchNorm(4),
    "Transformer": lambda: nn.Transformer(8, 2, 2, 2, 16, batch_first=True),
    "TransformerDecoder": lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 2),
    "TransformerDecoderLayer": lambda: nn.TransformerDecoderLayer(8, 2, 16),
    "TransformerEncoder": lambda: nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 16), 2, enable_nested_tensor=False
    ),
    "TransformerEncoderLayer": lambda: nn.TransformerEncoderLayer(8, 2, 16),
}
VARIANTS: dict[str, Callable[[], nn.Module]] = {
    "Linear without a bias": lambda: nn.Linear(3, 4, bias=False),
    "Bilinear, first input larger": lambda: nn.Bilinear(7, 2, 4, bias=False),
    "MultiheadAttention, other sizes": lambda: nn.MultiheadAttention(8, 2, kdim=6, vdim=4),
    "MultiheadAttention without biases": lambda: nn.MultiheadAttention(8, 2, bias=False),
}
# Modules without parameters of their own need no rule; lazy ones have no shapes before they have seen data.
WITHOUT = {"Container", "Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"}


@pytest.mark.parametrize("name", [*MODULES, *VARIANTS])
def test_recipe_plans_what_the_constructor_writes(name: str) -> None:
    with recording() as recorder:
        model = (MODULES | VARIANTS)[name]()
    plan = fastinit.plan(model, recipes.torch_default())
    assert len({entry.site.name for entry in plan.entries}) == len(dict(model.named_parameters())) > 0
    assert disagreements(plan, recorder) == []


def test_no_module_of_torch_is_left_out() -> None:
    source = {
        name
        for name in nn.modules.__all__
        if "Parameter(" in _source(getattr(nn, name)) and not name.startswith("Lazy")
    }
    assert source - WITHOUT <= set(MODULES)
    assert {"Linear", "GroupNorm", "PReLU"} <= source


def _source(kind: type) -> str:
    """The code of a class and of those it is made of, torch's own."""
    return "".join(inspect.getsource(base) for base in kind.__mro__ if base not in (nn.Module, object))


def test_padding_row_is_zero() -> None:
    model = nn.Embedding(8, 4, padding_idx=1)
    fastinit.initialize_(model, recipes.torch_default(), seed=0)
    assert not model.weight[1].any()
    assert model.weight[0].any()


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_layers_without_inputs_have_no_bias() -> None:
    model = nn.Linear(0, 3)
    before = model.bias.detach().clone()
    report = fastinit.initialize_(model, recipes.torch_default(), seed=0)
    assert report.plan.entries[1].fill == fastinit.Uniform(0.0, 0.0)
    assert torch.equal(model.bias, before)


def test_modules_of_other_kinds_are_not_claimed() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

    with pytest.raises(ValueError, match="match no rule"):
        fastinit.plan(Scale(), recipes.torch_default())
