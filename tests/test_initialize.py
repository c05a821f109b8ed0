"""Whole models: values by name, and nothing touched by a call that is refused."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fastinit
from fastinit import Key, Normal, Ones, Orthogonal, Rule, Uniform, XavierUniform, Zeros
from tiny import RULES, Block, Tiny, assert_same, on_meta, state


def test_each_value_is_that_of_the_function_under_the_key_of_the_name() -> None:
    model = Tiny()
    fastinit.initialize_(model, RULES, seed=7)
    key = Key(7)
    up = fastinit.normal_(torch.empty(32, 16), std=0.02, generator=key.fold_in("h.1.up.weight"))
    assert torch.equal(model.h[1].up.weight, up)
    out = fastinit.normal_(torch.empty(16, 32), std=0.02 / 6**0.5, generator=key.fold_in("h.2.out.weight"))
    assert torch.equal(model.h[2].out.weight, out)
    assert torch.equal(model.h[0].norm.weight, torch.ones(16))
    assert torch.equal(model.h[0].up.bias, torch.zeros(32))


def test_values_do_not_depend_on_other_layers_on_order_or_on_what_was_drawn() -> None:
    small, large = Tiny(2, tied=False), Tiny(5, tied=False)
    large.extra = nn.Linear(4, 4)
    large._modules = dict(reversed(large._modules.items()))
    rules = [Rule(Orthogonal(), name="*.up.weight"), *RULES[2:]]
    fastinit.initialize_(small, rules, seed=1)
    torch.rand(3)
    fastinit.initialize_(large, rules, seed=1)
    mine, theirs = state(small), state(large)
    assert_same(mine, {name: theirs[name] for name in mine})


def test_a_stage_of_a_pipeline_fills_its_part_of_the_whole() -> None:
    whole = Tiny(4)
    fastinit.initialize_(whole, RULES, seed=1)
    stage = Block()
    rules = fastinit.Recipe(tuple(RULES[1:]), constants={"layers": 4})
    fastinit.initialize_(stage, rules, seed=1, prefix="h.2")
    assert_same(state(stage), state(whole.h[2]))


def test_a_rule_by_depth_asks_for_the_depth_where_a_prefix_hides_it() -> None:
    with pytest.raises(ValueError, match=r"h\.2\.out\.weight: .*pass constants=\{'layers'"):
        fastinit.initialize_(Block(), RULES[1:], seed=1, prefix="h.2")


def test_the_padding_row_of_an_embedding_is_zero_and_the_rest_as_without() -> None:
    model = Tiny()
    fastinit.initialize_(model, RULES, seed=3)
    expected = fastinit.uniform_(torch.empty(50, 16), -0.5, 0.5, generator=Key(3).fold_in("embed.weight"))
    expected[3] = 0
    assert torch.equal(model.embed.weight, expected)


def test_without_a_seed_the_generator_is_drawn_from_in_the_plans_order() -> None:
    a, b = Tiny(tied=False), Tiny(tied=False)
    rules = [Rule(Orthogonal(), name="*.1.up.weight"), *RULES]
    torch.manual_seed(5)
    report = fastinit.initialize_(a, rules)
    torch.manual_seed(5)
    for entry in report.plan.entries:
        parameter = b.get_parameter(entry.name)
        if isinstance(entry.fill, Normal):
            fastinit.normal_(parameter, std=entry.fill.std)  # type: ignore[arg-type]
        elif isinstance(entry.fill, Uniform):
            fastinit.uniform_(parameter, -0.5, 0.5)
        elif isinstance(entry.fill, fastinit.Constant):
            fastinit.constant_(parameter, entry.fill.val)  # type: ignore[arg-type]
        else:
            fastinit.orthogonal_(parameter)
    with torch.no_grad():
        b.embed.weight[3] = 0
    assert_same(state(a), state(b))
    drawn = torch.default_generator.get_state()
    generator = torch.Generator().manual_seed(5)
    c = Tiny(tied=False)
    fastinit.initialize_(c, rules, generator=generator)
    assert_same(state(a), state(c))
    assert torch.equal(generator.get_state(), drawn)


def test_a_seed_reads_no_generator() -> None:
    model = Tiny()
    before = torch.default_generator.get_state()
    fastinit.initialize_(model, [Rule(Orthogonal(), name="*.up.weight"), *RULES], seed=1)
    assert torch.equal(before, torch.default_generator.get_state())


def test_seed_and_generator_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        fastinit.initialize_(Tiny(), RULES, seed=1, generator=torch.Generator())
    with pytest.raises(ValueError, match="exclude each other"):
        fastinit.plan(Tiny(), RULES).fill_(seed=1, generator=torch.Generator())


def test_parts_by_law_are_slices_of_the_whole_and_matrices_have_streams_of_their_own() -> None:
    model = nn.MultiheadAttention(8, 2, bias=False)
    layout = fastinit.Layout(split=(8, 16))
    rules = [Rule(Normal(std="fan_out"), name="in_proj_weight", layout=layout), Rule(Zeros())]
    report = fastinit.initialize_(model, rules, seed=1)
    whole = fastinit.normal_(torch.empty(24, 8), generator=Key(1).fold_in("in_proj_weight"))
    assert torch.equal(model.in_proj_weight, whole * torch.tensor([8.0] * 8 + [16.0] * 16)[:, None])
    assert [entry.name for entry in report.plan.entries][:2] == ["in_proj_weight[0:8]", "in_proj_weight[8:24]"]
    fastinit.initialize_(model, [Rule(Orthogonal(), name="in_proj_weight"), Rule(Zeros())], seed=1)
    parts = model.in_proj_weight.view(3, 8, 8)
    torch.testing.assert_close(parts @ parts.mT, torch.eye(8).expand(3, 8, 8), atol=1e-5, rtol=0)
    key = Key(1).fold_in("in_proj_weight")
    assert torch.equal(parts[2], fastinit.orthogonal_(torch.empty(8, 8), generator=key.fold_in(2)))


def test_a_split_along_the_second_axis_is_a_slice_too() -> None:
    model = nn.Linear(12, 4, bias=False)
    layout = fastinit.Layout(split=(4, 8), split_axis=1)
    report = fastinit.initialize_(model, [Rule(XavierUniform(), layout=layout)], seed=1)
    assert report.plan.entries[1].name == "weight[:, 4:12]"
    unit = fastinit.uniform_(torch.empty(4, 12), -1.0, 1.0, generator=Key(1).fold_in("weight"))
    bounds = torch.tensor([(6 / 8) ** 0.5] * 4 + [(6 / 12) ** 0.5] * 8)
    torch.testing.assert_close(model.weight.detach(), unit * bounds, rtol=1e-6, atol=1e-7)


def test_parts_that_are_filled_alike_are_one_entry() -> None:
    plan = fastinit.plan(nn.LSTM(3, 5), [Rule(Uniform(-0.1, 0.1))])
    assert [entry.name for entry in plan.entries] == ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]


def test_loaded_parameters_are_skipped_by_mark_or_by_predicate() -> None:
    model = Tiny()
    loaded = torch.full((32, 16), 7.0)
    model.h[0].up.weight = nn.Parameter(loaded.clone())
    model.h[0].up.weight._is_hf_initialized = True
    report = fastinit.initialize_(model, RULES, seed=1)
    assert torch.equal(model.h[0].up.weight, loaded)
    assert report.left == ("h.0.up.weight",)
    fastinit.initialize_(model, RULES, seed=1, skip=lambda site: site.name.startswith("h.1"))
    assert not torch.equal(model.h[0].up.weight, loaded)
    with torch.no_grad():
        model.h[1].up.weight.fill_(7.0)
    fastinit.initialize_(model, RULES, seed=2, skip=lambda site: site.name.startswith("h.1"))
    assert torch.equal(model.h[1].up.weight, loaded)
    model.h[1].up.weight._is_hf_initialized = True
    fastinit.initialize_(model, RULES, seed=2, skip=False)
    assert not torch.equal(model.h[1].up.weight, loaded)


@pytest.mark.parametrize("where", ["memory", "meta"])
@pytest.mark.parametrize(
    ("rule", "error"),
    [
        (Rule(Orthogonal(), name="*.bias"), ValueError),
        (Rule(fastinit.Eye(), name="*.norm.weight"), ValueError),
        (Rule(fastinit.Dirac(), name="head.weight"), ValueError),
        (Rule(Normal(std=-1.0), name="*.out.weight"), RuntimeError),
        (Rule(Normal(std="1 / nothing"), name="*.out.weight"), ValueError),
        (Rule(fastinit.SpecialOrthogonal(), name="h.2.out.weight"), ValueError),
        (Rule(fastinit.Sparse(-1.0), name="h.2.out.weight"), ValueError),
        (Rule(XavierUniform(), param="bias"), ValueError),
        (Rule(fastinit.Constant(1e300), name="h.2.out.bias"), RuntimeError),
    ],
    ids=lambda value: getattr(value, "__name__", None) or repr(value.init),
)
def test_a_refused_call_leaves_model_and_generator_as_they_were(rule: Rule, error: type[Exception], where: str) -> None:
    model = on_meta(tied=False) if where == "meta" else Tiny(tied=False)
    before = {name: (id(p), p._version, p.device) for name, p in model.named_parameters()}
    values = state(model)
    generator = torch.default_generator.get_state()
    with pytest.raises(error):
        fastinit.initialize_(model, [rule, *RULES], device="cpu")
    assert {name: (id(p), p._version, p.device) for name, p in model.named_parameters()} == before
    if where == "memory":
        assert_same(values, state(model))
    assert torch.equal(generator, torch.default_generator.get_state())


@pytest.mark.parametrize("where", ["memory", "meta"])
def test_a_type_that_cannot_be_random_is_refused_before_anything_is_filled(where: str) -> None:
    model = on_meta() if where == "meta" else Tiny()
    device = "meta" if where == "meta" else "cpu"
    model.steps = nn.Parameter(torch.full((3,), 7, device=device), requires_grad=False)
    before = model.h[0].up.weight
    version = before._version
    with pytest.raises(NotImplementedError):
        fastinit.initialize_(model, [*RULES, Rule(Normal(), name="steps")], seed=1)
    assert model.h[0].up.weight is before
    assert before._version == version


@pytest.mark.parametrize("arguments", [{"seed": 1}, {"seed": 1, "progress": True}, {}], ids=str)
def test_a_function_of_ones_own_runs_last(arguments: dict[str, Any]) -> None:
    model = Tiny()
    with torch.no_grad():
        model.head.weight.fill_(7.0)
    seen: list[float] = []

    def mine(tensor: Tensor, generator: Any) -> None:
        seen.append(model.h[2].out.weight.abs().max().item())
        fastinit.ones_(tensor)

    with torch.no_grad():
        model.h[2].out.weight.fill_(7.0)
    fastinit.initialize_(model, [Rule(fastinit.Custom(mine), name="embed.weight"), *RULES[1:]], **arguments)
    assert seen[0] < 1.0


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a function"):
        fastinit.Custom("os.system")  # type: ignore[arg-type]


def test_a_function_of_ones_own_runs_after_all_that_can_be_judged() -> None:
    model = Tiny()
    seen: list[object] = []

    def mine(tensor: Tensor, generator: Any) -> None:
        seen.append((generator, model.h[2].up.weight.std().item()))
        fastinit.ones_(tensor)

    fastinit.initialize_(model, [Rule(fastinit.Custom(mine), name="h.0.up.weight"), *RULES], seed=1)
    assert seen == [(Key(1).fold_in("h.0.up.weight"), pytest.approx(0.02, rel=0.2))]
    assert torch.equal(model.h[0].up.weight, torch.ones(32, 16))


def test_a_tensor_whose_elements_share_memory_is_refused_before_others_are_filled() -> None:
    model = Tiny()
    model.shared = nn.Parameter(torch.zeros(1).expand(4))
    versions = [p._version for p in model.parameters()]
    with pytest.raises(RuntimeError, match="shared: more than one element"):
        fastinit.initialize_(model, [*RULES, Rule(Zeros())], seed=1)
    assert [p._version for p in model.parameters()] == versions


class Strange(Tensor):
    pass


def test_what_fastinit_does_not_fill_is_refused_by_name() -> None:
    model = Tiny()
    model.odd = nn.Parameter(torch.zeros(3).as_subclass(Strange))
    with pytest.raises(TypeError, match="odd: fastinit does not fill a Strange"):
        fastinit.initialize_(model, [*RULES, Rule(Zeros())], seed=1)
    lazy = nn.Sequential(nn.Linear(2, 2), nn.LazyLinear(3))
    with pytest.raises(TypeError, match=r"1\.weight: fastinit does not fill a UninitializedParameter"):
        fastinit.initialize_(lazy, [Rule(Zeros())], seed=1)


def test_a_plan_can_be_carried_out_again_and_again() -> None:
    model = Tiny()
    rules = [Rule(Orthogonal(), name="*.up.weight"), *RULES]
    plan = fastinit.plan(model, rules, seed=1)
    plan.fill_()
    first = state(model)
    plan.fill_(seed=2)
    second = state(model)
    assert not torch.equal(first["h.0.out.weight"], second["h.0.out.weight"])
    plan.fill_(seed=1)
    assert_same(state(model), first)
    fastinit.initialize_(model, rules, seed=2)
    assert_same(state(model), second)


@pytest.mark.parametrize("arguments", [{"generator": "abc"}, {"generator": Key(1)}, {"progress": True}], ids=str)
def test_arguments_are_judged_before_memory_is_allocated(
    arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    model = on_meta()
    with pytest.raises((TypeError, ImportError), match=r"pass a fastinit.Key as seed=|but got str|tqdm"):
        fastinit.initialize_(model, RULES, device="cpu", **arguments)
    assert all(parameter.device.type == "meta" for parameter in model.parameters())


def test_a_padding_row_is_zero_whichever_name_comes_first() -> None:
    model = nn.Module()
    model.head, model.embed = nn.Linear(4, 6, bias=False), nn.Embedding(6, 4, padding_idx=-1)
    model.head.weight = model.embed.weight
    fastinit.initialize_(model, [Rule(Ones(), name="nothing", optional=True), Rule(Normal())], seed=0)
    assert not model.embed.weight[5].any()
    assert model.embed.weight[4].all()


def test_a_plan_writes_nothing() -> None:
    model = Tiny()
    before = {name: p._version for name, p in model.named_parameters()}
    fastinit.plan(model, RULES, seed=1)
    assert {name: p._version for name, p in model.named_parameters()} == before


def test_progress_changes_no_value(capsys: pytest.CaptureFixture[str]) -> None:
    a, b = Tiny(), Tiny()
    fastinit.initialize_(a, RULES, seed=1)
    fastinit.initialize_(b, RULES, seed=1, progress=True)
    assert_same(state(a), state(b))
    assert "100%" in capsys.readouterr().err
    torch.manual_seed(1)
    fastinit.initialize_(a, RULES)
    torch.manual_seed(1)
    fastinit.initialize_(b, RULES, progress=True)
    assert_same(state(a), state(b))


def test_a_report_says_what_was_done_and_goes_to_json() -> None:
    report = fastinit.initialize_(on_meta(), RULES, seed=1)
    assert "filled 19 parameters (4,112 elements" in str(report)
    assert "19 of them from meta" in str(report)
    data = json.loads(json.dumps(report.to_dict()))
    assert data["plan"]["entries"][0]["key"] == f"{Key(1).fold_in('embed.weight').seed:016x}"
    assert data["elements"] == sum(p.numel() for p in Tiny().parameters())


def test_a_plan_prints_a_line_for_each_parameter() -> None:
    lines = str(fastinit.plan(Tiny(), RULES, seed=1)).splitlines()
    assert lines[0].split() == ["parameter", "shape", "dtype", "rule", "distribution", "std", "key"]
    assert len(lines) == 20
    assert lines[1].startswith("embed.weight=head.weight  50x16")
    assert repr(fastinit.plan(Tiny(), RULES)) == "Plan(Recipe(5 rules), 19 entries)"
