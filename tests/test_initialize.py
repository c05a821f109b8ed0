"""Whole models: values by name, one pass from meta to memory, and nothing touched by a call that is refused."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fastinit
from fastinit import Key, Leave, Normal, Ones, Orthogonal, Rule, Uniform, XavierUniform, Zeros

RULES = [
    Rule(Uniform(-0.5, 0.5), module=nn.Embedding),
    Rule(Normal(std="0.02 / sqrt(2 * layers)"), name="*.out.weight", optional=True),
    Rule(Ones(), module="*Norm", param="weight", optional=True),
    Rule(Normal(std=0.02), param="weight", optional=True),
    Rule(Zeros(), param="bias", optional=True),
]


class Block(nn.Module):
    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.norm, self.up, self.out = nn.LayerNorm(width), nn.Linear(width, 32), nn.Linear(32, width)


class Tiny(nn.Module):
    """A language model in shape only: blocks, and an output head tied to the embedding."""

    def __init__(self, blocks: int = 3, *, tied: bool = True) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 16, padding_idx=3)
        self.h: Any = nn.ModuleList(Block() for _ in range(blocks))
        self.head = nn.Linear(16, 50, bias=False)
        if tied:
            self.head.weight = self.embed.weight


def on_meta(**arguments: Any) -> Tiny:
    with torch.device("meta"):
        return Tiny(**arguments)


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


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


def test_from_meta_the_values_are_those_of_a_model_in_memory() -> None:
    real, meta = Tiny(), on_meta()
    fastinit.initialize_(real, RULES, seed=3)
    report = fastinit.initialize_(meta, RULES, seed=3, device="cpu")
    assert_same(state(real), state(meta))
    assert report.materialised == report.filled == 19
    assert report.plan.entries[0].tensor is meta.embed.weight


def test_meta_without_a_device_goes_to_the_default_one() -> None:
    model = on_meta()
    fastinit.initialize_(model, RULES, seed=3)
    assert model.embed.weight.device.type == "cpu"
    model = on_meta()
    fastinit.initialize_(model, RULES, seed=3, device="meta")
    assert model.embed.weight.device.type == "meta"


def test_what_was_tied_on_meta_is_tied_in_memory_and_filled_once() -> None:
    model = on_meta()
    report = fastinit.initialize_(model, RULES, seed=3)
    assert model.head.weight is model.embed.weight
    first = report.plan.entries[0]
    assert (first.name, first.names) == ("embed.weight", ("embed.weight", "head.weight"))
    assert sum(entry.name == "embed.weight" for entry in report.plan.entries) == 1
    assert model.embed.weight.std().item() == pytest.approx(12**-0.5, rel=0.1)  # by the first name's rule


def test_attributes_strides_types_and_gradients_survive_the_way_from_meta() -> None:
    with torch.device("meta"):
        model: Any = nn.Sequential(nn.Conv2d(4, 8, 3, dtype=torch.bfloat16), nn.LSTM(3, 5))
    model[0].to(memory_format=torch.channels_last)
    model[0].bias.requires_grad_(False)
    model[0].weight.sequence_parallel = True
    fastinit.initialize_(model, [Rule(Normal(std=0.1))], seed=0)
    conv = model[0]
    assert conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert conv.weight.dtype == torch.bfloat16
    assert conv.weight.sequence_parallel
    assert conv.weight.requires_grad
    assert not conv.bias.requires_grad
    output, _ = model[1](torch.zeros(2, 3))  # its second list of weights is the new one
    assert output.device.type == "cpu"


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


def test_what_is_left_stays_as_it_is_even_on_meta() -> None:
    model = on_meta()
    rules = [Rule(Leave(), name="h.*"), *(rule for rule in RULES if rule is not RULES[1])]
    report = fastinit.initialize_(model, rules, seed=1)
    assert model.h[0].up.weight.device.type == "meta"
    assert model.embed.weight.device.type == "cpu"
    assert len(report.left) == 18


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


def test_memory_that_cannot_be_had_leaves_the_model_on_meta(monkeypatch: pytest.MonkeyPatch) -> None:
    model = on_meta()
    made = []
    empty_strided = torch.empty_strided

    def scarce(*arguments: Any, **named: Any) -> Tensor:
        made.append(arguments)
        if len(made) == 5:
            raise torch.OutOfMemoryError
        return empty_strided(*arguments, **named)

    monkeypatch.setattr(torch, "empty_strided", scarce)
    with pytest.raises(torch.OutOfMemoryError):
        fastinit.initialize_(model, RULES, seed=1)
    assert all(parameter.device.type == "meta" for parameter in model.parameters())


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


def test_running_statistics_come_from_meta_as_a_constructor_makes_them() -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.BatchNorm2d(4), nn.InstanceNorm1d(3, track_running_stats=True))

    with torch.device("meta"):
        model = make()
    fastinit.initialize_(model, [Rule(Ones(), optional=True)], seed=0)
    for (name, mine), (_, theirs) in zip(model.named_buffers(), make().named_buffers(), strict=True):
        assert torch.equal(mine, theirs), name


class Rotary(nn.Module):
    frequencies: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(4, 4)
        self.register_buffer("frequencies", 10000.0 ** -torch.linspace(0, 1, 4))


def test_buffers_on_meta_that_nothing_knows_are_refused_and_claimed_by_rules() -> None:
    with torch.device("meta"):
        model = Rotary()
    rules = [Rule(Normal(), param="weight"), Rule(Zeros(), param="bias")]
    with pytest.raises(ValueError, match="not known: frequencies; build the model under"):
        fastinit.initialize_(model, rules, seed=0)
    assert model.proj.weight.device.type == "meta"
    fastinit.initialize_(model, [*rules, Rule(Ones(), param="frequencies", buffers=True)], seed=0)
    assert model.frequencies.tolist() == [1.0] * 4


def test_meta_parameters_leaves_buffers_real_and_other_threads_alone() -> None:
    with fastinit.meta_parameters():
        model = Rotary()
        tied = nn.Linear(4, 4)
        tied.weight = model.proj.weight
    assert model.proj.weight.device.type == "meta"
    assert tied.weight is model.proj.weight
    assert torch.equal(model.frequencies, Rotary().frequencies)
    assert Rotary().proj.weight.device.type == "cpu"
    fastinit.initialize_(model, [Rule(Normal(), param="weight"), Rule(Zeros(), param="bias")], seed=0)
    assert model.proj.weight.device.type == "cpu"


def test_meta_parameters_keeps_ties_and_threads_apart() -> None:
    weight = nn.Parameter(torch.empty(3))
    with fastinit.meta_parameters():
        model = nn.Module()
        model.a, model.b = weight, weight
        with fastinit.meta_parameters():
            model.c = weight
    assert model.a is model.b is model.c
    assert model.a.device.type == "meta"
    original = nn.Module.register_parameter
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with fastinit.meta_parameters():
            entered.set()
            leave.wait(10)

    with fastinit.meta_parameters():
        thread = threading.Thread(target=other)
        thread.start()
        entered.wait(10)
    assert nn.Linear(2, 2).weight.device.type == "cpu"  # this thread has left
    leave.set()
    thread.join()
    assert nn.Module.register_parameter is original


def test_meta_parameters_is_undone_after_an_exception() -> None:
    original = nn.Module.register_parameter
    with pytest.raises(ZeroDivisionError), fastinit.meta_parameters():
        1 / 0  # noqa: B018
    assert nn.Module.register_parameter is original


def test_what_a_transformers_model_does_for_its_buffers_changes_nothing_else() -> None:
    transformers = pytest.importorskip("transformers")
    guarded = pytest.importorskip("transformers.initialization")

    class Config(transformers.PretrainedConfig):  # type: ignore[misc, name-defined]
        pass

    class Old(transformers.PreTrainedModel):  # type: ignore[misc, name-defined]
        config_class = Config

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.w, self.norm = nn.Parameter(torch.empty(50, 50)), nn.BatchNorm1d(4)
            self.left = nn.Parameter(torch.zeros(3))
            self.register_buffer("position", torch.arange(4.0))
            self.register_buffer("other", torch.arange(4.0))
            self.post_init()

        def _init_weights(self, module: nn.Module) -> None:
            super()._init_weights(module)
            if module is self:  # as code of before version 5 did: it asks nobody
                self.w.data.normal_(0, 50)
                guarded.copy_(self.position, torch.arange(4.0))
                guarded.copy_(self.other, torch.arange(4.0))

    with torch.device("meta"):
        model: Any = Old(Config())
    model.norm = nn.BatchNorm1d(4)  # loaded
    model.norm.running_mean.fill_(5.0)
    model.norm.num_batches_tracked.fill_(7)
    rules = [
        Rule(fastinit.Constant(9.0), name="other", buffers=True),
        Rule(Normal(std=0.01), name="w"),
        Rule(Ones()),
    ]
    fastinit.initialize_(model, rules, seed=0, device="cpu")
    assert model.position.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert model.other.tolist() == [9.0] * 4
    assert model.w.std().item() == pytest.approx(0.01, rel=0.1)
    assert model.norm.running_mean.tolist() == [5.0] * 4
    assert int(model.norm.num_batches_tracked) == 7


def test_buffers_of_transformers_models_are_as_constructed() -> None:
    transformers = pytest.importorskip("transformers")
    configurations = [
        transformers.LlamaConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, vocab_size=99
        ),
        transformers.BertConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, vocab_size=99
        ),
    ]
    for configuration in configurations:
        real = transformers.AutoModel.from_config(configuration)
        with torch.device("meta"):
            meta = transformers.AutoModel.from_config(configuration)
        assert any(buffer.device.type == "meta" for buffer in meta.buffers())
        report = fastinit.initialize_(meta, [Rule(Normal(std=0.02))], seed=0, device="cpu")
        buffers = dict(meta.named_buffers())
        assert buffers.keys() == dict(real.named_buffers()).keys()
        for name, buffer in real.named_buffers():
            assert torch.equal(buffer, buffers[name]), name
        again = copy.deepcopy(meta)
        report.plan.fill_(seed=0)  # nothing of the parameters was overwritten when the buffers were made
        assert_same(state(meta), state(again))
        assert not any(hasattr(parameter, "_is_hf_initialized") for parameter in meta.parameters())


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


def test_a_plan_of_a_model_on_meta_is_not_carried_out() -> None:
    plan = fastinit.plan(on_meta(), RULES)
    with pytest.raises(ValueError, match="on meta: fastinit"):
        plan.fill_(seed=1)
    assert fastinit.initialize_(on_meta(), RULES, device="meta").filled == 0


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


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_from_meta_the_peak_of_memory_is_the_parameters() -> None:
    script = """
import re, torch, fastinit
from pathlib import Path
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10
fastinit.normal_(torch.empty(1 << 16))  # what threads and libraries take once
with torch.device("meta"):
    model = torch.nn.Sequential(*(torch.nn.Linear(2048, 2048) for _ in range(16)))
before = peak()
report = fastinit.initialize_(model, fastinit.recipes.torch_default(), seed=0, device="cpu")
print((peak() - before) / report.bytes)
"""
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert 0.9 < float(done.stdout) < 1.05
