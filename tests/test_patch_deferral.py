"""Fills that ``fastinit.patch`` puts off: the values are those of fills at once, and nobody sees any other.

How others than torch's functions come to a parameter: test_patch_detours.py.
"""

from __future__ import annotations

import copy
import pickle
from collections import UserList
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fastinit
from initializers import ALL, Initializer
from torchs import CALLS, Call


def parameter(*shape: int, **options: Any) -> nn.Parameter:
    """A parameter whose memory is its own, as those of a module's are."""
    return nn.Parameter(torch.empty(shape, **options))


def put_off() -> bool:
    """Whether anything is waiting."""
    deferral = fastinit.patching.scopes.deferral()
    return deferral is not None and bool(deferral._fills)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_values_draws_and_counts_are_those_of_a_fill_at_once(call: Call) -> None:
    def run(defer: bool) -> tuple[list[Tensor], Tensor, Any]:
        torch.manual_seed(2**40 + 7)
        generator = torch.Generator().manual_seed(5)
        ours = [parameter(*call.shape) for _ in range(3)]
        with fastinit.patch(defer=defer) as counts:
            for one in ours:
                assert call.torchs(one) is one
                torch.rand(1)
            nn.init.normal_(ours[0], generator=generator)
        return [one.detach() for one in ours], torch.cat([torch.get_rng_state(), generator.get_state()]), counts

    now, state, counts = run(False)
    later, same_state, same_counts = run(True)
    assert all(map(torch.equal, now, later))
    assert torch.equal(state, same_state)
    assert counts.to_dict() == same_counts.to_dict()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16, torch.complex64])
def test_types(dtype: torch.dtype) -> None:
    weight = parameter(5, 6, dtype=dtype)
    torch.manual_seed(1)
    with fastinit.patch(defer=True):
        nn.init.normal_(weight, std=0.5)
        assert put_off()
    torch.manual_seed(1)
    assert torch.equal(weight, fastinit.normal_(torch.empty(5, 6, dtype=dtype), std=0.5))


def test_nothing_is_put_off_unless_the_caller_asks() -> None:
    weight = parameter(5, 6)
    with fastinit.patch() as counts:
        nn.init.ones_(weight)
        assert not put_off()
        assert bool((torch.from_numpy(weight.detach().numpy()) == 1.0).all())
        nn.init.zeros_(weight)
    assert counts.unseen == 0


def test_a_fill_that_is_replaced_is_never_done() -> None:
    weight = parameter(5, 6)
    with fastinit.patch(defer=True) as counts:
        nn.init.normal_(weight)
        nn.init.zeros_(weight)
        version = weight._version
    assert not weight.any()
    assert (counts.calls, counts.elements, counts.unseen) == (2, 60, 30)
    assert weight._version == version
    assert "60 elements accelerated (30 never seen)" in repr(counts)


def test_a_parameter_that_is_thrown_away_is_never_filled() -> None:
    with fastinit.patch(defer=True) as counts:
        first, second = nn.Linear(6, 5), nn.Linear(6, 5)
        second.weight = first.weight
    assert counts.unseen == 30
    assert first.weight.any()


LOOKS: list[Callable[[nn.Parameter], Any]] = [
    lambda p: p[0],
    lambda p: p.detach(),
    lambda p: p.data,
    lambda p: p.data_ptr(),
    lambda p: p.untyped_storage(),
    lambda p: p.tolist(),
    lambda p: p.sum(),
    lambda p: p.grad_fn or p.view(-1),
    lambda p: p.detach().numpy(),
    lambda p: torch.utils.dlpack.from_dlpack(p.detach()),
    lambda p: torch.cat([p, p]),
    lambda p: torch.nn.functional.linear(torch.ones(2, 6), p),
    lambda p: torch.equal(p, p),
    lambda p: torch._foreach_abs([p]),
    lambda p: torch.ops.aten.sum(p),
    lambda p: repr(p),
    lambda p: pickle.dumps(p),
    lambda p: copy.deepcopy(p),
    lambda p: p._version,
    lambda p: p.share_memory_(),  # type: ignore[no-untyped-call]
    lambda p: torch.no_grad()(p.mul_)(2.0),
    lambda p: torch.no_grad()(p.normal_)(),
    lambda p: nn.init.orthogonal_(p),
    lambda p: fastinit.zeros_(p),
    lambda p: torch.zeros(5, 6).copy_(p),
    lambda p: torch.add(torch.zeros(5, 6), other=p),
    lambda p: nn.utils.parameters_to_vector([p]),
    lambda p: nn.Linear(6, 5).load_state_dict({"weight": p, "bias": torch.zeros(5)}),
]


