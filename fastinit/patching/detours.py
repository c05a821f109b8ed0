"""The ways to a parameter that pass by torch's functions: while fills are put off, those that Python can see wait.

A thread that is started, a tensor that is made of another's memory (``nn.Parameter(other.weight)``), a tensor that is
handed out by DLPack, two that are swapped, and Dynamo, which takes modes apart before it runs them: each is a function
that somebody calls. While any `Deferral` is entered they first do what the calling thread has put off. Each is put back
as it was found, unless somebody has replaced it meanwhile; then ours stays beneath, and finds nothing to do.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any, Final

import torch
import torch.utils.dlpack

from fastinit.patching.deferral import Deferral
from fastinit.patching.watch import Watch

__all__ = ["hold", "release"]

DYNAMO: Final = "torch._dynamo.callback"  # loaded by the first use of torch.compile

_lock = threading.Lock()
_holders = 0
_INHERITED: Final = object()


def hold() -> None:
    """Have the detours watched until `release`."""
    global _holders
    with _lock:
        _holders += 1
        if _holders == 1:
            for detour in _DETOURS:
                detour.watch()
            if DYNAMO in sys.modules:
                _watch_dynamo(sys.modules[DYNAMO])
            else:
                sys.meta_path.insert(0, _import)


def release() -> None:
    """Put everything back where no other holder is left."""
    global _holders
    with _lock:
        _holders -= 1
        if _holders == 0:
            for detour in (*_DETOURS, *_of_dynamo):
                detour.leave()
            _of_dynamo.clear()
            if _import in sys.meta_path:
                sys.meta_path.remove(_import)


def _settle(*_: Any) -> None:
    """Do what this thread has put off."""
    for mode in torch.overrides._get_current_function_mode_stack():  # type: ignore[no-untyped-call]
        if isinstance(mode, Deferral):
            mode.settle()


def _settle_this(_: type, data: Any, *__: Any) -> None:
    """The same, where that concerns what a tensor is made of: every parameter of a model comes by here."""
    for mode in torch.overrides._get_current_function_mode_stack():  # type: ignore[no-untyped-call]
        if isinstance(mode, Deferral) and mode.awaits(data):
            mode.settle()


class _Detour:
    """An attribute of a class or module, and what is to be done before it is called."""

    def __init__(self, owner: Any, name: str, first: Callable[..., None] = _settle, *, static: bool = False) -> None:
        self._owner = owner
        self._name = name
        self._first = first
        self._static = static
        self._own: Any = None
        self._ours: Any = None

    def watch(self) -> None:
        """Put ours over what is there."""
        then, first = getattr(self._owner, self._name), self._first

        @wraps(then)
        def ours(*args: Any, **kwargs: Any) -> Any:
            first(*args)
            return then(*args, **kwargs)

        self._own = vars(self._owner).get(self._name, _INHERITED)
        self._ours = staticmethod(ours) if self._static else ours
        setattr(self._owner, self._name, self._ours)

    def leave(self) -> None:
        """Put back what was there."""
        if vars(self._owner).get(self._name) is self._ours:
            if self._own is _INHERITED:
                delattr(self._owner, self._name)
            else:
                setattr(self._owner, self._name, self._own)
        self._own = self._ours = None


_DETOURS: Final = (
    _Detour(threading.Thread, "start"),
    _Detour(torch.Tensor, "_make_subclass", _settle_this, static=True),
    _Detour(torch.utils.dlpack, "to_dlpack"),
    _Detour(torch, "to_dlpack"),
    _Detour(torch.utils, "swap_tensors"),
)
_of_dynamo: list[_Detour] = []


def _watch_dynamo(module: ModuleType) -> None:
    # What comes around each compilation; callbacks that are registered there would be forgotten by torch._dynamo.reset.
    detour = _Detour(module.CompilationCallbackHandler, "install_callbacks")
    detour.watch()
    _of_dynamo.append(detour)


def _after_dynamo(module: ModuleType) -> None:
    with _lock:
        if _holders and not _of_dynamo:
            _watch_dynamo(module)


_import = Watch(DYNAMO, _after_dynamo)
