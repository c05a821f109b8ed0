"""Where the patch is on: in the contexts that entered a scope, and everywhere while it is installed.

Functions and methods are shared by all threads, so what replaces them asks here, at every call, whether its caller is
meant.
"""

from __future__ import annotations

from contextvars import ContextVar

from fastinit.patching.counts import Counts

__all__ = ["current", "enter", "everywhere", "leave"]

_entered: ContextVar[tuple[Counts, ...]] = ContextVar("fastinit.patch", default=())  # the innermost comes first
_everywhere: tuple[Counts, ...] = ()  # one or none


def current() -> tuple[Counts, ...]:
    """The tallies that a call made here and now belongs to; none where the patch is off."""
    return _entered.get() + _everywhere


def enter() -> Counts:
    """Open a scope in the calling context."""
    counts = Counts()
    _entered.set((counts, *_entered.get()))
    return counts


def leave() -> None:
    """Close the innermost scope of the calling context."""
    _entered.set(_entered.get()[1:])


def everywhere(counts: Counts | None) -> None:
    """Turn the patch on for all contexts, with this tally, or off."""
    global _everywhere
    _everywhere = (counts,) if counts is not None else ()
