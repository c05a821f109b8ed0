"""``orthogonal``: orthogonal matrices beside torch's, by size and shape, with their error beside their time.

The rate is that of the operations that the product of the reflectors takes, 2 m n^2 - 2/3 n^3 for m x n, beside that of
torch.mm on such matrices in the same run. The error is max |Q* Q - 1|, computed in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch
from torch import Tensor

import fastinit

from .children import python
from .fills import DTYPES
from .floors import Verdict
from .memory import touch
from .report import progress
from .timing import Run, Timing, interleave


@dataclass(frozen=True)
class Case:
    """Matrices that are made in one call: one, or ``batch`` of them (torch loops over those)."""

    rows: int
    columns: int
    batch: int = 1
    dtype: str = "float32"
    # Floors, where something is promised: times torch's rate, and share of the rate of torch's products.
    times_torch: float | None = None
    share: float | None = None

    def __str__(self) -> str:
        """As in the table: ``256 x (64 x 64) bfloat16``."""
        matrix = f"{self.rows} x {self.columns}"
        return (f"{self.batch} x ({matrix})" if self.batch > 1 else matrix) + (
            "" if self.dtype == "float32" else f" {self.dtype}"
        )

    @property
    def operations(self) -> float:
        """Multiplications and additions, of real numbers."""
        m, n = max(self.rows, self.columns), min(self.rows, self.columns)
        return self.batch * (2 * m * n**2 - 2 / 3 * n**3) * (4 if DTYPES[self.dtype].is_complex else 1)


CASES: Final = (
    *(Case(n, n) for n in (2, 8, 24)),
    Case(64, 64, times_torch=3.0),
    *(Case(n, n) for n in (128, 256, 512)),
    Case(1024, 1024, times_torch=2.8),
    Case(2048, 2048, times_torch=2.6),
    Case(4096, 4096, times_torch=2.6, share=0.68),
    Case(8192, 1024, times_torch=2.4),
    Case(1024, 8192, times_torch=2.3),
    Case(4096, 16),
    Case(64, 64, batch=256, times_torch=10.0),
    Case(256, 256, batch=16),
    Case(1024, 1024, dtype="bfloat16"),
    Case(4096, 4096, dtype="bfloat16"),
    Case(1024, 1024, dtype="float64"),
    Case(1024, 1024, dtype="complex64"),
)
BFLOAT16_TIME: Final = 1.15  # of float32's, at most
EXTRA_MEMORY: Final = 1.5  # of the matrix, at most
MEMORY_FROM: Final = 2**22  # elements; below, a process's own comings and goings are as large
ERROR_UNITS: Final = 16  # of the type that is computed in


@dataclass(frozen=True)
class Result:
    """One case, measured. ``timings`` has torch and the product where torch can compute them."""

    case: Case
    threads: int
    timings: dict[str, Timing]
    error: float
    torch_error: float | None
    extra_bytes: int | None

    @property
    def times_torch(self) -> float | None:
        """How many times torch's rate."""
        return self.timings["torch"].seconds / self.timings["fastinit"].seconds if "torch" in self.timings else None

    @property
    def share(self) -> float | None:
        """The rate of operations, as a share of the rate of torch's own product."""
        if "product" not in self.timings:
            return None
        case, m, n = self.case, max(self.case.rows, self.case.columns), min(self.case.rows, self.case.columns)
        product = 2 * m * n**2 * (4 if DTYPES[case.dtype].is_complex else 1) / self.timings["product"].seconds
        return case.operations / self.timings["fastinit"].seconds / product

    @property
    def extra(self) -> float | None:
        """Peak extra memory, as a multiple of the tensor."""
        if self.extra_bytes is None:
            return None
        case = self.case
        return self.extra_bytes / (case.batch * case.rows * case.columns * DTYPES[case.dtype].itemsize)

    def record(self) -> dict[str, object]:
        """The result as it stands in the JSON file."""
        case = self.case
        return {
            "matrix": [case.rows, case.columns],
            "batch": case.batch,
            "dtype": case.dtype,
            "threads": self.threads,
            "seconds": {name: timing.seconds for name, timing in self.timings.items()},
            "samples": {name: timing.samples for name, timing in self.timings.items()},
            "ratio_to_torch": self.times_torch,
            "share_of_product_rate": self.share,
            "error": self.error,
            "torch_error": self.torch_error,
            "extra_memory": self.extra,
        }


