"""Methods of tensors that take the place of torch's: ``Tensor.normal_`` and ``Tensor.uniform_``.

They are called for much else than parameters, and unlike the functions of torch.nn.init not only under no_grad: what
autograd would record, or refuse, is left to torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling

from fastinit import init
from fastinit.patching.guards import RANDOM, torchs_business
from fastinit.patching.routes import REFUSED, count
from fastinit.patching.scopes import current

__all__ = ["METHODS"]

_NORMAL: Final = torch._C.TensorBase.normal_
_UNIFORM: Final = torch._C.TensorBase.uniform_


def normal_(self: Tensor, /, *arguments: Any, **named: Any) -> Tensor:
    """See `torch.Tensor.normal_`."""
    if not is_dynamo_compiling() and _filled("normal_", init.normal_, ("mean", "std"), self, arguments, named):
        return self
    return _NORMAL(self, *arguments, **named)


def uniform_(self: Tensor, /, *arguments: Any, **named: Any) -> Tensor:
    """See `torch.Tensor.uniform_`."""
    if not is_dynamo_compiling() and _filled("uniform_", init.uniform_, ("from", "to"), self, arguments, named):
        return self
    return _UNIFORM(self, *arguments, **named)


METHODS: Final = {"normal_": normal_, "uniform_": uniform_}

for _method in METHODS.values():  # for whoever prints or looks up what is passed to __torch_function__
    _method.__module__, _method.__qualname__ = "torch", f"Tensor.{_method.__name__}"

_DEFAULTS: Final = (0.0, 1.0)
_NUMBERS: Final = frozenset({float, int})


def _filled(
    name: str,
    fill: Callable[..., Tensor],
    names: tuple[str, str],
    tensor: Tensor,
    arguments: tuple[Any, ...],
    named: dict[str, Any],
) -> bool:
    """Whether fastinit has done what was asked for."""
    scopes = current()
    if not scopes:
        return False
    generator = named.get("generator")
    reason = torchs_business(tensor, RANDOM, generator)
    if reason is None:
        parameters = _parameters(names, arguments, named)
        if tensor.requires_grad and torch.is_grad_enabled():
            reason = "autograd"
        elif parameters is None:
            reason = REFUSED
        else:
            try:
                fill(tensor, *parameters, generator)
            except Exception:  # nothing has been drawn or written
                reason = REFUSED
            else:
                count(scopes, f"Tensor.{name}", tensor)
                return True
    for counts in scopes:
        counts.left_to_torch(f"Tensor.{name}", reason)
    return False


def _parameters(names: tuple[str, str], arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...] | None:
    """The two numbers, given by place, by name or not at all; None where torch is to judge them."""
    values = arguments + _DEFAULTS[len(arguments) :]
    if named:
        left = names[len(arguments) :]
        if not named.keys() <= {*left, "generator"}:
            return None
        values = arguments + tuple(named.get(name, values[names.index(name)]) for name in left)
    return values if len(values) == 2 and type(values[0]) in _NUMBERS and type(values[1]) in _NUMBERS else None
