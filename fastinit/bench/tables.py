"""The tables of the suites: one line a cell or a promise, in the units people compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .audit import Audited
from .fills import DTYPES
from .floors import Verdict
from .isa import Record
from .orthogonal import Result
from .report import MISSED, Sheet, figure
from .sweep import Cell

_SWEEP_NOTES = (
    "G/s is 1e9 elements a second; limit is the faster of memset and torch's fill_ on the same bytes.  "
    "* torch was timed on a smaller tensor (the JSON says how small) and its rate taken."
)


_COLUMNS = [
    "op",
    "dtype",
    "layout",
    "threads",
    "elements",
    "G/s",
    "GB/s",
    "of limit",
    "torch G/s",
    "x torch",
    "x numpy",
]


def cells_sheet(cells: Sequence[Cell]) -> Sheet:
    """The grid, one line a cell."""
    return Sheet("Sweep", _COLUMNS, [_cell_row(cell) for cell in cells], _SWEEP_NOTES)


def _cell_row(cell: Cell) -> tuple[str, ...]:
    point = cell.point
    torch_rate, own = cell.rate("torch"), cell.rate_of_fastinit / 1e9
    smaller = "*" if torch_rate is not None and cell.torch_log2 < point.log2 else ""
    return (
        point.op,
        point.dtype,
        point.layout,
        str(point.threads),
        f"2^{point.log2}",
        figure(own),
        figure(own * DTYPES[point.dtype].itemsize),
        f"{cell.share:.0%}",
        figure(torch_rate / 1e9 if torch_rate else None) + smaller,
        figure(cell.ratio("torch")),
        figure(cell.ratio("numpy")),
    )


def verdicts_sheet(verdicts: Sequence[Verdict]) -> Sheet:
    """The promises, one line each."""
    return Sheet("Floors", ("promise", "threads", "figure", "bound", "met"), [_verdict_row(v) for v in verdicts])


def _verdict_row(verdict: Verdict) -> tuple[str, ...]:
    bound = "-" if verdict.bound is None else f"{verdict.sense} {figure(verdict.bound)} {verdict.unit}"
    met = {True: "yes", False: MISSED, None: "-"}[verdict.met]
    return verdict.promise, str(verdict.threads), f"{figure(verdict.value)} {verdict.unit}", bound, met


def sets_sheet(records: Mapping[str, Sequence[Record]]) -> Sheet:
    """The sweeps under each instruction set, one line a cell; the machine's own choice stands in the head."""
    columns = ("instruction set", "op", "threads", "elements", "G/s", "of limit", "x torch")
    rows = [(name, *_set_row(cell)) for name, cells in records.items() for cell in cells]
    return Sheet("Instruction sets", columns, rows, _SWEEP_NOTES)


def _set_row(cell: Record) -> tuple[str, ...]:
    return (
        cell["op"],
        str(cell["threads"]),
        f"2^{cell['elements'].bit_length() - 1}",
        figure(cell["elements_per_s"] / 1e9),
        f"{cell['share_of_write_limit']:.0%}",
        figure(cell["ratio_to_torch"]),
    )


def orthogonal_sheet(results: Sequence[Result]) -> Sheet:
    """Orthogonal matrices, one line a shape, with their errors."""
    columns = ("matrices", "threads", "ms", "torch ms", "x torch", "of mm's rate", "error", "torch's", "extra memory")
    notes = "error is max |Q*Q - 1|; extra memory is the peak beyond the tensor, as a multiple of it."
    return Sheet("Orthogonal matrices", columns, [_orthogonal_row(result) for result in results], notes)


def _orthogonal_row(result: Result) -> tuple[str, ...]:
    torch = result.timings.get("torch")
    return (
        str(result.case),
        str(result.threads),
        figure(result.timings["fastinit"].seconds * 1e3),
        figure(torch.seconds * 1e3 if torch else None),
        figure(result.times_torch),
        "-" if result.share is None else f"{result.share:.0%}",
        f"{result.error:.1e}",
        "-" if result.torch_error is None else f"{result.torch_error:.1e}",
        figure(result.extra),
    )


def audits_sheet(results: Sequence[Audited]) -> Sheet:
    """Audits and mere readers of the same memory, one line each."""
    columns = ("what", "model", "threads", "ms", "GB/s", "of the fastest reader")
    rows = [
        (name, result.model.name, str(result.threads), figure(timing.seconds * 1e3), figure(rate / 1e9), f"{share:.0%}")
        for result in results
        for name, timing in result.timings.items()
        for rate, share in [(result.model.size / timing.seconds, result.limit / timing.seconds)]
    ]
    return Sheet("Audit", columns, rows, "memcmp compares the memory with itself; statistics is one call without bins.")
