"""Where the patch is on: in the contexts that entered a scope, and everywhere while it is installed.

Functions and methods are shared by all threads, so what replaces them asks here, at every call, whether its caller is
meant.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

from fastinit.patching import detours
from fastinit.patching.counts import Counts
from fastinit.patching.deferral import Deferral

__all__ = ["Entry", "current", "deferral", "enter", "everywhere", "innermost", "leave"]


@dataclass(eq=False)
class Entry:
    """A scope that was entered once."""

    counts: Counts
    deferral: Deferral | None
    thread: int = field(default_factory=threading.get_ident)
    open: bool = True
    """Copies of the context in which it was entered keep it, and a scope may be left in another than it was entered."""


_entered: ContextVar[tuple[Entry, ...]] = ContextVar("fastinit.patch", default=())  # the innermost comes first
_everywhere: tuple[Counts, ...] = ()  # one or none


def current() -> tuple[Counts, ...]:
    """The tallies that a call made here and now belongs to; none where the patch is off."""
    return tuple(entry.counts for entry in _entered.get() if entry.open) + _everywhere


def deferral() -> Deferral | None:
    """Where a fill made here and now may be put off; None where it may not."""
    return next((entry.deferral for entry in _entered.get() if entry.open and entry.deferral is not None), None)


def enter(defer: bool) -> Entry:
    """Open a scope in the calling context."""
    # Where fills are put off already, that goes on.
    entry = Entry(Counts(), Deferral() if defer and deferral() is None else None)
    if entry.deferral is not None:
        detours.hold()
        entry.deferral.enter()
    _entered.set((entry, *_entered.get()))
    return entry


def innermost(entries: Sequence[Entry]) -> Entry:
    """Of these, the one to be left next: the last of the calling context, or else of the thread, or else of all.

    Raises:
        RuntimeError: there is none.
    """
    if not entries:
        raise RuntimeError("the scope of fastinit.patch is left more often than it was entered")
    here = next((entry for entry in _entered.get() if entry in entries), None)
    thread = threading.get_ident()
    return here or next((entry for entry in reversed(entries) if entry.thread == thread), entries[-1])


def leave(entry: Entry) -> None:
    """Close it: the innermost scope, or another, of the calling context, or of any."""
    entry.open = False
    _entered.set(tuple(one for one in _entered.get() if one is not entry))
    if entry.deferral is not None:
        try:
            entry.deferral.leave()
        finally:
            detours.release()


def everywhere(counts: Counts | None) -> None:
    """Turn the patch on for all contexts, with this tally, or off."""
    global _everywhere
    _everywhere = (counts,) if counts is not None else ()
