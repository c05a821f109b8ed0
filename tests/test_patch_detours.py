"""Ways to a parameter that pass by torch's functions, under ``fastinit.patch(defer=True)``, and ways out of a scope."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.utils.dlpack
from torch import Tensor, nn

import fastinit

OWNERS = [
    (threading.Thread, "start"),
    (torch.Tensor, "_make_subclass"),
    (torch.utils.dlpack, "to_dlpack"),
    (torch, "to_dlpack"),
    (torch.utils, "swap_tensors"),
]


def watched() -> list[Any]:
    """What is there now, as the owners themselves hold it."""
    return [vars(owner).get(name) for owner, name in OWNERS]


def modes() -> int:
    """How many modes are on in this thread."""
    return len(torch.overrides._get_current_function_mode_stack())  # type: ignore[no-untyped-call]


@pytest.fixture(autouse=True)
def _all_is_as_it_was() -> Iterator[None]:
    before = watched()
    yield
    assert all(now is then for now, then in zip(watched(), before, strict=True))
    assert modes() == 0
    assert torch.nn.init.ones_.__code__.co_names != ()  # torch's own, which calls _no_grad_fill_
    assert "fastinit" not in torch.nn.init.ones_.__code__.co_names


def spoilt(*shape: int) -> nn.Parameter:
    """A parameter that shows whether it was filled."""
    return nn.Parameter(torch.full(shape, 777.0))


def put_off() -> bool:
    """Whether anything is waiting."""
    deferral = fastinit.patching.scopes.deferral()
    return deferral is not None and bool(deferral._fills)


def from_a_thread(weight: nn.Parameter) -> Tensor:
    found: list[Tensor] = []
    thread = threading.Thread(target=lambda: found.append(weight.detach().clone()))
    thread.start()
    thread.join()
    return found[0]


def exchanged(weight: nn.Parameter, module: Any) -> Tensor:
    capsule = module.to_dlpack(weight.requires_grad_(False))
    return torch.utils.dlpack.from_dlpack(capsule).clone()


def swapped(weight: nn.Parameter) -> Tensor:
    other = spoilt(4, 4)
    torch.utils.swap_tensors(weight, other)  # type: ignore[no-untyped-call]
    return other.detach().clone()


def compiled(weight: nn.Parameter) -> Tensor:
    torch._dynamo.reset()
    layer = nn.Linear(4, 4, bias=False, device="meta")
    layer.weight = weight
    step = torch.compile(layer, backend="eager", fullgraph=True)
    return step(torch.eye(4)).detach().T.contiguous()  # type: ignore[no-any-return]


PATHS: list[Callable[[nn.Parameter], Tensor]] = [
    from_a_thread,
    lambda weight: nn.Parameter(weight).detach().clone(),
    lambda weight: exchanged(weight, torch.utils.dlpack),
    lambda weight: exchanged(weight, torch),
    swapped,
    compiled,
]


@pytest.mark.parametrize("look", PATHS, ids=["thread", "alias", "to_dlpack", "torch.to_dlpack", "swap", "compile"])
def test_the_values_are_there(look: Callable[[nn.Parameter], Tensor]) -> None:
    weight = spoilt(4, 4)
    with fastinit.patch(defer=True):
        nn.init.ones_(weight)
        assert put_off()
        found = look(weight)
        assert not put_off()
    assert bool((found == 1.0).all())


def test_a_compiled_function_sees_fills_that_are_put_off_between_its_calls() -> None:
    weight, layer = spoilt(4, 4), nn.Linear(4, 4, bias=False, device="meta")
    layer.weight = weight
    with fastinit.patch(defer=True):
        step = torch.compile(layer, backend="eager", fullgraph=True)
        torch._dynamo.reset()
        for value in (1.0, 2.0, 3.0):
            nn.init.constant_(weight, value)
            assert step(torch.eye(4)).max() == value
            assert step(torch.eye(4)).max() == value


@pytest.mark.parametrize("loaded", [True, False], ids=["loaded", "not loaded"])
def test_compilation_is_seen_where_dynamo_is_loaded_meanwhile(loaded: bool) -> None:
    code = f"""
import sys, torch, fastinit
if {loaded}:
    import torch._dynamo
with fastinit.patch(defer=True):
    assert ("torch._dynamo" in sys.modules) is {loaded}
    layer = torch.nn.Linear(4, 4)
    step = torch.compile(layer, backend="eager", fullgraph=True)
    assert torch.equal(step(torch.eye(4)), layer(torch.eye(4)))
from torch._dynamo.callback import CompilationCallbackHandler as handler
assert handler.install_callbacks.__module__ == "torch._dynamo.callback"
assert not hasattr(handler.install_callbacks.__wrapped__, "__wrapped__")
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_an_alias_of_a_parameter_gets_what_is_written_last() -> None:
    with fastinit.patch(defer=True):
        first = nn.init.normal_(spoilt(4, 4))
        alias = nn.Parameter(first)
        nn.init.zeros_(alias)
    assert not first.any()


def test_making_other_parameters_does_what_waits_no_sooner() -> None:
    with fastinit.patch(defer=True):
        nn.init.ones_(spoilt(4))
        nn.Parameter(torch.empty(3))
        assert put_off()


