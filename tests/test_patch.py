"""fastinit.patch: what it reaches, what that then does, where it is on, and that nothing is left of it afterwards."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import functools
import importlib.machinery
import inspect
import json
import math
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import scipy.stats
import torch
from torch import Tensor, nn
from torch.nn.init import normal_ as normal_by_name

import fastinit
from torchs import CALLS, Call, initial_state

by_default: Any = functools.partial(nn.init.normal_, std=2.0)
table = {"normal_": nn.init.normal_}


def with_default(tensor: Tensor, init: Callable[[Tensor], Tensor] = nn.init.normal_) -> Tensor:
    return init(tensor)


@pytest.fixture(autouse=True)
def undone() -> Iterator[None]:
    """Every test leaves torch as it found it."""
    before = initial_state()
    path = list(sys.meta_path)
    yield
    assert not fastinit.patch.installed
    after = initial_state()
    assert after.keys() == before.keys()
    assert all(after[name] is value for name, value in before.items())
    assert sys.meta_path == path


# What it reaches


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_every_function_of_torch_fills_what_fastinits_does_under_the_same_seed(call: Call) -> None:
    torch.manual_seed(11)
    expected = call.fastinits()
    state = torch.get_rng_state()
    torch.manual_seed(11)
    tensor = torch.empty(call.shape)
    with fastinit.patch() as counts:
        assert call.torchs(tensor) is tensor
    assert torch.equal(tensor, expected)
    assert torch.equal(torch.get_rng_state(), state)
    assert counts.to_dict() == {
        "accelerated": {call.name: {"calls": 1, "elements": call.elements}},
        "left_to_torch": {},
    }


def test_there_is_no_function_of_torch_that_the_table_lacks() -> None:
    fills = {name for name in nn.init.__all__ if name.endswith("_")}
    assert fills == {call.name for call in CALLS}


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_arguments_by_position(call: Call) -> None:
    torch.manual_seed(1)
    expected = call.fastinits()
    function = getattr(nn.init, call.name)
    names = function.__code__.co_varnames[1 : function.__code__.co_argcount]
    defaults = dict(zip(reversed(names), reversed(function.__defaults__ or ()), strict=False))
    torch.manual_seed(1)
    with fastinit.patch():
        filled = function(torch.empty(call.shape), *({**defaults, **call.arguments}[name] for name in names))
    assert torch.equal(filled, expected)


@pytest.mark.parametrize("call", [call for call in CALLS if call.name.removesuffix("_") in nn.init.__all__], ids=str)
def test_deprecated_names_warn_at_the_callers_line_and_are_accelerated(call: Call) -> None:
    old = getattr(nn.init, call.name.removesuffix("_"))
    with fastinit.patch() as counts, pytest.warns(FutureWarning, match="deprecated") as caught:
        old(torch.empty(call.shape), **call.arguments)
    assert caught[0].filename == __file__
    assert counts.to_dict()["accelerated"] == {call.name: {"calls": 1, "elements": call.elements}}


@pytest.mark.parametrize(
    "function",
    [normal_by_name, by_default, table["normal_"], with_default, pickle.loads(pickle.dumps(nn.init.normal_))],
    ids=["by name", "partial", "dictionary", "default argument", "pickle"],
)
def test_a_function_is_reached_whoever_holds_it(function: Callable[[Tensor], Tensor]) -> None:
    with fastinit.patch() as counts:
        function(torch.empty(3))
    assert counts.to_dict()["accelerated"] == {"normal_": {"calls": 1, "elements": 3}}


def test_modules_of_torch_are_built_without_torchs_generator() -> None:
    with fastinit.patch() as counts:
        nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
        nn.LSTM(4, 5)
        nn.Conv2d(4, 8, 3)
        nn.Embedding(5, 6)
        nn.Bilinear(3, 4, 5)
        nn.BatchNorm2d(4)
        nn.MultiheadAttention(8, 2, kdim=4, vdim=4, add_bias_kv=True)
    assert counts.left == 0
    assert {"xavier_uniform_", "xavier_normal_", "constant_"} <= counts.to_dict()["accelerated"].keys()


@pytest.mark.parametrize(
    ("method", "call", "twin"),
    [
        ("normal_", lambda t: t.normal_(), ("normal_", 0.0, 1.0)),
        ("normal_", lambda t: t.normal_(2, 3), ("normal_", 2.0, 3.0)),
        ("normal_", lambda t: t.normal_(2.0, std=0.5), ("normal_", 2.0, 0.5)),
        ("normal_", lambda t: t.normal_(std=0.02), ("normal_", 0.0, 0.02)),
        ("uniform_", lambda t: t.uniform_(), ("uniform_", 0.0, 1.0)),
        ("uniform_", lambda t: t.uniform_(-1, 1), ("uniform_", -1.0, 1.0)),
        ("uniform_", lambda t: t.uniform_(to=3.0), ("uniform_", 0.0, 3.0)),
        ("uniform_", lambda t: t.uniform_(**{"from": -2.0, "to": -1.0}), ("uniform_", -2.0, -1.0)),
        ("normal_", lambda t: nn.Parameter(t).data.normal_(), ("normal_", 0.0, 1.0)),
    ],
)
def test_methods_of_tensors(method: str, call: Callable[[Tensor], Tensor], twin: tuple[Any, ...]) -> None:
    torch.manual_seed(5)
    name, *parameters = twin
    expected = getattr(fastinit, name)(torch.empty(7), *parameters)
    torch.manual_seed(5)
    tensor = torch.empty(7)
    with fastinit.patch() as counts:
        result = call(tensor)
    assert result.data_ptr() == tensor.data_ptr()
    assert torch.equal(tensor, expected)
    assert counts.to_dict()["accelerated"] == {f"Tensor.{method}": {"calls": 1, "elements": 7}}


def test_a_fill_counts_as_a_write_and_leaves_no_history() -> None:
    parameter = nn.Parameter(torch.empty(3))
    with fastinit.patch(), torch.no_grad():
        before = parameter._version
        nn.init.normal_(parameter)
        parameter.uniform_()
    assert parameter._version == before + 2
    assert parameter.is_leaf


def test_a_generator_of_ones_own() -> None:
    expected = fastinit.normal_(torch.empty(9), generator=torch.Generator().manual_seed(3))
    state = torch.get_rng_state()
    with fastinit.patch():
        function = nn.init.normal_(torch.empty(9), generator=torch.Generator().manual_seed(3))
        method = torch.empty(9).normal_(generator=torch.Generator().manual_seed(3))
    assert torch.equal(function, expected)
    assert torch.equal(method, expected)
    assert torch.equal(torch.get_rng_state(), state)


def test_draws_come_in_the_programs_order() -> None:
    torch.manual_seed(8)
    with fastinit.patch():
        layer = nn.Linear(6, 4)
        noise = torch.empty(5).normal_()
        torch.rand(3)  # torch's own, from the same generator
        last = nn.init.trunc_normal_(torch.empty(5))
    torch.manual_seed(8)
    weight = fastinit.kaiming_uniform_(torch.empty(4, 6), a=math.sqrt(5))
    bias = fastinit.uniform_(torch.empty(4), -1 / math.sqrt(6), 1 / math.sqrt(6))
    assert torch.equal(layer.weight, weight)
    assert torch.equal(layer.bias, bias)
    assert torch.equal(noise, fastinit.normal_(torch.empty(5)))
    torch.rand(3)
    assert torch.equal(last, fastinit.trunc_normal_(torch.empty(5)))


@pytest.mark.parametrize("name", ["uniform_", "normal_", "xavier_uniform_", "kaiming_normal_", "trunc_normal_"])
def test_distributions_are_torchs(name: str) -> None:
    """Two samples of 100,000 by Kolmogorov and Smirnov; a scale that is off by 4 % is caught."""
    shape = (100, 1000)
    torch.manual_seed(20)
    theirs = getattr(nn.init, name)(torch.empty(shape)).flatten()
    with fastinit.patch():
        ours = getattr(nn.init, name)(torch.empty(shape)).flatten()
    assert scipy.stats.ks_2samp(ours, theirs).pvalue > 1e-3
    assert scipy.stats.ks_2samp(1.04 * ours, theirs).pvalue < 1e-3


# timm

TIMM = """
import torch
def trunc_normal_(tensor, mean=0., std=1., a=-2., b=2.):
    return tensor.fill_(9.)
