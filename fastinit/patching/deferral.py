"""Fills that are put off until something could see them, and not done at all where nothing does.

Building a model fills most parameters twice: a module by its default, then the model by its own rule. And of two tied
weights one is filled and then thrown away. What nobody looked at in between need not have been written, nor its memory
touched. A fill that is put off takes its key from the generator at once, so all draws are what they would be.

What sees a parameter has to come by here: while the mode is on, torch passes it every function and method that is
called with a tensor in this thread (``data_ptr``, ``numpy``, ``detach``, pickling and printing too). Functions that
tell or set something else than values are let through. Before any other that meets a parameter whose fill was put off,
all are done, in one call. A parameter qualifies if its memory is its own alone, so that there is no other way to it.

What does not come by here: other threads, and C++ code that takes a tensor without torch's dispatch of overrides. So
unless the caller asks for more, a fill is put off only while Python runs no other thread, and what waits is done before
one starts.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Generator, Tensor
from torch.nn import Parameter
from torch.overrides import TorchFunctionMode

from fastinit import _native
from fastinit.dispatch import CONSTANT
from fastinit.keys import Key
from fastinit.many import Law, fill_many
from fastinit.patching.counts import Counts
from fastinit.patching.guards import TRANSPARENT

__all__ = ["Deferral", "LawOf", "watch_threads"]

LawOf = Callable[..., Law | None]
"""From a shape and an initializer's arguments, its law; None if there is none for these."""


@dataclass
class _Fill:
    tensor: Tensor
    law: Law
    key: Key
    scopes: tuple[Counts, ...]

    def never(self) -> None:
        for counts in self.scopes:
            counts.never_seen(self.tensor.numel())


class Deferral(TorchFunctionMode):
    """The fills that are put off in one scope."""

    def __init__(self, *, among_threads: bool) -> None:
        super().__init__()
        self._among_threads = among_threads
        self._fills: dict[int, _Fill] = {}  # by the parameter's id, which is its own while it is held here

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Do what was put off before it can be seen, then what was called."""
        if self._fills and func not in _BLIND and any(id(value) in self._fills for value in _values((args, kwargs))):
            self.settle()
        return func(*args, **(kwargs or {}))

    def put_off(
        self,
        tensor: Tensor,
        law_of: LawOf,
        arguments: Sequence[Any],
        generator: Generator | None,
        scopes: tuple[Counts, ...],
    ) -> bool:
        """Note a fill for later, in place of one that is still to be done; False where it has to be done now.

        Raises:
            What the fill itself would.
        """
        if not self._among_threads and threading.active_count() > 1:
            self.settle()  # a thread that was started behind our back may look at what waits
            return False
        with torch._C.DisableTorchFunction():
            earlier = self._fills.get(id(tensor))
            if earlier is None and not _alone(tensor):
                return False
            law = law_of(tensor.shape, *arguments)
            if law is None:
                return False
            op, parameters = law
            probe = torch.empty(1 if op is CONSTANT else 0, dtype=tensor.dtype, device="cpu")
            op.direct(probe, *parameters)  # raises what is wrong; draws nothing
            key = _NO_KEY if op is CONSTANT else _drawn(generator)
            if earlier is not None:
                earlier.never()
                del self._fills[id(tensor)]
            self._fills[id(tensor)] = _Fill(tensor, law, key, scopes)
        return True

    def settle(self) -> None:
        """Do all that was put off."""
        with torch._C.DisableTorchFunction():
            fills, self._fills = list(self._fills.values()), {}
            kept = []
            for fill in fills:
                if sys.getrefcount(fill.tensor) <= 2 and fill.tensor._use_count() == 1:  # type: ignore[attr-defined]  # by `fill` and the call
                    fill.never()
                else:
                    kept.append(fill)
            if kept:
                fill_many([fill.tensor for fill in kept], [fill.law for fill in kept], [fill.key for fill in kept])


TRANSPARENT.add(Deferral)

_start: Final = threading.Thread.start
_watching = 0
_lock = threading.Lock()


def _settle_and_start(self: threading.Thread) -> None:
    """See `threading.Thread.start`."""
    for mode in torch.overrides._get_current_function_mode_stack():  # type: ignore[no-untyped-call]
        if isinstance(mode, Deferral):
            mode.settle()
    _start(self)


def watch_threads(more: int) -> None:
    """Have threads wait for what their starters put off, while so many more scopes want it."""
    global _watching
    with _lock:
        _watching += more
        if _watching and threading.Thread.start is _start:
            threading.Thread.start = _settle_and_start  # type: ignore[method-assign]
        elif not _watching and threading.Thread.start is _settle_and_start:
            threading.Thread.start = _start  # type: ignore[method-assign]


_NO_KEY: Final = Key(0)
_CPU_GENERATOR: Final = 3  # the domain of keys that come from a generator: csrc/stream/philox.h


def _alone(tensor: Tensor) -> bool:
    """Whether a tensor is a parameter on the CPU whose memory nothing else shares."""
    if type(tensor) is not Parameter or not tensor.is_cpu or not tensor.is_contiguous():
        return False
    storage = tensor.untyped_storage()
    return storage.nbytes() == tensor.nbytes and torch._C._storage_Use_Count(storage._cdata) <= 2  # and `storage`


def _drawn(generator: Generator | None) -> Key:
    """The key that a fill would take from the generator: docs/stream.md, section 5."""
    source = torch.default_generator if generator is None else generator
    word = torch.empty((), dtype=torch.int64, device="cpu").random_(-(2**63), None, generator=source).item()
    return Key(_native.fold_in(source.initial_seed() % 2**64, int(word) % 2**64, _CPU_GENERATOR))


def _values(values: Any) -> Iterator[Any]:
    """What is in arguments, at any depth."""
    if isinstance(values, list | tuple):
        for value in values:
            yield from _values(value)
    elif isinstance(values, dict):
        for value in values.values():
            yield from _values(value)
    else:
        yield values


# What says or changes nothing about values, and makes nothing that shares the memory.
_BLIND: Final = frozenset(
    {
        *(
            getattr(torch.Tensor, name).__get__
            for name in (
                *(
                    "shape",
                    "dtype",
                    "device",
                    "layout",
                    "requires_grad",
                    "ndim",
                    "itemsize",
                    "nbytes",
                    "is_leaf",
                    "grad",
                    "grad_fn",
                ),
                *("is_cpu", "is_cuda", "is_meta", "is_nested", "is_sparse", "is_quantized"),
            )
        ),
        torch.Tensor.requires_grad.__set__,  # type: ignore[attr-defined]
        *(
            getattr(torch.Tensor, name)
            for name in (
                *("size", "dim", "numel", "nelement", "element_size", "stride", "is_contiguous", "requires_grad_"),
                *("is_floating_point", "is_complex"),
            )
        ),
    }
)
