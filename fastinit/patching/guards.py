"""What is torch's business: the calls for which fastinit is not known to do just what torch does."""

from __future__ import annotations

from functools import cache
from typing import Any, Final, TypeAlias

import torch
from torch import Generator, Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter
from torch.overrides import has_torch_function_unary

from fastinit import _native

__all__ = [
    "CONSTANTS",
    "ORTHOGONAL",
    "RANDOM",
    "REAL",
    "TRANSPARENT",
    "Kinds",
    "only_transparent_modes",
    "torchs_business",
]

Kinds: TypeAlias = frozenset[torch.dtype]
"""The element types that torch's function takes, of those that fastinit's does. For others torch has its error."""

ORTHOGONAL: Final[Kinds] = frozenset({torch.float32, torch.float64})
REAL: Final[Kinds] = ORTHOGONAL | {torch.float16, torch.bfloat16}
RANDOM: Final[Kinds] = REAL | {torch.complex64, torch.complex128}
CONSTANTS: Final[Kinds] = RANDOM | {torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}


def torchs_business(tensor: Any, kinds: Kinds, generator: Any) -> str | None:
    """Why a fill of ``tensor`` is left to torch, as a word or a few; None where it is not."""
    kind = type(tensor)
    if kind is not Tensor and kind is not Parameter:
        return "a subclass" if isinstance(tensor, Tensor) else "not a tensor"
    if has_torch_function_unary(tensor) and not only_transparent_modes():
        return "a torch function mode"  # it wants to see what torch would call
    if not tensor.is_cpu and not (tensor.is_cuda and _cuda()):
        return f"the device {tensor.device.type}"
    if tensor.layout is not torch.strided or tensor.is_nested:
        return "the layout"
    if tensor.dtype not in kinds:
        return f"the type {str(tensor.dtype).removeprefix('torch.')}"
    if tensor.numel() == 0:
        return "no elements"  # torch divides by fans of 0, or not
    if generator is not None and not (isinstance(generator, Generator) and generator.device.type == tensor.device.type):
        return "a generator of another device or kind"
    if torch._C._len_torch_dispatch_stack():
        return "a torch dispatch mode"
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return "a function transform"
    if torch._C._get_tracing_state() is not None:
        return "tracing"
    if forward_ad._current_level >= 0:
        return "forward-mode differentiation"  # a fill leaves no tangent
    return None


TRANSPARENT: Final[set[type]] = set()
"""Our own modes, which let a fill be fastinit's."""


def only_transparent_modes() -> bool:
    """Whether no mode is on that wants to see what torch would call."""
    from torch.utils._device import DeviceContext  # it is loaded where one is active, and need not be elsewhere

    # torch.device as a context says where new tensors go; to a fill it means nothing.
    modes = torch.overrides._get_current_function_mode_stack()  # type: ignore[no-untyped-call]
    return all(type(mode) is DeviceContext or type(mode) in TRANSPARENT for mode in modes)


@cache
def _cuda() -> bool:
    return _native.facts()["cuda"] is not None