def trunc_normal_tf_(tensor, mean=0., std=1., a=-2., b=2.):
    return tensor.fill_(9.)
def variance_scaling_(tensor, scale=1.0, mode="fan_in", distribution="normal"):
    if mode not in ("fan_in", "fan_out", "fan_avg"):
        raise UnboundLocalError("denom")
    tensor.fill_(9.)
def lecun_normal_(tensor):
    variance_scaling_(tensor, mode="fan_in", distribution="truncated_normal")
"""
HELPERS = [
    ("trunc_normal_", {"std": 0.5, "a": -1.0}, lambda t: fastinit.trunc_normal_(t, std=0.5, a=-1.0)),
    ("trunc_normal_tf_", {"mean": 1.0, "std": 0.5}, lambda t: fastinit.trunc_normal_tf_(t, 1.0, 0.5)),
    ("variance_scaling_", {"scale": 2.0}, lambda t: fastinit.variance_scaling_(t, 2.0, "fan_in", "normal")),
    ("lecun_normal_", {}, fastinit.lecun_normal_),
]


@pytest.fixture
def timm_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package with timm's names, whose helpers show when they themselves are called."""
    layers = tmp_path / "timm" / "layers"
    layers.mkdir(parents=True)
    (tmp_path / "timm" / "__init__.py").touch()
    (layers / "__init__.py").write_text("from .weight_init import *\n")
    (layers / "weight_init.py").write_text(TIMM)
    monkeypatch.syspath_prepend(tmp_path)
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "timm"}
    for name in fastinit.patching.routes.ROUTES:
        if name.startswith("timm."):
            monkeypatch.setattr(fastinit.patching.routes.ROUTES[name], "function", None)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "timm"]:
        del sys.modules[name]
    sys.modules.update(hidden)