def orthogonal(threads: Sequence[int], cases: Sequence[Case] = CASES, samples: int = 7) -> list[Result]:
    """Measures every case on every number of threads; about three minutes each."""
    before = torch.get_num_threads()
    results = []
    try:
        for case, count in progress([(case, count) for count in threads for case in cases], "orthogonal"):
            torch.set_num_threads(count)
            results.append(measure(case, count, samples))
    finally:
        torch.set_num_threads(before)
    return results


def measure(case: Case, threads: int, samples: int = 7) -> Result:
    """Times and checks one case."""
    shape = (case.batch, case.rows, case.columns)
    tensor = touch(torch.empty(shape, dtype=DTYPES[case.dtype]))
    runs: dict[str, Run] = {"fastinit": partial(fastinit.orthogonal_, tensor, batch_dims=1)}
    torch_error = None
    if case.dtype in ("float32", "float64"):  # torch has no others
        runs["torch"] = partial(by_torch, touch(torch.empty_like(tensor)))
        torch_error = departure(by_torch(torch.empty_like(tensor)))
    if case.batch == 1 and case.dtype != "bfloat16":
        tall = torch.randn(max(shape[1:]), min(shape[1:]), dtype=DTYPES[case.dtype])
        runs["product"] = partial(torch.mm, tall.T, tall)
    if case.dtype == "bfloat16":
        runs["float32"] = partial(fastinit.orthogonal_, touch(torch.empty(shape)), batch_dims=1)
    timings = interleave(runs, samples=samples)
    extra = extra_bytes(case, threads) if tensor.numel() >= MEMORY_FROM else None
    return Result(case, threads, timings, departure(tensor), torch_error, extra)


def extra_bytes(case: Case, threads: int) -> int | None:
    """Peak extra memory, in a process of its own: here it would come out of what rivals have left behind."""
    shown = python("-c", _EXTRA, str(case.batch), str(case.rows), str(case.columns), case.dtype, str(threads))
    return None if shown.strip() == "None" else int(shown)


_EXTRA: Final = """
import sys, functools, torch, fastinit
from fastinit.bench.memory import peak_extra_bytes
*shape, dtype, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
tensor = torch.empty([int(size) for size in shape], dtype=getattr(torch, dtype))
print(peak_extra_bytes(functools.partial(fastinit.orthogonal_, batch_dims=1), tensor))
"""


def by_torch(matrices: Tensor) -> Tensor:
    """What one does with torch alone."""
    for matrix in matrices:
        torch.nn.init.orthogonal_(matrix)
    return matrices


def departure(matrices: Tensor) -> float:
    """The largest of max |Q* Q - 1|, or of Q Q* where Q is wide."""
    worst = 0.0
    for matrix in matrices:
        q = matrix.to(torch.complex128 if matrix.is_complex() else torch.float64)
        product = q @ q.mH if q.shape[0] <= q.shape[1] else q.mH @ q
        worst = max(worst, float((product - torch.eye(len(product))).abs().max()))
    return worst


def verdicts(results: Sequence[Result]) -> list[Verdict]:
    """The promises about orthogonal matrices, each beside its figure."""
    found = []
    for result in results:
        case, threads = result.case, result.threads
        if case.times_torch is not None:
            found.append(
                Verdict(f"{case} against torch", threads, result.times_torch, "x", "at least", case.times_torch)
            )
        if case.share is not None:
            found.append(
                Verdict(f"{case}, operations against mm's", threads, result.share, "x", "at least", case.share)
            )
        if case.dtype == "bfloat16":
            value = result.timings["fastinit"].seconds / result.timings["float32"].seconds
            found.append(Verdict(f"{case} against float32", threads, value, "x", "at most", BFLOAT16_TIME))
        else:
            units = result.error / torch.finfo(DTYPES[case.dtype]).eps
            # A type with nothing wider sums its squares in itself.
            bound = ERROR_UNITS if case.dtype == "float32" else 3 * ERROR_UNITS
            found.append(Verdict(f"{case}, max |Q*Q - 1|", threads, units, "eps", "at most", bound))
        if case.dtype == "float32" and result.extra is not None:
            found.append(
                Verdict(f"{case}, extra memory", threads, result.extra, "x the matrix", "at most", EXTRA_MEMORY)
            )
    return found