@pytest.mark.parametrize("look", LOOKS)
def test_whoever_looks_finds_the_values(look: Callable[[nn.Parameter], Any]) -> None:
    def run(defer: bool) -> tuple[Any, Tensor, Tensor]:
        torch.manual_seed(4)
        with fastinit.patch(defer=defer):
            weight, other = parameter(5, 6), parameter(3)
            with torch.no_grad():
                weight.fill_(-1.0)
            nn.init.uniform_(weight)
            nn.init.uniform_(other)
            assert put_off() == defer
            found = look(weight)
            assert not put_off()
        return found, weight.detach(), other.detach()

    now, later = run(False), run(True)
    assert torch.equal(now[1], later[1])
    assert torch.equal(now[2], later[2])
    if isinstance(now[0], Tensor):
        assert torch.equal(now[0], later[0])


def test_shapes_and_types_may_be_asked_for() -> None:
    weight = parameter(5, 6)
    with fastinit.patch(defer=True):
        nn.init.uniform_(weight)
        assert (weight.shape, weight.dtype, weight.numel(), weight.size(0)) == ((5, 6), torch.float32, 30, 5)
        weight.requires_grad_(False)
        weight.requires_grad = True
        nn.Module().register_parameter("weight", weight)
        assert put_off()
    assert bool(weight.any())


def shared() -> tuple[nn.Parameter, Any]:
    memory = torch.empty(5, 6)
    return nn.Parameter(memory), memory


@pytest.mark.parametrize(
    "make",
    [
        shared,
        lambda: (nn.Parameter(torch.empty(7, 6)[:5]), None),
        lambda: (nn.Parameter(torch.empty(6, 5).T), None),
        lambda: (torch.empty(5, 6), None),
        lambda: (nn.Parameter(torch.frombuffer(bytearray(120), dtype=torch.float32)), None),
        lambda: (parameter(5, 6).share_memory_(), None),  # type: ignore[no-untyped-call]
    ],
    ids=["shared", "part", "transposed", "tensor", "buffer", "between processes"],
)
def test_what_can_be_reached_by_another_way_is_filled_at_once(make: Callable[[], tuple[Tensor, Any]]) -> None:
    tensor, _other = make()
    with fastinit.patch(defer=True):
        nn.init.uniform_(tensor)
        assert not put_off()


def test_an_array_sees_its_values_at_once() -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.zeros((4, 4), dtype=numpy.float32)
    weight = nn.Parameter(torch.from_numpy(array))
    with fastinit.patch(defer=True):
        nn.init.ones_(weight)
        assert array.sum() == 16.0


def test_inference_tensors_are_filled_where_they_may_be() -> None:
    with fastinit.patch(defer=True), torch.inference_mode():
        weight = nn.init.ones_(parameter(5, 6))
        assert not put_off()
    assert bool((weight == 1.0).all())


@pytest.mark.parametrize("value", [True, 2**60, torch.tensor(0.5)])
def test_constants_that_no_float_holds_are_filled_at_once(value: Any) -> None:
    number = nn.Parameter(torch.empty(3, dtype=torch.int64), requires_grad=False)
    with fastinit.patch(defer=True) as counts:
        nn.init.constant_(number, value)
        assert not put_off()
    assert number.tolist() == [int(value)] * 3
    assert counts.calls == 1


def test_errors_are_raised_where_they_arise() -> None:
    weight = parameter(5, 6)
    wrong: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
        (nn.init.normal_, (0.0, -1.0)),
        (nn.init.uniform_, (2.0, 1.0)),
        (nn.init.constant_, ("1",)),
        (nn.init.kaiming_normal_, (0, "fan")),
        (nn.init.kaiming_uniform_, (0, "fan_in", "gelu")),
        (nn.init.normal_, (0.0, 1.0, fastinit.Key(1))),
    ]
    for function, arguments in wrong:
        with pytest.raises(Exception) as theirs:  # noqa: PT011 (whatever it is)
            function(weight, *arguments)
        state = torch.get_rng_state()
        with fastinit.patch(defer=True), pytest.raises(type(theirs.value)) as ours:
            function(weight, *arguments)
        assert str(ours.value) == str(theirs.value)
        assert torch.equal(torch.get_rng_state(), state)


def test_an_exception_leaves_no_fill_undone() -> None:
    weight = parameter(5)
    with pytest.raises(ZeroDivisionError), fastinit.patch(defer=True):
        raise ZeroDivisionError(nn.init.ones_(weight).shape)
    assert (weight == 1.0).all()


def test_an_error_of_one_fill_leaves_none_of_the_others_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    first, broken, last = parameter(5), parameter(3), parameter(4)
    fill_many = fastinit.many.fill_many

    def fails(targets: list[Tensor], *rest: Any) -> None:
        if any(target is broken for target in targets):
            raise ArithmeticError(f"of {len(targets)}")
        fill_many(targets, *rest)

    monkeypatch.setattr("fastinit.patching.deferral.fill_many", fails)
    with pytest.raises(ArithmeticError, match="of 1"), fastinit.patch(defer=True):
        list(map(nn.init.ones_, (first, broken, last)))
    assert bool((first == 1.0).all())
    assert bool((last == 1.0).all())