def test_functions_that_others_have_put_there_are_called_and_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    start, calls = threading.Thread.start, []

    def theirs(self: threading.Thread) -> None:
        calls.append(self)
        start(self)

    weight = spoilt(4)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", theirs)
        with fastinit.patch(defer=True):
            nn.init.ones_(weight)
            assert bool((from_a_thread(weight) == 1.0).all())
        assert threading.Thread.start is theirs
    assert len(calls) == 1


def test_functions_that_others_put_over_ours_stay() -> None:
    start = threading.Thread.start
    try:
        with fastinit.patch(defer=True):
            ours = threading.Thread.start

            def theirs(self: threading.Thread) -> None:
                ours(self)

            threading.Thread.start = theirs  # type: ignore[method-assign]
        assert threading.Thread.start is theirs
        assert bool((from_a_thread(spoilt(2)) == 777.0).all())
    finally:
        threading.Thread.start = start  # type: ignore[method-assign]


def test_scopes_that_fill_at_once_watch_nothing() -> None:
    before = watched()
    with fastinit.patch():
        assert watched() == before
        assert modes() == 0
    with fastinit.patch(defer=True), fastinit.patch(defer=True):
        assert all(now is not then for now, then in zip(watched(), before, strict=True))
        assert modes() == 1


def test_nothing_is_put_off_where_torch_functions_are_off() -> None:
    waiting, weight = spoilt(4), spoilt(4)
    with fastinit.patch(defer=True):
        nn.init.ones_(waiting)
        with torch._C.DisableTorchFunction():
            nn.init.ones_(weight)
            assert bool((weight == 1.0).all())
            assert bool((waiting == 1.0).all())


def test_nothing_is_put_off_in_another_thread_that_has_the_context() -> None:
    def build() -> Tensor:
        return nn.init.ones_(spoilt(4)).detach().clone()

    async def elsewhere() -> Tensor:
        return await asyncio.to_thread(build)

    with fastinit.patch(defer=True) as counts:
        found = asyncio.run(elsewhere())
    assert bool((found == 1.0).all())
    assert counts.calls == 1


def test_a_scope_is_left_where_torch_functions_are_off() -> None:
    weight, scope = spoilt(4), fastinit.patch(defer=True)
    scope.__enter__()
    nn.init.ones_(weight)
    with torch._C.DisableTorchFunction():
        scope.__exit__(None, None, None)
    assert bool((weight == 1.0).all())


def test_tasks_leave_in_any_order() -> None:
    found = []

    async def first(entered: asyncio.Event, go_on: asyncio.Event) -> None:
        with fastinit.patch(defer=True):
            entered.set()
            await go_on.wait()

    async def second(entered: asyncio.Event, go_on: asyncio.Event, left: asyncio.Event) -> None:
        await entered.wait()
        with fastinit.patch(defer=True):
            go_on.set()
            await left.wait()
            weight = nn.init.ones_(spoilt(4))
            assert put_off()
            found.append(weight.detach().clone())

    async def both() -> None:
        entered, go_on, left = asyncio.Event(), asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(first(entered, go_on))
        task.add_done_callback(lambda _: left.set())
        await asyncio.gather(task, second(entered, go_on, left))

    asyncio.run(both())
    assert bool((found[0] == 1.0).all())


def test_a_scope_is_left_in_another_context_than_it_was_entered() -> None:
    weight, scope = spoilt(4), fastinit.patch(defer=True)
    context = contextvars.copy_context()
    counts = context.run(scope.__enter__)
    context.run(nn.init.ones_, weight)
    assert modes() == 1
    scope.__exit__(None, None, None)
    assert bool((weight.detach() == 1.0).all())
    assert context.run(fastinit.patching.scopes.current) == ()
    assert context.run(fastinit.patching.scopes.deferral) is None
    assert counts.calls == 1


def test_a_scope_is_left_before_one_that_was_entered_later() -> None:
    def generator() -> Iterator[None]:
        with fastinit.patch(defer=True):
            yield

    running = generator()
    next(running)
    with fastinit.patch(defer=True) as counts, torch.device("cpu"):
        weight = nn.init.ones_(spoilt(4))
        assert put_off()
        running.close()  # type: ignore[attr-defined]
        assert bool((weight.detach() == 1.0).all())
        assert modes() == 1  # the device's
        nn.init.ones_(spoilt(4))
    assert counts.calls == 2


def test_a_scope_is_left_by_another_thread() -> None:
    weight, scope = spoilt(4), fastinit.patch(defer=True)

    def enter() -> None:
        scope.__enter__()
        nn.init.ones_(weight)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    scope.__exit__(None, None, None)
    assert bool((weight == 1.0).all())


def test_a_scope_that_was_not_entered_cannot_be_left() -> None:
    with pytest.raises(RuntimeError, match="left more often"):
        fastinit.patch().__exit__(None, None, None)


def test_one_scope_may_be_entered_again() -> None:
    scope = fastinit.patch(defer=True)
    with scope as outer, scope as inner:
        nn.init.ones_(spoilt(4))
    assert outer.calls == inner.calls == 1
    assert outer is not inner