@pytest.mark.usefixtures("timm_on_the_path")
@pytest.mark.parametrize("meanwhile", [False, True])
@pytest.mark.parametrize(("name", "arguments", "twin"), HELPERS)
def test_timms_helpers(name: str, arguments: dict[str, Any], twin: Callable[[Tensor], Tensor], meanwhile: bool) -> None:
    if not meanwhile:
        importlib.import_module("timm.layers")
    tensor = torch.empty(8, 6)
    torch.manual_seed(2)
    with fastinit.patch() as counts:
        module = importlib.import_module("timm.layers.weight_init")
        helper = getattr(module, name)
        result = helper(tensor, **arguments)
    torch.manual_seed(2)
    assert torch.equal(tensor, twin(torch.empty(8, 6)))
    assert result is (None if name in ("variance_scaling_", "lecun_normal_") else tensor)
    assert counts.to_dict()["accelerated"] == {f"timm.{name}": {"calls": 1, "elements": 48}}
    helper(tensor, **arguments)
    assert (tensor == 9.0).all()
    assert module.__spec__ is not None
    assert type(module.__loader__) is importlib.machinery.SourceFileLoader
    assert module.__spec__.loader is module.__loader__


@pytest.mark.usefixtures("timm_on_the_path")
def test_what_timm_would_not_do_is_timms_to_refuse() -> None:
    module = importlib.import_module("timm.layers.weight_init")
    with fastinit.patch() as counts, pytest.raises(UnboundLocalError):
        module.variance_scaling_(torch.empty(3, 3), mode="fan_geo_avg")
    assert counts.to_dict()["left_to_torch"] == {"timm.variance_scaling_": {"arguments": 1}}


# Where it is on


