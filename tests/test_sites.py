"""What a rule can know of a parameter: its names, its depth, its fans."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import fastinit
from fastinit import Fans, Layout, Site
from fastinit.models.sites import sites


def site(model: nn.Module, name: str) -> Site:
    return next(s for s in sites(model) if s.name == name)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)


class Deep(nn.Module):
    """Two stacks, one of them nested, and parameters outside of both."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 4)
        self.encoder = nn.ModuleList(Block() for _ in range(3))
        self.decoder = nn.Sequential(*(Block() for _ in range(5)))
        self.stages = nn.ModuleList(nn.Sequential(Block(), Block()) for _ in range(2))
        self.mixed = nn.ModuleList([Block(), nn.Linear(4, 4)])


@pytest.mark.parametrize(
    ("name", "layer", "layers"),
    [
        ("embed.weight", None, 5),
        ("encoder.2.inner.weight", 2, 3),
        ("decoder.0.inner.bias", 0, 5),
        ("stages.1.0.inner.weight", 1, 2),
        ("mixed.0.inner.weight", None, 5),
    ],
)
def test_depth_is_the_place_in_the_outermost_stack(name: str, layer: int | None, layers: int) -> None:
    found = site(Deep(), name)
    assert (found.layer, found.layers) == (layer, layers)


def test_a_numbered_dict_keeps_the_numbers_of_the_whole_model_whose_length_it_does_not_know() -> None:
    stage = nn.Module()
    stage.h = nn.ModuleDict({"4": Block(), "5": Block()})
    found = site(stage, "h.5.inner.weight")
    assert (found.layer, found.layers) == (5, 0)
    with pytest.raises(ValueError, match="the depth of the model is not known"):
        found.variable("layers")


class Model(nn.Module):
    def __init__(self, layers: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 4)
        self.h = nn.ModuleList(Block() for _ in range(layers))


class Expert(Block):
    pass


class Routed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(4, 8)
        self.experts = nn.ModuleList(Expert() for _ in range(8))


@pytest.mark.parametrize(
    ("model", "name", "layer", "layers"),
    [
        (nn.Sequential(Model(3)), "0.h.2.inner.weight", 2, 3),
        (nn.ModuleList([Model(3)]), "0.h.2.inner.weight", 2, 3),
        (nn.ModuleList([Model(3), Model(3)]), "1.h.2.inner.weight", 2, 3),
        (nn.ModuleList([Block(), Routed(), Block()]), "1.experts.7.inner.weight", 1, 3),  # classes may alternate
        (nn.ModuleList([Block(), Routed(), Block()]), "2.inner.weight", 2, 3),
        (nn.ModuleList([Block()]), "0.inner.weight", 0, 1),
    ],
)
def test_wrappers_are_no_depth_and_blocks_may_differ(model: nn.Module, name: str, layer: int, layers: int) -> None:
    found = site(model, name)
    assert (found.layer, found.layers) == (layer, layers)


def test_a_part_under_a_prefix_does_not_know_the_depth() -> None:
    found = next(s for s in sites(Model(3), prefix="stage") if s.name == "stage.h.1.inner.weight")
    assert (found.layer, found.layers) == (None, 0)
    for name in ("layer", "layers"):
        with pytest.raises(ValueError, match="not known"):
            found.variable(name)
    known = next(s for s in sites(Model(3), "stage", {"layers": 24}) if s.name == "stage.h.1.inner.weight")
    assert known.variable("layers") == 24


def test_a_parametrised_weight_belongs_to_its_layer() -> None:
    conv = nn.utils.parametrizations.weight_norm(nn.Conv1d(16, 32, 9, groups=4))
    found = site(conv, "parametrizations.weight.original1")
    assert found.fans == Fans(36, 72)
    assert (type(found.module).__mro__[1], found.param) == (nn.Conv1d, "weight.original1")
    normed = nn.utils.parametrizations.spectral_norm(nn.ConvTranspose2d(16, 32, 3, groups=4))
    found = site(normed, "parametrizations.weight.original")
    assert found.fans == Fans(36, 72)
    assert found.param == "weight"
    rules = [fastinit.Rule(fastinit.XavierNormal(), module=nn.ConvTranspose2d, param="weight"), ZEROS]
    assert fastinit.initialize_(normed, rules, seed=0).filled == 2


ZEROS = fastinit.Rule(fastinit.Zeros(), param="bias")


