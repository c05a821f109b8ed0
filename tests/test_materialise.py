"""From meta to memory: parameters allocated and written once, buffers as a constructor makes them."""

from __future__ import annotations

import copy
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fastinit
from fastinit import Leave, Normal, Ones, Rule, Zeros
from tiny import RULES, Tiny, assert_same, on_meta, state


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


def test_what_is_left_stays_as_it_is_even_on_meta() -> None:
    model = on_meta()
    rules = [Rule(Leave(), name="h.*"), *(rule for rule in RULES if rule is not RULES[1])]
    report = fastinit.initialize_(model, rules, seed=1)
    assert model.h[0].up.weight.device.type == "meta"
    assert model.embed.weight.device.type == "cpu"
    assert len(report.left) == 18


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


def test_a_plan_of_a_model_on_meta_is_not_carried_out() -> None:
    plan = fastinit.plan(on_meta(), RULES)
    with pytest.raises(ValueError, match="on meta: fastinit"):
        plan.fill_(seed=1)
    assert fastinit.initialize_(on_meta(), RULES, device="meta").filled == 0


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
