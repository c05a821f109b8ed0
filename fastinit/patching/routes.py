"""Where a call of a replaced function goes.

To fastinit, where the patch is on for its caller and fastinit does exactly what torch would; otherwise to torch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Generator, Tensor
from torch.compiler import is_dynamo_compiling
from torch.nn import Parameter

from fastinit import init, scaling
from fastinit.dispatch import CONSTANT, NORMAL, TRUNC_NORMAL, UNIFORM
from fastinit.many import Law
from fastinit.patching.counts import Counts
from fastinit.patching.deferral import LawOf
from fastinit.patching.guards import CONSTANTS, ORTHOGONAL, RANDOM, REAL, Kinds, only_transparent_modes, torchs_business
from fastinit.patching.scopes import current
from fastinit.patching.scopes import deferral as current_deferral

__all__ = ["ROUTES", "Route", "route"]

_PLAIN: Final = frozenset({Tensor, Parameter})

REFUSED: Final = "arguments"
"""Why a call is torch's that fastinit raised an error for: the error is torch's to raise, or to do without."""


@dataclass
class Route:
    """One function: fastinit's, torch's, and what of torch's it stands for."""

    fill: Callable[..., Any]
    kinds: Kinds
    takes_generator: bool = False
    warns_of_empty: bool = False
    law_of: LawOf | None = None
    """For fills that may be put off."""
    function: Any = None  # a FunctionType, which mypy takes for a method where a class has it as a field
    """The very object whose code is replaced, once it has been found."""
    torchs: Callable[..., Any] | None = None
    """A function with the code that it came with."""


def route(name: str, tensor: Any, *arguments: Any) -> Any:
    """Answer a call of the function of that name."""
    way = ROUTES[name]
    assert way.torchs is not None  # it is set before the code that comes here is put in place
    if is_dynamo_compiling():
        return way.torchs(tensor, *arguments)
    if way.warns_of_empty and type(tensor) in _PLAIN and 0 in tensor.shape and only_transparent_modes():
        warnings.warn(scaling.NO_ELEMENTS, stacklevel=3)  # here, for torch would point at this line
        return tensor
    scopes = current()
    if scopes:
        generator = arguments[-1] if way.takes_generator else None
        reason = torchs_business(tensor, way.kinds, generator)
        if reason is None:
            try:
                result = _filled(way, tensor, arguments, scopes)
            except Exception:  # nothing has been drawn or written
                reason = REFUSED
            else:
                count(scopes, name, tensor)
                return result
        for counts in scopes:
            counts.left_to_torch(name, reason)
    return way.torchs(tensor, *arguments)


def _filled(way: Route, tensor: Tensor, arguments: tuple[Any, ...], scopes: tuple[Counts, ...]) -> Any:
    """Do it, or see that it is done before anybody can tell."""
    if way.law_of is not None and (deferral := current_deferral()) is not None:
        parameters, generator = (arguments[:-1], arguments[-1]) if way.takes_generator else (arguments, None)
        if deferral.put_off(tensor, way.law_of, parameters, generator, scopes):
            return tensor
    return way.fill(tensor, *arguments)


def count(scopes: tuple[Counts, ...], name: str, tensor: Tensor) -> None:
    """Note that fastinit filled a tensor."""
    elements = tensor.numel()
    for counts in scopes:
        counts.accelerated(name, elements)


def _by_torchs_gains(fill: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A Kaiming initializer that knows no more nonlinearities than torch's, which raises an error for others."""

    def filled(tensor: Tensor, a: float, mode: str, nonlinearity: Any, generator: Generator | None) -> Tensor:
        torch.nn.init.calculate_gain(nonlinearity, a)
        return fill(tensor, a, mode, nonlinearity, generator)

    return filled


def _timms_variance_scaling(tensor: Tensor, scale: float, mode: str, distribution: str) -> None:
    if mode not in ("fan_in", "fan_out", "fan_avg"):
        raise ValueError("a mode that timm does not know")
    scaling.variance_scaling_(tensor, scale, mode, distribution)


def _timms_lecun_normal(tensor: Tensor) -> None:
    _timms_variance_scaling(tensor, 1.0, "fan_in", "truncated_normal")


def _constant(shape: Sequence[int], val: Any) -> Law | None:
    if type(val) is float or (type(val) is int and abs(val) <= 2**53):  # a law's parameters are floats
        return CONSTANT, (float(val),)
    return None


def _kaiming(distribution: str) -> LawOf:
    def law(shape: Sequence[int], a: float, mode: str, nonlinearity: Any) -> Law:
        torch.nn.init.calculate_gain(nonlinearity, a)
        return scaling.scaled(scaling.kaiming_std(shape, a, mode, nonlinearity), distribution)

    return law


def _xavier(distribution: str) -> LawOf:
    return lambda shape, gain: scaling.scaled(scaling.xavier_std(shape, gain), distribution)


ROUTES: Final = {
    "uniform_": Route(init.uniform_, RANDOM, True, law_of=lambda shape, a, b: (UNIFORM, (a, b))),
    "normal_": Route(init.normal_, RANDOM, True, law_of=lambda shape, mean, std: (NORMAL, (mean, std))),
    "trunc_normal_": Route(init.trunc_normal_, REAL, True, law_of=lambda shape, *four: (TRUNC_NORMAL, four)),
    "constant_": Route(init.constant_, CONSTANTS, law_of=_constant),
    "ones_": Route(init.ones_, CONSTANTS, law_of=lambda shape: (CONSTANT, (1.0,))),
    "zeros_": Route(init.zeros_, CONSTANTS, law_of=lambda shape: (CONSTANT, (0.0,))),
    "eye_": Route(init.eye_, CONSTANTS),
    "dirac_": Route(init.dirac_, CONSTANTS),
    "xavier_uniform_": Route(init.xavier_uniform_, RANDOM, True, law_of=_xavier("uniform")),
    "xavier_normal_": Route(init.xavier_normal_, RANDOM, True, law_of=_xavier("normal")),
    "kaiming_uniform_": Route(_by_torchs_gains(init.kaiming_uniform_), RANDOM, True, True, _kaiming("uniform")),
    "kaiming_normal_": Route(_by_torchs_gains(init.kaiming_normal_), RANDOM, True, True, _kaiming("normal")),
    "orthogonal_": Route(init.orthogonal_, ORTHOGONAL, True),
    "sparse_": Route(init.sparse_, REAL, True),
    "timm.trunc_normal_": Route(init.trunc_normal_, REAL, law_of=lambda shape, *four: (TRUNC_NORMAL, four)),
    "timm.trunc_normal_tf_": Route(scaling.trunc_normal_tf_, REAL),
    "timm.variance_scaling_": Route(_timms_variance_scaling, REAL),
    "timm.lecun_normal_": Route(_timms_lecun_normal, REAL),
}