@pytest.mark.parametrize(
    ("module", "param", "fans"),
    [
        (nn.Linear(3, 5), "weight", Fans(3, 5)),
        (nn.Conv2d(4, 8, 3), "weight", Fans(36, 72)),
        (nn.Conv2d(4, 8, 3, groups=2), "weight", Fans(18, 36)),
        (nn.ConvTranspose1d(4, 8, 5), "weight", Fans(20, 40)),
        (nn.ConvTranspose2d(4, 8, 3, groups=2), "weight", Fans(18, 36)),
        (nn.Bilinear(3, 5, 7), "weight", Fans(15, 7)),
        (nn.Embedding(10, 4), "weight", Fans(4, 10)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_fans_follow_from_the_kind_of_the_layer(module: nn.Module, param: str, fans: Fans) -> None:
    assert site(module, param).fans == fans


def test_fused_weights_have_parts_with_fans_of_their_own() -> None:
    attention = site(nn.MultiheadAttention(8, 2), "in_proj_weight").parts()
    assert [part.fans for part in attention] == [Fans(8, 8)] * 3
    gates = site(nn.LSTM(3, 5), "weight_ih_l0").parts()
    assert [part.fans for part in gates] == [Fans(3, 5)] * 4
    assert len(site(nn.GRUCell(3, 5), "weight_hh").parts()) == 3
    assert len(site(nn.RNN(3, 5), "weight_hh_l0").parts()) == 1
    assert len(site(nn.LSTM(3, 5, proj_size=2), "weight_hr_l0").parts()) == 1


def test_a_parameter_of_three_dimensions_stacks_experts() -> None:
    model = nn.Module()
    model.experts = nn.Parameter(torch.empty(8, 16, 32))
    found = site(model, "experts")
    assert found.fans == Fans(32, 16)
    assert found.batch_dims == 1


def test_what_transformers_calls_conv1d_stores_its_inputs_first() -> None:
    pytorch_utils = pytest.importorskip("transformers.pytorch_utils")
    assert site(pytorch_utils.Conv1D(6, 4), "weight").fans == Fans(4, 6)


def test_variables_come_from_constants_then_the_site_then_module_and_configuration() -> None:
    class Config:
        width, flag, fan_in = 64, True, 999

    model: Any = nn.Module()
    model.config = Config()
    model.block = nn.Linear(3, 5)
    found = site(model, "block.weight")
    values = {name: found.variable(name) for name in ("width", "fan_in", "in_features", "rows", "columns", "numel")}
    assert values == {"width": 64, "fan_in": 3, "in_features": 3, "rows": 5, "columns": 3, "numel": 15}
    assert site(model, "block.bias").variable("weight_fan_in") == 3
    for unknown in ("flag", "nothing", "training"):
        with pytest.raises(KeyError):
            found.variable(unknown)
    known = next(s for s in sites(model, known={"fan_in": 7.0}) if s.name == "block.weight")
    assert known.variable("fan_in") == 7.0


def test_names_without_meaning_say_so() -> None:
    found = site(nn.Linear(3, 5), "bias")
    with pytest.raises(ValueError, match="the depth of the model is not known"):
        found.variable("layers")
    with pytest.raises(ValueError, match="its place in a stack of layers is not known"):
        found.variable("layer")
    model = nn.Module()
    model.bias = nn.Parameter(torch.empty(3))
    with pytest.raises(ValueError, match="no weight beside it"):
        site(model, "bias").variable("weight_fan_in")


def test_tied_parameters_are_one_by_identity_and_by_memory() -> None:
    model = nn.Module()
    model.a, model.b, model.c = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)
    model.b.weight = model.a.weight
    model.c.weight = nn.Parameter(model.a.weight.data)
    found = [s.names for s in sites(model)]
    assert found == [("a.weight", "b.weight", "c.weight"), ("a.bias",), ("b.bias",), ("c.bias",)]


def test_views_of_one_memory_that_differ_are_not_tied() -> None:
    flat = torch.empty(12)
    model = nn.Module()
    model.a, model.b = nn.Parameter(flat[:6]), nn.Parameter(flat[:6].view(2, 3))
    model.none = nn.Parameter(torch.empty(0))
    model.empty = nn.Parameter(torch.empty(0))
    assert [s.names for s in sites(model)] == [("a",), ("b",), ("none",), ("empty",)]


def test_buffers_come_last_and_are_marked() -> None:
    found = [(s.name, s.is_buffer) for s in sites(nn.BatchNorm1d(3))]
    assert found[:3] == [("weight", False), ("bias", False), ("running_mean", True)]


def test_parents_are_the_modules_around() -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2)))
    assert site(model, "0.0.weight").parents == (model, model[0])
    assert site(nn.Linear(2, 2), "weight").parents == ()


def test_a_prefix_goes_before_every_name() -> None:
    names = [s.names for s in sites(nn.Linear(2, 2), prefix="h.4")]
    assert names == [("h.4.weight",), ("h.4.bias",)]


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (Layout(split=3), "do not split into 3"),
        (Layout(split=(3, 4)), "do not add up to 8"),
        (Layout(split=2, split_axis=2), "split_axis 2 is out of range"),
        (Layout(split=0), "do not split into 0"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused(layout: Layout, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fastinit.plan(nn.Linear(4, 8, bias=False), [fastinit.Rule(fastinit.XavierNormal(), layout=layout)])


def test_batch_axes_of_matrices_come_first() -> None:
    model = nn.Module()
    model.weight = nn.Parameter(torch.empty(4, 8, 3))
    rule = fastinit.Rule(fastinit.Orthogonal(), layout=Layout(batch_axis=2))
    with pytest.raises(ValueError, match="batch axes must be the leading ones"):
        fastinit.plan(model, [rule])
