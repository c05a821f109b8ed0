"""From meta to memory: each parameter allocated once, and nothing written that a fill would write again."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from fastinit.models.sites import Site

__all__ = ["allocate", "install", "meta_parameters"]


def allocate(site: Site, device: torch.device) -> Tensor:
    """Memory for a parameter on meta: same shape, strides, type and attributes; the values are whatever lies there.

    Raises:
        TypeError: a lazy parameter, or a class of parameter that says nothing of how it is made.
    """
    old = site.tensor
    if type(old) not in (Tensor, nn.Parameter, nn.Buffer):
        raise TypeError(f"{site.name}: cannot make a {type(old).__name__} on {device} from its description")
    # Not empty_like: from meta it goes through Python, and its first call imports some 500 modules.
    extent = 1 + sum((size - 1) * stride for size, stride in zip(old.shape, old.stride(), strict=True))
    dense = extent == old.numel() or old.numel() == 0
    new = torch.empty_strided(
        old.shape, old.stride() if dense else _contiguous(old.shape), dtype=old.dtype, device=device
    )
    if isinstance(old, nn.Parameter):
        new = nn.Parameter(new, requires_grad=old.requires_grad)
    new.__dict__.update(old.__dict__)  # what others have noted on it
    return new


def _contiguous(shape: Sequence[int]) -> list[int]:
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


def install(model: nn.Module, prefix: str, made: Iterable[tuple[Site, Tensor]]) -> None:
    """Put the new tensors where the old ones stood, under all their names."""
    modules = dict(model.named_modules(remove_duplicate=False))
    start = len(prefix) + 1 if prefix else 0
    for site, new in made:
        for name in site.names:
            path, _, own = name[start:].rpartition(".")
            module = modules[path]
            if site.is_buffer:
                module._buffers[own] = new
            else:
                setattr(module, own, new)  # not into _parameters: recurrent layers keep a second list


@contextmanager
def meta_parameters() -> Iterator[None]:
    """Build models whose parameters are on meta, and whose buffers are real.

    Within ``with torch.device("meta")`` buffers are on meta too, and whatever a constructor computed for them (position
    numbers, rotary frequencies, masks) is lost. Here only parameters move, each as it is registered, before anything
    is written to it. Other threads build as usual.

    Example:
        >>> import fastinit, torch
        >>> with fastinit.meta_parameters():
        ...     norm = torch.nn.BatchNorm1d(4)
        >>> norm.weight.device.type, norm.running_var.device.type
        ('meta', 'cpu')
    """
    global _users, _original
    with _lock:
        if _users == 0:
            _original = nn.Module.register_parameter
            nn.Module.register_parameter = _register_parameter  # type: ignore[method-assign]
        _users += 1
    outer = getattr(_here, "made", None)
    _here.made = {} if outer is None else outer
    try:
        yield
    finally:
        _here.made = outer
        with _lock:
            _users -= 1
            if _users == 0 and nn.Module.register_parameter is _register_parameter:
                nn.Module.register_parameter = _original  # type: ignore[method-assign]


_lock = threading.Lock()
_users = 0
_original = nn.Module.register_parameter
_here = threading.local()  # .made: by its id each parameter that was registered, which it keeps, and the one on meta


def _register_parameter(self: nn.Module, name: str, param: nn.Parameter | None) -> None:
    """See `torch.nn.Module.register_parameter`; where this thread wants it, what is registered is on meta."""
    _original(self, name, param)
    made = getattr(_here, "made", None)
    if made is None or param is None or param.device.type == "meta":
        return
    if id(param) not in made:
        on_meta: Any = nn.Parameter(param.detach().to("meta"), requires_grad=param.requires_grad)
        on_meta.__dict__.update(param.__dict__)
        made[id(param)] = param, on_meta
    self._parameters[name] = made[id(param)][1]