def accelerated() -> bool:
    """Whether a fill made here and now is fastinit's."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        filled = nn.init.normal_(torch.empty(4))
        torch.manual_seed(1)
        return torch.equal(filled, fastinit.normal_(torch.empty(4)))


def in_a_thread(function: Callable[[], bool]) -> bool:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def test_a_scope_is_for_its_own_thread() -> None:
    with fastinit.patch() as counts:
        assert accelerated()
        assert not in_a_thread(accelerated)
    assert not accelerated()
    assert counts.calls == 1


def test_a_scope_goes_with_the_context() -> None:
    with fastinit.patch():
        context = contextvars.copy_context()
        assert in_a_thread(lambda: context.run(accelerated))
    assert not context.run(accelerated)


def test_a_task_has_scopes_of_its_own() -> None:
    async def outside(entered: asyncio.Event, seen: asyncio.Event) -> bool:
        await entered.wait()
        found = accelerated()
        seen.set()
        return found

    async def inside(entered: asyncio.Event, seen: asyncio.Event) -> bool:
        with fastinit.patch():
            entered.set()
            await seen.wait()
            return accelerated()

    async def both() -> list[bool]:
        events = asyncio.Event(), asyncio.Event()
        return list(await asyncio.gather(outside(*events), inside(*events)))

    assert asyncio.run(both()) == [False, True]


def test_install_is_for_all_threads_and_uninstall_undoes_it() -> None:
    counts = fastinit.patch.install()
    try:
        assert fastinit.patch.installed
        assert fastinit.patch.install() is counts
        assert accelerated()
        assert in_a_thread(accelerated)
    finally:
        assert fastinit.patch.uninstall() is counts
    assert not accelerated()
    assert counts.calls == 2
    assert fastinit.patch.uninstall() is None


def test_scopes_nest_and_the_outer_ones_count_too() -> None:
    everywhere = fastinit.patch.install()
    try:
        with fastinit.patch() as outer:
            nn.init.ones_(torch.empty(2))
            with fastinit.patch() as inner:
                nn.init.ones_(torch.empty(3))
            assert accelerated()
    finally:
        fastinit.patch.uninstall()
    assert (inner.elements, outer.elements, everywhere.elements) == (3, 9, 9)


def test_a_scope_outlives_an_uninstall_and_the_other_way_round() -> None:
    with fastinit.patch():
        fastinit.patch.install()
        fastinit.patch.uninstall()
        assert accelerated()
        fastinit.patch.install()
    assert accelerated()
    fastinit.patch.uninstall()


def test_one_scope_may_be_entered_twice() -> None:
    scope = fastinit.patch()
    with scope as outer, scope as inner:
        nn.init.ones_(torch.empty(2))
    with scope:
        assert accelerated()
    assert (inner.calls, outer.calls) == (1, 1)


def test_an_exception_ends_a_scope() -> None:
    before = initial_state()
    with pytest.raises(ZeroDivisionError), fastinit.patch():
        raise ZeroDivisionError
    assert all(value is before[name] for name, value in initial_state().items())
    assert not accelerated()


def test_a_decorator() -> None:
    @fastinit.patch()
    def build() -> bool:
        return accelerated()

    assert build()
    assert build()
    assert not accelerated()


def test_threads_that_enter_and_leave_at_once() -> None:
    start = threading.Barrier(4)

    def work(_: int) -> bool:
        start.wait()
        for _ in range(50):
            with fastinit.patch() as counts:
                nn.init.ones_(torch.empty(2))
                torch.empty(2).normal_()
            if counts.calls != 2:
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


def test_an_installed_tally_loses_no_call_of_any_thread() -> None:
    counts = fastinit.patch.install()
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: nn.init.ones_(torch.empty(3)), range(400)))
    finally:
        fastinit.patch.uninstall()
    assert counts.to_dict()["accelerated"] == {"ones_": {"calls": 400, "elements": 1200}}


# What is left of it


def test_functions_keep_their_identity_and_signature_meanwhile() -> None:
    before = [(getattr(nn.init, call.name), inspect.signature(getattr(nn.init, call.name))) for call in CALLS]
    names = [(function.__name__, function.__module__) for function, _ in before]
    with fastinit.patch():
        for call, (function, signature), name in zip(CALLS, before, names, strict=True):
            assert getattr(nn.init, call.name) is function
            meanwhile = inspect.signature(function)
            assert list(meanwhile.parameters) == list(signature.parameters)
            assert [p.default for p in meanwhile.parameters.values()] == [
                p.default for p in signature.parameters.values()
            ]
            assert (function.__name__, function.__module__) == name
            assert f"def {call.name}(" in inspect.getsource(function)
            assert "fastinit" not in inspect.getsource(function)


def test_a_method_captured_meanwhile_does_as_torch_afterwards() -> None:
    with fastinit.patch():
        captured = torch.Tensor.normal_
        bound = (tensor := torch.empty(5)).normal_
    torch.manual_seed(4)
    expected = torch.empty(5).normal_()
    torch.manual_seed(4)
    assert torch.equal(captured(torch.empty(5)), expected)
    torch.manual_seed(4)
    assert torch.equal(bound(), expected)
    assert bound() is tensor


def test_replacements_of_others_are_left_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def theirs(tensor: Tensor, *arguments: Any, **named: Any) -> Tensor:
        return tensor.fill_(9.0)

    original = nn.init.normal_
    with fastinit.patch():
        nn.init.normal_ = theirs  # after the patch, and put back after its end
        assert (nn.init.normal_(torch.empty(2)) == 9.0).all()
    nn.init.normal_ = original
    assert not accelerated()

    nn.init.normal_ = theirs  # before the patch, and put back before its end
    with fastinit.patch():
        assert (nn.init.normal_(torch.empty(2)) == 9.0).all()
        nn.init.normal_ = original
        assert accelerated()

    monkeypatch.setattr(torch.Tensor, "normal_", theirs, raising=False)
    with fastinit.patch():
        assert (torch.empty(2).normal_() == 9.0).all()
    assert torch.Tensor.normal_ is theirs
    monkeypatch.undo()
    with fastinit.patch():
        torch.Tensor.normal_ = theirs  # type: ignore[method-assign]
    assert vars(torch.Tensor)["normal_"] is theirs
    del torch.Tensor.normal_


def test_a_model_built_under_the_patch_is_an_ordinary_one() -> None:
    with fastinit.patch():
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    model(torch.ones(3, 4)).sum().backward()
    assert all(parameter.grad is not None and parameter.is_leaf for parameter in model.parameters())
    twin = copy.deepcopy(model)
    assert all(map(torch.equal, twin.parameters(), model.parameters()))


# Counts


def test_counts_say_what_was_done_in_words_and_in_json() -> None:
    with fastinit.patch() as counts:
        assert str(counts) == "Counts: 0 calls and 0 elements accelerated"
        nn.init.ones_(torch.empty(2, 3))
        nn.init.ones_(torch.empty(1000, 2))
        nn.init.zeros_(torch.empty(2, device="meta"))
        torch.empty(2, dtype=torch.int64).random_()
    assert (counts.calls, counts.elements, counts.left) == (2, 2006, 1)
    assert json.loads(json.dumps(counts.to_dict())) == {
        "accelerated": {"ones_": {"calls": 2, "elements": 2006}},
        "left_to_torch": {"zeros_": {"the device meta": 1}},
    }
    assert repr(counts) == (
        "Counts: 2 calls and 2,006 elements accelerated, 1 call left to torch (the device meta: 1)\n"
        "  ones_     2 calls, 2,006 elements\n"
        "  zeros_    1 call left to torch: the device meta"
    )


def test_the_patch_says_whether_it_is_installed() -> None:
    assert repr(fastinit.patch) == "<fastinit.patch, not installed>"
    fastinit.patch.install()
    assert repr(fastinit.patch) == "<fastinit.patch, installed>"
    fastinit.patch.uninstall()
