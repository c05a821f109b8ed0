"""Puts fastinit's code in the place of torch's while somebody needs it, and takes it away again.

**A function keeps its identity and gets other code** (``function.__code__``). Whoever holds torch's function, under
whatever name, reaches the replacement: a name imported from torch.nn.init, a dictionary of "originals"
(transformers.initialization), a default argument, a partial. Nothing has to be looked for in other modules, so entering
costs the same with ten modules loaded or ten thousand; modules imported meanwhile need no care, and nothing that
outlives the patch holds anything of it. Whoever replaces the name ``torch.nn.init.normal_``, before, meanwhile or after
(transformers' guards do), finds and puts back the same object as ever, in any order.

**Methods of tensors** are made in C and have no such code. They get an attribute of ``torch.Tensor``, before the one
that the class inherits; it is deleted afterwards.

**timm's helpers** are functions like torch's, in a module that may be imported after the patch is on.
"""

from __future__ import annotations

import inspect
import sys
import threading
from types import CodeType, FunctionType, ModuleType

import torch

from fastinit.patching import init_names, timm_names
from fastinit.patching.methods import METHODS
from fastinit.patching.routes import ROUTES
from fastinit.patching.watch import Watch

__all__ = ["hold", "release"]

TIMM = "timm.layers.weight_init"

_lock = threading.Lock()
_holders = 0
_replaced: list[tuple[FunctionType, CodeType, CodeType]] = []  # with its own code, and with ours


def hold() -> None:
    """Have the replacements in place until `release`."""
    global _holders
    with _lock:
        if _holders == 0:
            _put()
        _holders += 1


def release() -> None:
    """Take the replacements away where no other holder is left."""
    global _holders
    with _lock:
        _holders -= 1
        if _holders == 0:
            _take_away()


def _put() -> None:
    _replace_functions(torch.nn.init, init_names)
    if TIMM in sys.modules:
        _replace_functions(sys.modules[TIMM], timm_names)
    sys.meta_path.insert(0, _watch)
    for name, method in METHODS.items():
        if name not in vars(torch.Tensor):  # where it is there already, somebody else has reasons of their own
            setattr(torch.Tensor, name, method)


def _take_away() -> None:
    for name, method in METHODS.items():
        if vars(torch.Tensor).get(name) is method:
            delattr(torch.Tensor, name)
    if _watch in sys.meta_path:
        sys.meta_path.remove(_watch)
    while _replaced:
        function, own, ours = _replaced.pop()
        # Code that somebody has put over ours stays. If it calls ours, that does what torch does: no scope is left.
        if function.__code__ is ours:
            function.__code__ = own


def _replace_functions(module: ModuleType, entries: ModuleType) -> None:
    for name in entries.__all__:
        entry: FunctionType = getattr(entries, name)
        way = ROUTES[entries.PREFIX + name]
        if way.function is None:
            way.function = _function(module, name, entry)
            if way.function is None:
                continue
        way.torchs = _with_its_own_code(way.function)
        own = way.function.__code__
        # It says that it is where torch's is, for torch.jit.script, which compiles the source that it finds there.
        ours = entry.__code__.replace(co_filename=own.co_filename, co_firstlineno=own.co_firstlineno)
        way.function.__code__ = ours
        _replaced.append((way.function, own, ours))


def _function(module: ModuleType, name: str, entry: FunctionType) -> FunctionType | None:
    """The module's own function of that name and the entry's parameters, if it is there and not another's for now."""
    function = vars(module).get(name)
    if (
        isinstance(function, FunctionType)
        and function.__module__ == module.__name__
        and function.__closure__ is None
        and list(inspect.signature(function).parameters) == list(inspect.signature(entry).parameters)
    ):
        return function
    return None


def _with_its_own_code(function: FunctionType) -> FunctionType:
    """The function as it is before its code is replaced."""
    own = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__)
    own.__kwdefaults__ = function.__kwdefaults__
    own.__module__ = function.__module__
    return own


def _after_timm(module: ModuleType) -> None:
    with _lock:
        if _holders:
            _replace_functions(module, timm_names)


_watch = Watch(TIMM, _after_timm)

# Found now if they are in place now, for at another time they may be hidden behind another's replacements.
for _name in init_names.__all__:
    ROUTES[_name].function = _function(torch.nn.init, _name, getattr(init_names, _name))
