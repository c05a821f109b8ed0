"""Refused calls: torch's type and torch's message, nothing written, nothing drawn."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import fastinit
from initializers import RANDOM, Initializer, sentinel

Call = Callable[[Any, Tensor, Any], Any]

SAME_ERROR: dict[str, tuple[Call, tuple[int, ...]]] = {
    "normal std < 0": (lambda m, t, g: m.normal_(t, std=-1.0, generator=g), (4, 4)),
    "normal std nan": (lambda m, t, g: m.normal_(t, 0.0, math.nan, g), (4, 4)),
    "uniform a > b": (lambda m, t, g: m.uniform_(t, 2.0, 1.0, generator=g), (4, 4)),
    "sparse std < 0": (lambda m, t, g: m.sparse_(t, 0.5, -1.0, g), (4, 4)),
    "sparse 3d": (lambda m, t, g: m.sparse_(t, 0.5, generator=g), (4, 4, 4)),
    "eye 1d": (lambda m, t, g: m.eye_(t), (4,)),
    "eye 3d": (lambda m, t, g: m.eye_(t), (4, 4, 4)),
    "dirac 2d": (lambda m, t, g: m.dirac_(t), (4, 4)),
    "dirac 6d": (lambda m, t, g: m.dirac_(t), (2,) * 6),
    "dirac groups": (lambda m, t, g: m.dirac_(t, 3), (4, 4, 4)),
    "dirac 0 groups": (lambda m, t, g: m.dirac_(t, 0), (4, 4, 4)),
    "orthogonal 1d": (lambda m, t, g: m.orthogonal_(t, generator=g), (4,)),
    "orthogonal 0d": (lambda m, t, g: m.orthogonal_(t, generator=g), ()),
    "xavier_uniform 1d": (lambda m, t, g: m.xavier_uniform_(t, generator=g), (4,)),
    "xavier_normal 0d": (lambda m, t, g: m.xavier_normal_(t, generator=g), ()),
    "xavier_normal gain < 0": (lambda m, t, g: m.xavier_normal_(t, -1.0, generator=g), (4, 4)),
    "xavier_uniform gain < 0": (lambda m, t, g: m.xavier_uniform_(t, -1.0, generator=g), (4, 4)),
    "kaiming_uniform 1d": (lambda m, t, g: m.kaiming_uniform_(t, generator=g), (4,)),
    "kaiming_normal 1d": (lambda m, t, g: m.kaiming_normal_(t, generator=g), (4,)),
    "kaiming mode": (lambda m, t, g: m.kaiming_normal_(t, mode="Fan_Avg", generator=g), (4, 4)),
    "kaiming mode before shape": (lambda m, t, g: m.kaiming_normal_(t, mode="fan", generator=g), (4,)),
    "kaiming mode type": (lambda m, t, g: m.kaiming_normal_(t, mode=3, generator=g), (4, 4)),
    "kaiming nonlinearity": (lambda m, t, g: m.kaiming_uniform_(t, nonlinearity="x", generator=g), (4, 4)),
    "kaiming slope": (lambda m, t, g: m.kaiming_uniform_(t, a=True, generator=g), (4, 4)),
    "fans 1d": (lambda m, t, g: m._calculate_fan_in_and_fan_out(t), (4,)),
    "fan mode": (lambda m, t, g: m._calculate_correct_fan(t, "x"), (4, 4)),
}


def attempt(call: Call, module: Any, shape: tuple[int, ...]) -> BaseException:
    """The error a call raises; the tensor and both generators must be as they were."""
    tensor = sentinel(*shape)
    generator = torch.Generator().manual_seed(1)
    states = generator.get_state(), torch.get_rng_state()
    with pytest.raises(Exception) as caught:  # noqa: PT011 (what it is, is compared by the caller)
        call(module, tensor, generator)
    if module is fastinit:
        assert torch.equal(tensor, sentinel(*shape))
        assert torch.equal(generator.get_state(), states[0])
        assert torch.equal(torch.get_rng_state(), states[1])
    return caught.value


@pytest.mark.parametrize("name", SAME_ERROR)
def test_errors_are_torchs(name: str) -> None:
    call, shape = SAME_ERROR[name]
    ours, theirs = attempt(call, fastinit, shape), attempt(call, torch.nn.init, shape)
    assert (type(ours), str(ours)) == (type(theirs), str(theirs))


OWN_ERROR: dict[str, tuple[Call, type[Exception], str]] = {
    "trunc std < 0": (lambda m, t, g: m.trunc_normal_(t, std=-1.0, generator=g), RuntimeError, "std >= 0.0, but found"),
    "trunc std nan": (lambda m, t, g: m.trunc_normal_(t, std=math.nan, generator=g), RuntimeError, "std >= 0.0, but"),
    "trunc a > b": (lambda m, t, g: m.trunc_normal_(t, a=1.0, b=0.0, generator=g), RuntimeError, ""),
    "trunc nan bound": (lambda m, t, g: m.trunc_normal_(t, a=math.nan, generator=g), RuntimeError, ""),
    "tf std < 0": (lambda m, t, g: m.trunc_normal_tf_(t, std=-1.0, generator=g), RuntimeError, "std >= 0.0, but found"),
    "tf a > b": (lambda m, t, g: m.trunc_normal_tf_(t, a=1.0, b=0.0, generator=g), RuntimeError, ""),
    "uniform nan": (lambda m, t, g: m.uniform_(t, math.nan, 1.0, g), RuntimeError, ""),
    "uniform inf": (lambda m, t, g: m.uniform_(t, 0.0, math.inf, g), RuntimeError, ""),
    "sparse nan": (lambda m, t, g: m.sparse_(t, math.nan), ValueError, ""),
    "sparse sparsity < 0": (lambda m, t, g: m.sparse_(t, -0.1), ValueError, ""),
    "dirac groups < 0": (lambda m, t, g: m.dirac_(t[None], -1), ValueError, "groups must be positive, but got -1"),
}


@pytest.mark.parametrize("name", OWN_ERROR)
def test_errors_where_torch_has_none_or_hangs(name: str) -> None:
    call, error, message = OWN_ERROR[name]
    ours = attempt(call, fastinit, (4, 4))
    assert isinstance(ours, error)
    assert message in str(ours)


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_elements_that_share_memory_are_refused(initializer: Initializer) -> None:
    base = sentinel(1, *initializer.shape[1:])
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor refers to a single memory"):
        initializer(base.expand(initializer.shape))
    assert torch.equal(base, sentinel(1, *initializer.shape[1:]))
    assert torch.equal(torch.get_rng_state(), state)
