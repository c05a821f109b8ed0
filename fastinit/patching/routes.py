"""Where a call of a replaced function goes: to fastinit where the patch is on for its caller and fastinit does exactly
what torch would, and otherwise to torch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Final

from torch import Tensor
from torch.compiler import is_dynamo_compiling
from torch.overrides import has_torch_function_unary

from fastinit import init, scaling
from fastinit.patching.counts import Counts
from fastinit.patching.guards import CONSTANT, ORTHOGONAL, RANDOM, REAL, Kinds, torchs_business
from fastinit.patching.scopes import current

__all__ = ["ROUTES", "Route", "route"]

REFUSED: Final = "arguments"
"""Why a call is torch's that fastinit raised an error for: the error is torch's to raise, or to do without."""


@dataclass
class Route:
    """One function: fastinit's, torch's, and what of torch's it stands for."""

    fill: Callable[..., Any]
    kinds: Kinds
    takes_generator: bool = False
    warns_of_empty: bool = False
    function: FunctionType | None = None
    """The very object whose code is replaced, once it has been found."""
    torchs: Callable[..., Any] | None = None
    """A function with the code that it came with."""


def route(name: str, tensor: Any, *arguments: Any) -> Any:
    """Answer a call of the function of that name."""
    way = ROUTES[name]
    assert way.torchs is not None  # it is set before the code that comes here is put in place
    if is_dynamo_compiling():
        return way.torchs(tensor, *arguments)
    if way.warns_of_empty and isinstance(tensor, Tensor) and 0 in tensor.shape and not has_torch_function_unary(tensor):
        warnings.warn(scaling.NO_ELEMENTS, stacklevel=3)  # here, for torch would point at this line
        return tensor
    scopes = current()
    if scopes:
        generator = arguments[-1] if way.takes_generator else None
        reason = torchs_business(tensor, way.kinds, generator)
        if reason is None:
            try:
                result = way.fill(tensor, *arguments)
            except Exception:  # nothing has been drawn or written
                reason = REFUSED
            else:
                count(scopes, name, tensor)
                return result
        for counts in scopes:
            counts.left_to_torch(name, reason)
    return way.torchs(tensor, *arguments)


def count(scopes: tuple[Counts, ...], name: str, tensor: Tensor) -> None:
    """Note that fastinit filled a tensor."""
    elements = tensor.numel()
    for counts in scopes:
        counts.accelerated(name, elements)


def _timms_variance_scaling(tensor: Tensor, scale: float, mode: str, distribution: str) -> None:
    if mode not in ("fan_in", "fan_out", "fan_avg") or tensor.numel() == 0:
        raise ValueError("a mode that timm does not know, or fans of 0, which it divides by")
    scaling.variance_scaling_(tensor, scale, mode, distribution)


def _timms_lecun_normal(tensor: Tensor) -> None:
    _timms_variance_scaling(tensor, 1.0, "fan_in", "truncated_normal")


ROUTES: Final = {
    "uniform_": Route(init.uniform_, RANDOM, True),
    "normal_": Route(init.normal_, RANDOM, True),
    "trunc_normal_": Route(init.trunc_normal_, REAL, True),
    "constant_": Route(init.constant_, CONSTANT),
    "ones_": Route(init.ones_, CONSTANT),
    "zeros_": Route(init.zeros_, CONSTANT),
    "eye_": Route(init.eye_, CONSTANT),
    "dirac_": Route(init.dirac_, CONSTANT),
    "xavier_uniform_": Route(init.xavier_uniform_, RANDOM, True),
    "xavier_normal_": Route(init.xavier_normal_, RANDOM, True),
    "kaiming_uniform_": Route(init.kaiming_uniform_, RANDOM, True, warns_of_empty=True),
    "kaiming_normal_": Route(init.kaiming_normal_, RANDOM, True, warns_of_empty=True),
    "orthogonal_": Route(init.orthogonal_, ORTHOGONAL, True),
    "sparse_": Route(init.sparse_, REAL, True),
    "timm.trunc_normal_": Route(init.trunc_normal_, REAL),
    "timm.trunc_normal_tf_": Route(scaling.trunc_normal_tf_, REAL),
    "timm.variance_scaling_": Route(_timms_variance_scaling, REAL),
    "timm.lecun_normal_": Route(_timms_lecun_normal, REAL),
}
