"""Where the patch is on: in the contexts that entered a scope, and everywhere while it is installed.

Functions and methods are shared by all threads, so what replaces them asks here, at every call, whether its caller is
meant.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

from fastinit.patching.counts import Counts
from fastinit.patching.deferral import Deferral, watch_threads

__all__ = ["current", "deferral", "enter", "everywhere", "leave"]

_entered: ContextVar[tuple[Counts, ...]] = ContextVar("fastinit.patch", default=())  # the innermost comes first
_deferrals: ContextVar[tuple[Deferral | None, ...]] = ContextVar("fastinit.deferrals", default=())  # one a scope
_everywhere: tuple[Counts, ...] = ()  # one or none


def current() -> tuple[Counts, ...]:
    """The tallies that a call made here and now belongs to; none where the patch is off."""
    return _entered.get() + _everywhere


def deferral() -> Deferral | None:
    """Where a fill made here and now may be put off; None where it may not."""
    return next((one for one in _deferrals.get() if one is not None), None)


def enter(defer: bool | None) -> Counts:
    """Open a scope in the calling context."""
    counts = Counts()
    # Tasks take turns in a thread, and modes are a thread's.
    wanted = asyncio._get_running_loop() is None if defer is None else defer
    # Where fills are put off already, that goes on.
    own = Deferral(among_threads=bool(defer)) if wanted and deferral() is None else None
    if own is not None:
        watch_threads(+1)
        own.__enter__()  # type: ignore[no-untyped-call]
    _entered.set((counts, *_entered.get()))
    _deferrals.set((own, *_deferrals.get()))
    return counts


def leave() -> None:
    """Close the innermost scope of the calling context."""
    own = _deferrals.get()[0]
    _entered.set(_entered.get()[1:])
    _deferrals.set(_deferrals.get()[1:])
    if own is not None:
        own.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        watch_threads(-1)
        own.settle()


def everywhere(counts: Counts | None) -> None:
    """Turn the patch on for all contexts, with this tally, or off."""
    global _everywhere
    _everywhere = (counts,) if counts is not None else ()
