"""What is timed: every initializer, with the arguments and shapes it is timed at, and the layouts it writes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor

from .memory import touch
from .timing import Run

Shape = tuple[int, ...]
Layout = Literal["contiguous", "transposed", "row_strided", "channels_last"]

LAYOUTS: Final[tuple[Layout, ...]] = ("contiguous", "transposed", "row_strided", "channels_last")
DTYPES: Final[dict[str, torch.dtype]] = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float32,
        torch.float64,
        torch.bfloat16,
        torch.float16,
        torch.float8_e4m3fn,
        torch.float8_e5m2,
        torch.float8_e4m3fnuz,
        torch.float8_e5m2fnuz,
        torch.complex64,
        torch.complex128,
    )
}


MOST: Final = 32  # log2 of the elements of the largest tensor that is timed


@dataclass(frozen=True)
class Fill:
    """One initializer as a table row.

    ``call(init, tensor)`` runs it from ``init``, which is either ``fastinit`` or ``torch.nn.init``: one expression
    for both, so that both do the same work.
    """

    name: str
    call: Callable[[ModuleType, Tensor], object]
    # Where torch takes minutes it is timed at so many elements (a power of two), and its rate stands for the larger
    # sizes: on the CPU, and on a GPU.
    torch_limit: int = MOST
    torch_gpu_limit: int = MOST
    # No row beyond 2**limit elements: the cost grows faster than the tensor (orthogonal_).
    limit: int = MOST
    # What only makes sense for matrices, and what only for kernels.
    dims: tuple[int, ...] = (2, 4)
    # Where other libraries have the distribution too: uniform on [0, 1), or the standard normal.
    standard: Literal["uniform", "normal"] | None = None


def _trunc(low: float, high: float) -> Callable[[ModuleType, Tensor], object]:
    return lambda init, tensor: init.trunc_normal_(tensor, 0.0, 1.0, low, high)


FILLS: Final[dict[str, Fill]] = {
    fill.name: fill
    for fill in (
        Fill("uniform_", lambda init, t: init.uniform_(t), standard="uniform"),
        Fill("normal_", lambda init, t: init.normal_(t), standard="normal"),
        Fill("trunc_normal_ [-2, 2]", _trunc(-2.0, 2.0), torch_limit=22, torch_gpu_limit=28),
        Fill("trunc_normal_ [-3, 3]", _trunc(-3.0, 3.0), torch_limit=22, torch_gpu_limit=28),
        Fill("trunc_normal_ [-100, 100]", _trunc(-100.0, 100.0), torch_limit=22, torch_gpu_limit=28),
        Fill("trunc_normal_ [2, 4]", _trunc(2.0, 4.0), torch_limit=16, torch_gpu_limit=24),
        Fill("trunc_normal_ [8, 9]", _trunc(8.0, 9.0), torch_limit=16, torch_gpu_limit=24),
        Fill("constant_", lambda init, t: init.constant_(t, 0.5)),
        Fill("zeros_", lambda init, t: init.zeros_(t)),
        Fill("ones_", lambda init, t: init.ones_(t)),
        Fill("kaiming_uniform_", lambda init, t: init.kaiming_uniform_(t)),
        Fill("kaiming_normal_", lambda init, t: init.kaiming_normal_(t)),
        Fill("xavier_uniform_", lambda init, t: init.xavier_uniform_(t)),
        Fill("xavier_normal_", lambda init, t: init.xavier_normal_(t)),
        Fill("eye_", lambda init, t: init.eye_(t), dims=(2,)),
        Fill("dirac_", lambda init, t: init.dirac_(t), dims=(4,)),
        Fill("sparse_", lambda init, t: init.sparse_(t, 0.5), dims=(2,), torch_limit=24, torch_gpu_limit=20),
        Fill("orthogonal_", lambda init, t: init.orthogonal_(t), limit=22),
    )
}


def shape_of(log2: int, dims: int) -> Shape:
    """A shape of 2**log2 elements: as square a matrix as there is, or as square a bank of 2 x 2 kernels."""
    if dims == 4:
        rows, columns = shape_of(log2 - 2, 2)
        return rows, columns, 2, 2
    return 2 ** (log2 // 2), 2 ** (log2 - log2 // 2)


def dims_for(fill: Fill, layout: Layout) -> int | None:
    """How many dimensions this fill is timed at in this layout; None where the two do not go together."""
    if layout == "channels_last":
        return 4 if 4 in fill.dims else None
    return fill.dims[0]


def empty(shape: Shape, dtype: torch.dtype, layout: Layout, device: str = "cpu") -> Tensor:
    """A touched tensor of that shape in that layout."""
    if layout == "transposed":
        return touch(torch.empty((shape[1], shape[0], *shape[2:]), dtype=dtype, device=device)).transpose(0, 1)
    if layout == "row_strided":
        return touch(torch.empty((shape[0], 2 * shape[1], *shape[2:]), dtype=dtype, device=device))[:, : shape[1]]
    order = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    return touch(torch.empty(shape, dtype=dtype, device=device, memory_format=order))


def numpy_run(fill: Fill, tensor: Tensor) -> Run | None:
    """The same fill by NumPy's default Generator, in place; None where NumPy has none for this tensor."""
    if not tensor.is_contiguous() or tensor.dtype not in (torch.float32, torch.float64):
        return None
    out, generator = tensor.numpy(), np.random.default_rng(0)
    if fill.standard == "uniform":
        return lambda: generator.random(dtype=out.dtype.type, out=out)
    if fill.standard == "normal":
        return lambda: generator.standard_normal(dtype=out.dtype.type, out=out)
    return None
