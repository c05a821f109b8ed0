"""What memory itself allows: the write limit, untouched pages, and the extra memory a fill takes."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
PAGE: Final = 4096
# Not zero: some processors (Zen 4 among them) clear whole lines to zero at twice the speed of any other store, and
# no random fill can be made of zeros alone.  The limit of a random fill is that of storing something.
BYTE: Final = 0x3F


@contextmanager
def write_limit(threads: int) -> Iterator[Callable[[Tensor], None]]:
    """Gives a memset over a tensor's storage, cut into one piece a thread: the fastest that a fill of it can be.

    The tensor must fill its storage without gaps, in whatever order of dimensions.
    """
    with ThreadPoolExecutor(max(threads - 1, 1)) as pool:

        def memset(tensor: Tensor) -> None:
            start, size = tensor.data_ptr(), tensor.numel() * tensor.element_size()
            piece = -(-size // threads)
            piece += -piece % PAGE  # whole pages, so that no two threads write the same cache line
            # ctypes lets go of the interpreter lock during the call, so the pieces run at the same time.
            rest = [
                pool.submit(ctypes.memset, start + at, BYTE, min(piece, size - at)) for at in range(piece, size, piece)
            ]
            ctypes.memset(start, BYTE, min(piece, size))
            wait(rest)

        yield memset


@contextmanager
def read_limit(threads: int) -> Iterator[Callable[[Tensor], None]]:
    """Gives a memcmp of a tensor's storage with itself, cut into one piece a thread: it reads all of it, and once.

    The second operand's bytes are those that have just come into the cache.
    """
    with ThreadPoolExecutor(max(threads - 1, 1)) as pool:
        compare = ctypes.CDLL(None).memcmp
        compare.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)

        def read(tensor: Tensor) -> None:
            start, size = tensor.data_ptr(), tensor.numel() * tensor.element_size()
            piece = -(-size // threads)
            piece += -piece % PAGE
            pieces = [(start + at, min(piece, size - at)) for at in range(0, size, piece)]
            rest = [pool.submit(compare, at, at, count) for at, count in pieces[1:]]
            compare(pieces[0][0], pieces[0][0], pieces[0][1])
            wait(rest)

        yield read


def touch(tensor: Tensor) -> Tensor:
    """Writes every page of the tensor's storage once, so that a fill pays for writing and not for page faults.

    Memory of a GPU is there when it is allocated.
    """
    if tensor.is_cuda:
        return tensor
    storage = tensor.untyped_storage()
    ctypes.memset(storage.data_ptr(), BYTE, storage.nbytes())
    return tensor


def release_freed() -> None:
    """Hands freed memory back to the system, so that the next large tensor lies on untouched pages (glibc only)."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def available_bytes() -> int | None:
    """Memory that can be had without swapping, or None where the system does not say (outside Linux)."""
    info = Path("/proc/meminfo")
    if not info.exists():
        return None
    for line in info.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def peak_extra_bytes(run: Callable[[Tensor], object], tensor: Tensor) -> int | None:
    """Bytes by which ``run(tensor)`` lifts the process's resident peak; None where it cannot be read.

    The tensor is touched first, and a smaller one of as many dimensions is run to load the code and start the threads,
    so that what is left is what the fill itself asks for.
    """
    touch(tensor)
    run(torch.empty([min(size, 512) for size in tensor.shape], dtype=tensor.dtype))
    return peak_lift(lambda: run(tensor))[1]


def peak_lift(run: Callable[[], T]) -> tuple[T, int | None]:
    """What ``run`` returns, and the bytes by which it lifts the process's resident peak; None where it cannot be read.

    Linux keeps the peak in ``VmHWM`` and resets it on request (proc(5)).
    """
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    try:
        reset.write_text("5")
    except OSError:  # another system, or one that forbids it
        return run(), None
    before = _peak(status)
    result = run()
    return result, max(0, _peak(status) - before)


def _peak(status: Path) -> int:
    for line in status.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this kernel's /proc/self/status has no VmHWM")
