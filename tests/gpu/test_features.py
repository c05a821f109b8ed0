"""fastinit on a GPU under torch's own machinery: autograd, inference mode, compilers, the caching of their graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import fastinit
from fastinit import Key
from gpu.device import DEVICE, agree, generator, poisoned
from initializers import ALL, RANDOM, Initializer
from laws import same

pytestmark = pytest.mark.gpu

# What a compiler has to say about the card, or of its own deprecated parts, is not what is tested.
COMPILED = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def fresh_dynamo() -> None:
    torch._dynamo.reset()


# Autograd


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_a_leaf_is_filled_counted_and_keeps_no_history(initializer: Initializer) -> None:
    leaf = torch.nn.Parameter(poisoned(*initializer.shape))
    version = leaf._version
    assert initializer(leaf) is leaf
    assert leaf._version > version
    assert leaf.is_leaf
    assert leaf.requires_grad
    assert leaf.grad_fn is None


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_a_tensor_that_backward_needs_is_seen_to_have_changed(initializer: Initializer) -> None:
    weight = torch.ones(initializer.shape, device=DEVICE, requires_grad=True)
    saved = torch.ones(initializer.shape, device=DEVICE)
    loss = (weight * saved).sum()
    initializer(saved)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_inference_mode(initializer: Initializer) -> None:
    expected = initializer(poisoned(*initializer.shape), Key(1))
    ordinary = poisoned(*initializer.shape)
    with torch.inference_mode():
        inference = torch.empty(initializer.shape, device=DEVICE)
        assert initializer(inference, Key(1)) is inference
        initializer(ordinary, Key(1))
    assert agree(initializer, ordinary, expected)
    assert agree(initializer, inference, expected)


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_an_inference_tensor_is_refused_outside_the_mode_before_anything_is_drawn(initializer: Initializer) -> None:
    with torch.inference_mode():
        tensor = torch.full(initializer.shape, 7.0, device=DEVICE)
    source = generator(1)
    state = source.get_state()
    with pytest.raises(RuntimeError, match=r"[Ii]nference"):
        initializer(tensor, source)
    assert bool((tensor == 7.0).all())
    assert torch.equal(source.get_state(), state)


def test_modules_on_the_device_initialise_themselves() -> None:
    with torch.device(DEVICE):
        linear = torch.nn.Linear(30, 20)
    fastinit.kaiming_uniform_(linear.weight, a=5**0.5, generator=Key(1))
    expected = fastinit.kaiming_uniform_(torch.empty(20, 30), a=5**0.5, generator=Key(1))
    assert same(linear.weight.detach(), expected)


# Compilers


def compiled(initializer: Initializer, **options: Any) -> Callable[..., Any]:
    def fill(target: Any, source: Any) -> Any:
        return initializer(target, source)

    return torch.compile(fill, fullgraph=True, **options)


@COMPILED
@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_compiled_without_a_break_fills_what_eager_does(initializer: Initializer) -> None:
    """From the default generator and from keys; the second call runs the compiled code without tracing it."""
    fill = compiled(initializer, backend="aot_eager")
    tensor = poisoned(*initializer.shape)
    for _ in range(2):
        torch.manual_seed(5)
        assert fill(tensor, None) is tensor
        torch.manual_seed(5)
        assert agree(initializer, tensor, initializer(poisoned(*initializer.shape)))
    if initializer.random:
        for key in (Key(1), Key(-1, 2**63)):
            fill(tensor, key)
            assert agree(initializer, tensor, initializer(poisoned(*initializer.shape), key))


def build() -> tuple[Tensor, Tensor, Tensor]:
    """A model that initialises itself: two fills that look alike, and one of something else."""
    first = fastinit.kaiming_uniform_(torch.empty(48, 32, device=DEVICE))
    second = fastinit.kaiming_uniform_(torch.empty(48, 32, device=DEVICE))
    third = fastinit.trunc_normal_(torch.empty(16, 48, device=DEVICE), std=0.02, a=-0.04, b=0.04)
    return first, second, third


@COMPILED
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_inductor_and_its_graphs_draw_what_eager_draws(mode: str, cuda: torch.device) -> None:
    """At every call anew: a graph that is replayed draws from the state of the moment."""
    del cuda
    compiled_build = torch.compile(build, fullgraph=True, mode=mode)
    calls = 5  # the first calls of reduce-overhead warm up and record, the others replay

    def run(function: Callable[[], tuple[Tensor, ...]]) -> list[list[Tensor]]:
        torch.manual_seed(1)
        drawn = []
        for _ in range(calls):
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
            drawn.append([tensor.cpu() for tensor in function()])
        return drawn

    run(compiled_build)
    expected, ours = run(build), run(compiled_build)
    for call in range(calls):
        assert all(map(same, ours[call], expected[call])), call
    firsts = [tensors[0] for tensors in ours] + [tensors[1] for tensors in ours]
    assert not any(same(a, b) for place, a in enumerate(firsts) for b in firsts[:place])


@COMPILED
def test_inductor_computes_with_what_was_filled() -> None:
    def step() -> Tensor:
        first, second, third = build()
        return torch.relu(torch.ones(2, 32, device=DEVICE) @ (first + second).T) @ third.T

    torch.manual_seed(1)
    expected = step()
    torch.manual_seed(1)
    torch.testing.assert_close(torch.compile(step, fullgraph=True)(), expected, rtol=1e-3, atol=1e-4)
