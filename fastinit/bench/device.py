"""Where fills are timed: the memory, the clocks, the write limit and the rivals that one kind of device has.

The suites are written for any of them.  The CPU is here, the GPU in ``cuda.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, Protocol

from torch import Tensor

from .fills import Fill, numpy_run
from .memory import available_bytes, write_limit
from .timing import HOST, Clock, Run


class Device(Protocol):
    """What a suite asks of the device it measures."""

    name: str
    """As ``torch.device`` takes it."""
    clock: Clock
    """For fills: the time the device works."""
    wall: Clock
    """For calls: the time from idle to idle that whoever makes them waits."""

    def room(self) -> int | None:
        """Bytes that the tensors of one measurement may take; None where that is unknown."""

    def write_limit(self, threads: int) -> AbstractContextManager[Callable[[Tensor], None]]:
        """Gives a memset over a tensor's storage."""

    def rivals(self, fill: Fill, tensor: Tensor, block: Tensor) -> dict[str, Run]:
        """What else fills ``tensor``, or the dense ``block`` of as many bytes, beside fastinit, torch and memset."""

    def torch_limit(self, fill: Fill) -> int:
        """The log2 of the most elements that torch is timed at."""

    def recorded(self, run: Run, calls: int) -> Run:
        """So many calls as one, without the host's part in each where the device can do that (a CUDA graph)."""


class Cpu:
    """The processor."""

    name = "cpu"
    clock: Clock = HOST
    wall: Clock = HOST

    def room(self) -> int | None:
        """Half of the memory that can be had: torch's temporaries, and whoever else is there, need some."""
        available = available_bytes()
        return None if available is None else available // 2

    def write_limit(self, threads: int) -> AbstractContextManager[Callable[[Tensor], None]]:
        """Gives a memset over a tensor's storage, in one piece a thread."""
        return write_limit(threads)

    def rivals(self, fill: Fill, tensor: Tensor, block: Tensor) -> dict[str, Run]:
        """The ``fill_`` of torch, and NumPy where it draws the same."""
        numpy = numpy_run(fill, tensor)
        return {"fill_": lambda: block.fill_(1.0)} | ({"numpy": numpy} if numpy else {})

    def torch_limit(self, fill: Fill) -> int:
        """The log2 of the most elements that torch is timed at."""
        return fill.torch_limit

    def recorded(self, run: Run, calls: int) -> Run:
        """So many calls, one after the other."""

        def repeat() -> None:
            for _ in range(calls):
                run()

        return repeat


CPU: Final = Cpu()
