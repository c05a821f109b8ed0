"""Fills that are put off until something could see them, and not done at all where nothing does.

Building a model fills most parameters twice: a module by its default, then the model by its own rule. And of two tied
weights one is filled and then thrown away. What nobody looked at in between need not have been written, nor its memory
touched. A fill that is put off takes its key from the generator at once, so all draws are what they would be.

What sees a parameter has to come by here: while the mode is on, torch passes it every function and method that is
called with a tensor in this thread (``data_ptr``, ``numpy``, ``detach``, pickling and printing too). Functions that
tell or set something else than values are let through. Before any other that meets a parameter whose fill was put off,
all are done, in one call. A parameter qualifies if its memory is its own alone, so that there is no other way to it.

Some ways to a parameter do not come by here. Those that Python can see are watched (detours.py). Not covered, which is
why nothing is put off unless the caller asks for it: threads that were running already, TorchScript (functions and
modules of ``torch.jit.script`` read parameters past overrides), C++ extensions that take a tensor, and code that turns
torch functions off (``torch._C.DisableTorchFunction``).
"""

from __future__ import annotations

import sys
import threading
from collections import UserList
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Generator, Tensor
from torch.nn import Parameter, ParameterList
from torch.overrides import TorchFunctionMode, _pop_mode, _push_mode

from fastinit import _native
from fastinit.dispatch import CONSTANT
from fastinit.keys import Key
from fastinit.many import Law, fill_many
from fastinit.patching.counts import Counts
from fastinit.patching.guards import TRANSPARENT
from fastinit.shards import Shard

__all__ = ["Deferral", "LawOf"]

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

    def __init__(self) -> None:
        super().__init__()
        self._fills: dict[int, _Fill] = {}  # by the parameter's id, which is its own while it is held here
        # Others than the thread that entered may come here, with a copy of its context. Again from within: a tensor
        # that is let go may run anything.
        self._lock = threading.RLock()

    def enter(self) -> None:
        """See what this thread calls, from now on."""
        _push_mode(self)  # type: ignore[no-untyped-call]

    def leave(self) -> None:
        """Stop that, whatever modes have been entered since, and do what was put off.

        Where another thread entered, its mode stays and does nothing: nobody can put off any more.
        """
        above = []
        if self._is_on():
            while (mode := _pop_mode()) is not self:  # type: ignore[no-untyped-call]
                above.append(mode)
            for mode in reversed(above):
                _push_mode(mode)  # type: ignore[no-untyped-call]
        self.settle()

    def awaits(self, tensor: Any) -> bool:
        """Whether a fill of it was put off."""
        return id(tensor) in self._fills

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Do what was put off before it can be seen, then what was called."""
        if self._fills and (
            not _PLAIN.issuperset(types)  # a subclass may look at anything, and meanwhile torch does not tell the mode
            or func in _CALLING_BACK
            or (func not in _BLIND and any(map(self.awaits, _values((args, kwargs)))))
        ):
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
        if not self._watches():
            self.settle()  # whoever calls may look at the parameter, or have somebody look, unseen
            return False
        with torch._C.DisableTorchFunction(), self._lock:
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
        """Do all that was put off.

        Raises:
            The first error of a fill, after all others were done.
        """
        if not self._fills:
            return
        with torch._C.DisableTorchFunction(), self._lock:
            fills = list(self._fills.values())  # they count as put off until they are done, for other threads
            kept = []
            for fill in fills:
                if sys.getrefcount(fill.tensor) <= 2 and fill.tensor._use_count() == 1:  # type: ignore[attr-defined]  # by `fill` and the call
                    fill.never()
                else:
                    kept.append(fill)
            try:
                _do(kept)
            finally:
                self._fills = {}

    def _watches(self) -> bool:
        """Whether what this thread does now comes by here."""
        return self._is_on() and not torch._C._is_torch_function_all_disabled()

    def _is_on(self) -> bool:
        """Whether it is among this thread's modes."""
        stack = torch.overrides._get_current_function_mode_stack()  # type: ignore[no-untyped-call]
        return any(mode is self for mode in stack)


TRANSPARENT.add(Deferral)


def _do(fills: Sequence[_Fill]) -> None:
    """In one call, which refuses all where it refuses one; then one by one."""
    if not fills:
        return
    try:
        fill_many([fill.tensor for fill in fills], [fill.law for fill in fills], [fill.key for fill in fills])
    except Exception:
        errors = []
        for fill in fills:
            try:
                fill_many([fill.tensor], [fill.law], [fill.key])
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0] from None


_NO_KEY: Final = Key(0)
_CPU_GENERATOR: Final = 3  # the domain of keys that come from a generator: csrc/stream/philox.h


def _alone(tensor: Tensor) -> bool:
    """Whether a tensor is a parameter on the CPU whose memory nothing else shares."""
    if type(tensor) is not Parameter or not tensor.is_cpu or not tensor.is_contiguous() or tensor.is_inference():
        return False
    storage = tensor.untyped_storage()
    return (
        storage.nbytes() == tensor.nbytes
        and torch._C._storage_Use_Count(storage._cdata) <= 2  # and `storage`
        and storage.resizable()  # that of an array or a buffer is not
        and not storage.is_shared()
    )


def _drawn(generator: Generator | None) -> Key:
    """The key that a fill would take from the generator: docs/stream.md, section 5."""
    source = torch.default_generator if generator is None else generator
    word = torch.empty((), dtype=torch.int64, device="cpu").random_(-(2**63), None, generator=source).item()
    return Key(_native.fold_in(source.initial_seed() % 2**64, int(word) % 2**64, _CPU_GENERATOR))


_LISTS: Final = (list, tuple, set, frozenset, UserList, ParameterList)


def _values(value: Any) -> Iterator[Any]:
    """The tensors in arguments, at any depth."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Shard):
        yield value.local
    elif isinstance(value, dict):
        for one in value.values():
            yield from _values(one)
    elif isinstance(value, _LISTS):
        for one in value:
            yield from _values(one)


_PLAIN: Final = frozenset({Tensor, Parameter})

# What runs Python code of the caller's, unseen as that of a subclass.
_CALLING_BACK: Final = frozenset(
    {
        *(torch.Tensor.backward, torch.Tensor.apply_, torch.Tensor.map_, torch.Tensor.map2_),
        *(torch.autograd.backward, torch.autograd.grad),
    }
)

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
