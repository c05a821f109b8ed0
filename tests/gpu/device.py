"""The device under test, tensors on it, and what the CPU writes beside them."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any, Final

import pytest
import torch
from torch import Tensor

import fastinit
from fastinit import Key
from fastinit.bench.memory import available_bytes
from fastinit.dispatch import Source
from initializers import Initializer
from laws import ORDINARY, Law, fill, same

DEVICE: Final = torch.device(os.environ.get("FASTINIT_GPU_STAND_IN", "cuda"))


def only_on_cuda() -> None:
    """Skip in a rehearsal: no other device can stand in."""
    if DEVICE.type != "cuda":
        pytest.skip(f"a rehearsal on {DEVICE}: this test is about CUDA itself")


def poisoned(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """A contiguous tensor on the device, every byte of which is set: nothing in it is right by chance.

    (Memory that is merely allocated may hold what the test before left there, which is often the same numbers.)
    """
    size = math.prod(shape) * dtype.itemsize
    return torch.full((size,), 0xA5, dtype=torch.uint8, device=DEVICE).view(dtype).view(shape)


def filled(law: Law, dtype: torch.dtype, *shape: int, source: Source = ORDINARY) -> Tensor:
    """What a fill of an ordinary contiguous tensor on the device gives."""
    result: Tensor = fill(law, poisoned(*shape, dtype=dtype), source)
    return result


def both(initializer: Initializer, *shape: int, source: Source = ORDINARY) -> tuple[Tensor, Tensor]:
    """An initializer on the device, and on the CPU."""
    ours: Tensor = initializer(poisoned(*shape), source)
    return ours, initializer(torch.empty(shape), source)


def exact(initializer: Initializer) -> bool:
    """Whether all its bits are the same on every device; products of matrices round as the device's library does."""
    return bool(initializer.function.__module__ != "fastinit.orthogonal")


def agree(initializer: Initializer, x: Tensor, y: Tensor) -> bool:
    """Equal bits; where those are not promised, to within rounding."""
    return same(x, y) if exact(initializer) else torch.allclose(x.cpu(), y.cpu(), rtol=0, atol=1e-5)


def cuda_domain() -> int:
    """The number of the domain in which keys are drawn from CUDA generators: philox.h alone says it."""
    header = Path(__file__).parents[2] / "csrc" / "stream" / "philox.h"
    found = re.search(r"\bCudaGenerator\s*=\s*(0x[0-9a-fA-F]+|\d+)", header.read_text())
    assert found is not None
    return int(found.group(1), 0)


def drawn_key(seed: int, offset: int) -> Key:
    """The key of a draw from a CUDA generator with this seed, at this Philox offset (docs/stream.md, section 5)."""
    return Key(fastinit._native.fold_in(seed, offset, cuda_domain()))


def needs(size: int) -> None:
    """Skip where the device, or for the CPU's part of a comparison the machine, has not so many bytes free."""
    if DEVICE.type == "cuda":
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info()
    else:
        free = available_bytes() or 0
    if free < size:
        pytest.skip(f"needs {size / 2**30:.1f} GiB on {DEVICE}, where {free / 2**30:.1f} GiB are free")


def identical(x: Tensor, y: Tensor) -> bool:
    """Whether all bits are equal, compared where the tensors are: for those too large to bring to the CPU."""
    return x.dtype == y.dtype and torch.equal(x.contiguous().view(torch.uint8), y.contiguous().view(torch.uint8))


def generator(seed: int) -> Any:
    """A generator of the device."""
    return torch.Generator(DEVICE).manual_seed(seed)


def new_stream() -> torch.cuda.Stream:
    """A stream of its own on the current device."""
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]