def test_the_outer_scope_decides_when() -> None:
    weight = parameter(5)
    with fastinit.patch(defer=True):
        with fastinit.patch(defer=True) as inner, fastinit.patch():
            nn.init.ones_(weight)
        assert put_off()
        nn.init.zeros_(weight)
    assert not weight.any()
    assert inner.unseen == 5


def test_meta_tensors_and_default_devices() -> None:
    with fastinit.patch(defer=True) as counts, torch.device("meta"):
        nn.Linear(3, 4)
        assert not put_off()
    assert counts.calls == 0
    torch.manual_seed(1)
    with torch.device("cpu"), fastinit.patch(defer=True):
        later = nn.Linear(3, 4)
        assert put_off()
    torch.manual_seed(1)
    with fastinit.patch():
        assert torch.equal(nn.Linear(3, 4).weight, later.weight)


def test_modules_of_torch() -> None:
    def build(defer: bool) -> list[Tensor]:
        torch.manual_seed(9)
        with fastinit.patch(defer=defer):
            model = nn.ModuleList(
                [
                    nn.Transformer(8, 2, 1, 1, 16, batch_first=True),
                    nn.LSTM(4, 5, 2),
                    nn.Conv2d(4, 8, 3),
                    nn.Embedding(5, 6, padding_idx=2),
                    nn.Bilinear(3, 4, 5),
                    nn.BatchNorm2d(4),
                    nn.utils.parametrizations.weight_norm(nn.Linear(4, 5)),
                ]
            )
        return list(model.state_dict().values())

    assert all(map(torch.equal, build(False), build(True)))


def test_a_model_of_transformers_is_written_once() -> None:
    transformers = pytest.importorskip("transformers")
    ids = {"bos_token_id": None, "eos_token_id": None}
    config = transformers.GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=64, n_positions=32, **ids)

    def build(defer: bool) -> tuple[nn.Module, Any]:
        torch.manual_seed(1)
        with fastinit.patch(defer=defer) as counts:
            return transformers.GPT2LMHeadModel(config), counts

    now, _ = build(False)
    later, counts = build(True)
    assert all(map(torch.equal, now.parameters(), later.parameters()))
    assert counts.elements - counts.unseen == sum(one.numel() for one in later.parameters())


def test_lists_and_plans_are_seen_too() -> None:
    weight = parameter(5, 6)
    model = nn.Linear(6, 5)
    plan = fastinit.plan(model, [fastinit.Rule(fastinit.Zeros())])
    with fastinit.patch(defer=True):
        nn.init.normal_(weight)
        fastinit.foreach.zeros_([weight])
        nn.init.normal_(model.weight)
        plan.fill_()
    assert not weight.any()
    assert not model.weight.any()


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_a_shard_is_the_parameter_whose_memory_it_is(initializer: Initializer) -> None:
    whole = (2 * initializer.shape[0], *initializer.shape[1:])
    start = (0,) * len(whole)
    weight, plain = parameter(*initializer.shape), torch.full(initializer.shape, 7.0)
    with fastinit.patch(defer=True):
        nn.init.constant_(weight, 7.0)
        initializer(fastinit.shard(weight, whole, start), generator=fastinit.Key(3))
    initializer(fastinit.shard(plain, whole, start), generator=fastinit.Key(3))
    assert torch.equal(weight, plain)


LISTS: list[Callable[[nn.Parameter], Any]] = [
    lambda p: [p],
    lambda p: [fastinit.shard(p, (10, 6), (5, 0))],
    lambda p: nn.ParameterList([p]),
    lambda p: UserList([p]),
]


@pytest.mark.parametrize("wrap", LISTS, ids=["list", "shards", "module", "user's"])
def test_what_lists_hold_is_seen(wrap: Callable[[nn.Parameter], Any]) -> None:
    weight = parameter(5, 6)
    with fastinit.patch(defer=True):
        nn.init.normal_(weight)
        fastinit.foreach.ones_(wrap(weight))
    assert bool((weight == 1.0).all())


def test_code_that_torch_calls_back_finds_the_values() -> None:
    weight, found = parameter(5, 6), []
    with fastinit.patch(defer=True):
        leaf = torch.ones(1, requires_grad=True)
        loss = (leaf * 2).sum()
        leaf.register_hook(lambda grad: found.append(weight.detach().clone()))  # type: ignore[no-untyped-call]
        nn.init.ones_(weight)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.init.zeros_(weight)
    assert bool((found[0] == 1.0).all())


def test_code_of_a_subclass_finds_the_values() -> None:
    weight, found = parameter(5, 6), []

    class Curious(Tensor):
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            found.append(weight.detach().clone())
            return super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]

    curious = torch.ones(2).as_subclass(Curious)
    with fastinit.patch(defer=True):
        nn.init.ones_(weight)
        curious + 1
        nn.init.zeros_(weight)
    assert found
    assert bool((found[-1] == 1.0).all())
