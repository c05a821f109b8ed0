"""A short program that runs every kernel of the CUDA backend, for compute-sanitizer to watch.

    PYTORCH_NO_CUDA_MEMORY_CACHING=1 compute-sanitizer --error-exitcode 1 python tests/gpu/sanitize.py

Each tensor ends where its memory ends (without torch's cache, which hands out parts of large blocks, a write behind it
is a write nobody owns), begins at any multiple of its elements, and has a size that leaves a rest of every kind.
With ``--beyond-the-end`` it writes where it must not, so that a test can see that the tool would notice.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterator

import torch
from torch import Tensor

import fastinit
from fastinit import Key, foreach, shard

TYPES = [
    *(torch.float32, torch.float64, torch.bfloat16, torch.float16),
    *(torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz),
]
# The bounds of a truncated normal, one pair for each form that serves it, and one that the plain normal serves.
BOUNDS = [(0.3, 0.31), (-2.0, 2.0), (2.0, 4.0), (-3.0, 3.0), (-math.inf, math.inf)]
KEY = Key(1, 2**32 - 300)  # the lower half of the block counter wraps on the way


def random_fills(tensor: Tensor, *, whole: tuple[int, ...] | None = None, offset: tuple[int, ...] = ()) -> int:
    """Every law on that tensor, or on it as a slice of the whole."""
    target = tensor if whole is None else shard(tensor, whole, offset)
    fastinit.uniform_(target, -1.0, 1.0, generator=KEY)
    fastinit.normal_(target, 1.0, 2.0, generator=KEY)
    for low, high in BOUNDS:
        fastinit.trunc_normal_(target, 0.0, 1.0, low, high, generator=KEY)
    return 2 + len(BOUNDS)


def flat(dtype: torch.dtype) -> Iterator[int]:
    """Consecutive memory: sizes around groups and tiles, from a multiple of 16 bytes and from beside one."""
    for size, start in itertools.product((1, 7, 4099, 16_411), (0, 1, 5)):
        yield random_fills(torch.empty(start + size, dtype=dtype, device="cuda")[start:])
    yield random_fills(torch.empty(4099, dtype=dtype, device="cuda"), whole=(9000,), offset=(4901,))


def strided(dtype: torch.dtype) -> Iterator[int]:
    """Transposed, with gaps, in many dimensions, and slices of columns."""
    yield random_fills(torch.empty(131, 77, dtype=dtype, device="cuda").t())
    yield random_fills(torch.empty(33, 45, dtype=dtype, device="cuda")[:, 2:])
    yield random_fills(torch.empty(9, 45, dtype=dtype, device="cuda")[::2, ::3])
    yield random_fills(torch.empty(3, 5, 7, 11, dtype=dtype, device="cuda").permute(3, 1, 0, 2))
    yield random_fills(torch.empty(40, 13, dtype=dtype, device="cuda"), whole=(77, 50), offset=(37, 37))


def others() -> Iterator[int]:
    """Constants, patterns, sparse and complex tensors, many at once, and keys of the device's own generator."""
    for dtype in (*TYPES, torch.complex128, torch.uint8):
        for size in (1, 17, 70_001):
            fastinit.constant_(torch.empty(size, dtype=dtype, device="cuda"), 3.0)
            fastinit.constant_(torch.empty(size, 3, dtype=dtype, device="cuda")[:, 1], 3.0)
            yield 2
    fastinit.eye_(torch.empty(70, 300, device="cuda"))
    fastinit.dirac_(torch.empty(32, 20, 3, 3, device="cuda").to(memory_format=torch.channels_last), groups=4)
    for rows, columns in ((1, 5), (1000, 7), (33, 129)):
        fastinit.sparse_(torch.empty(rows, columns, device="cuda"), 0.3, 1.0, KEY)
        fastinit.sparse_(torch.empty(columns, rows, device="cuda").t(), 0.9, 1.0, KEY)
    fastinit.normal_(torch.empty(1001, dtype=torch.complex64, device="cuda"), generator=KEY)
    fastinit.uniform_(torch.empty(31, 33, dtype=torch.complex128, device="cuda").t(), generator=KEY)
    yield 10
    for batch, rows, columns in ((1, 1, 1), (67, 3, 7), (5, 64, 64), (2, 1000, 8), (3, 33, 17)):
        for dtype in (torch.float32, torch.float64, torch.complex64, torch.complex128, torch.bfloat16):
            matrices = torch.empty(batch, rows, columns, dtype=dtype, device="cuda")
            fastinit.orthogonal_(matrices, generator=KEY, batch_dims=1)
            yield 1
    fastinit.special_orthogonal_(torch.empty(5, 21, 21, device="cuda"), generator=KEY, batch_dims=1)
    yield 1
    tensors = [torch.empty(1 + 37 * number % 5000, device="cuda") for number in range(700)]
    foreach.normal_(tensors, generator=KEY)
    foreach.uniform_([tensor[1:] for tensor in tensors], -1.0, 1.0)
    foreach.ones_(tensors)
    yield 3


def captured() -> Iterator[int]:
    """The kernels that read the state of the generator on the device."""
    tensor, across = torch.empty(4099, device="cuda"), torch.empty(70, 50, device="cuda").t()
    fastinit.normal_(tensor)
    fastinit.normal_(across)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        fastinit.normal_(tensor)
        fastinit.normal_(across)
        foreach.uniform_([tensor[:1000], tensor[1000:]])
    graph.replay()
    yield 5


def beyond_the_end() -> None:
    """A fill of memory that is not the tensor's: what must not pass unnoticed."""
    tensor = torch.empty(1000, device="cuda")

    class Longer:
        __cuda_array_interface__ = {  # noqa: RUF012 (the protocol asks for a plain dictionary)
            "shape": (1001,),
            "typestr": "<f4",
            "data": (tensor.data_ptr(), False),
            "version": 2,
        }

    fastinit.uniform_(torch.as_tensor(Longer(), device="cuda"), generator=KEY)
    torch.cuda.synchronize()


def main() -> None:
    """Run them all, and wait for the last."""
    fills = sum(sum(part(dtype)) for part in (flat, strided) for dtype in TYPES) + sum(others()) + sum(captured())
    torch.cuda.synchronize()
    print(f"{fills} fills")


if __name__ == "__main__":
    if "--beyond-the-end" in sys.argv:
        beyond_the_end()
    else:
        main()
