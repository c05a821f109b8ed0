"""The GPU as a device to measure: time by CUDA events behind a flushed cache, memset by the driver, calls in graphs."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor

from .curand import Curand
from .fills import Fill
from .memory import BYTE
from .timing import Clock, Run

# What is written between samples: twice the second-level cache would push a buffer out of it; so much more gives the
# host time to hand over the call that is timed while the device still writes, so that the device never waits for it.
FLUSH_BYTES: Final = 2**29


class Flush:
    """Empties the second-level cache of whatever was filled before, by writing something larger."""

    def __init__(self, device: torch.device) -> None:
        cache = torch.cuda.get_device_properties(device).L2_cache_size
        self.buffer = torch.empty(max(FLUSH_BYTES, 2 * cache), dtype=torch.uint8, device=device)

    def __call__(self) -> None:
        """Hands the write over to the current stream and does not wait for it."""
        self.buffer.zero_()


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


class EventClock:
    """The time the device works, between two events on the current stream.

    The second event is waited for, so each sample begins with nothing else under way but the flush.  What the events
    themselves cost, all rivals bear alike.
    """

    def __init__(self, flush: Callable[[], None]) -> None:
        self.flush = flush

    def settle(self) -> None:
        """Comes before every sample."""
        self.flush()

    def elapsed(self, run: Run, calls: int) -> float:
        """Seconds of the device that so many calls take."""
        start, end = _event(), _event()
        start.record()
        for _ in range(calls):
            run()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / 1e3


class WallClock:
    """The host's time from an idle device to an idle device: what whoever makes the calls waits."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self.flush = flush

    def settle(self) -> None:
        """Comes before every sample."""
        self.flush()
        torch.cuda.synchronize()

    def elapsed(self, run: Run, calls: int) -> float:
        """Seconds until so many calls have been made and carried out."""
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(calls):
            run()
        torch.cuda.synchronize()
        return time.perf_counter() - start


class Memset:
    """``cuMemsetD8Async`` of the CUDA driver, which is what ``cudaMemsetAsync`` comes down to.

    torch's own fills of a byte other than zero are kernels of torch's.  The driver's library is on every machine that
    has a GPU, however torch was linked with the CUDA runtime.  The byte is not zero, as on the CPU.
    """

    def __init__(self) -> None:
        self._call = ctypes.CDLL("libcuda.so.1").cuMemsetD8Async
        self._call.argtypes = [ctypes.c_uint64, ctypes.c_ubyte, ctypes.c_size_t, ctypes.c_void_p]

    def __call__(self, tensor: Tensor) -> None:
        """Writes the tensor's bytes, which must lie without gaps, on the current stream."""
        stream = torch.cuda.current_stream(tensor.device).cuda_stream
        status = self._call(tensor.data_ptr(), BYTE, tensor.numel() * tensor.element_size(), stream)
        if status != 0:
            raise RuntimeError(f"cuMemsetD8Async failed with CUresult {status}")


class Cuda:
    """The current CUDA device."""

    def __init__(self) -> None:
        device = torch.device("cuda", torch.cuda.current_device())
        flush = Flush(device)
        self.name = str(device)
        self.clock: Clock = EventClock(flush)
        self.wall: Clock = WallClock(flush)
        self._memset = Memset()
        self._curand = Curand.on_current_stream()

    def room(self) -> int:
        """Nearly all that is free: nobody else's allocations are expected."""
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info()
        return int(0.9 * free)

    @contextmanager
    def write_limit(self, threads: int) -> Iterator[Callable[[Tensor], None]]:
        """Gives the driver's memset."""
        del threads  # the device uses what it has
        yield self._memset

    def rivals(self, fill: Fill, tensor: Tensor, block: Tensor) -> dict[str, Run]:
        """The Philox generator of cuRAND, where it draws the same."""
        del block
        run = self._curand.run(fill, tensor) if self._curand else None
        return {"curand": run} if run else {}

    def torch_limit(self, fill: Fill) -> int:
        """The log2 of the most elements that torch is timed at."""
        return fill.torch_gpu_limit

    def recorded(self, run: Run, calls: int) -> Run:
        """So many calls captured in a CUDA graph; each run of it is one call of the host."""
        run()  # loads what it needs, which must not happen during the capture
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(calls):
                run()
        return graph.replay
