"""The tables of the GPU suite, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .calls import Calls
from .fills import DTYPES
from .gpu import Results
from .initialise import Initialised
from .report import Sheet, figure
from .sweep import Cell
from .tables import verdicts_sheet

_COLUMNS = (
    "op",
    "dtype",
    "layout",
    "elements",
    "us",
    "G/s",
    "GB/s",
    "of memset",
    "x torch",
    "x cuRAND",
    "instructions",
)
_NOTES = (
    "us is the device's time for the fill, the cache flushed before it; G/s is 1e9 elements a second; instructions are "
    "those of the kernel's inner loop for one element.  "
    "* torch was timed on a smaller tensor (the JSON says how small) and its rate taken."
)


def sheets(results: Results) -> list[Sheet]:
    """All tables that have a line, in the order in which one reads them."""
    floors = verdicts_sheet(results.verdicts)
    contiguous = [cell for cell in results.cells if cell.point.layout == "contiguous"]
    largest = {(cell.point.op, cell.point.dtype): cell for cell in sorted(contiguous, key=lambda c: c.point.log2)}
    compared = [cell for cell in results.cells if cell.point.layout != "contiguous"]
    single = [cell for cell in contiguous if cell.point.dtype == "float32"]
    every = [
        Sheet(floors.title, *_without(floors, "threads"), floors.notes),
        _cells("The largest tensors", largest.values(), results),
        _cells("float32, by size", single, results),
        _cells("Other layouts", compared, results),
        _calls(results.calls),
        _models(results.models),
        _kernels(results),
        Sheet("Not measured", ("what, and why",), [(line,) for line in results.left_out]),
    ]
    return [sheet for sheet in every if sheet.rows]


def _without(sheet: Sheet, column: str) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of a sheet but for one column."""
    at = list(sheet.columns).index(column)
    columns, *rows = [[*row[:at], *row[at + 1 :]] for row in (sheet.columns, *sheet.rows)]
    return columns, rows


def _cells(title: str, cells: Iterable[Cell], results: Results) -> Sheet:
    return Sheet(title, _COLUMNS, [_cell_row(cell, results) for cell in cells], _NOTES)


def _cell_row(cell: Cell, results: Results) -> tuple[str, ...]:
    point, own = cell.point, cell.rate_of_fastinit / 1e9
    smaller = "*" if "torch" in cell.timings and cell.torch_log2 < point.log2 else ""
    return (
        point.op,
        point.dtype,
        point.layout,
        f"2^{point.log2}",
        figure(cell.timings["fastinit"].seconds * 1e6),
        figure(own),
        figure(own * DTYPES[point.dtype].itemsize),
        f"{cell.share:.0%}",
        figure(cell.ratio("torch")) + smaller,
        figure(cell.ratio("curand")),
        figure(results.instructions(point)),
    )


def _calls(rows: Sequence[Calls]) -> Sheet:
    """Microseconds a call."""
    columns = ("op", "elements", "us", "torch us", "x torch", "memset us", "graph us", "torch graph us", "x torch")
    notes = "A call in a stream of calls, from idle to idle, and one of those replayed from a CUDA graph; float32."
    return Sheet("The cost of a call", columns, [_call_row(row) for row in rows], notes)


def _call_row(row: Calls) -> tuple[str, ...]:
    def us(name: str) -> str:
        return figure(row.timings[name].seconds * 1e6) if name in row.timings else "-"

    return (
        row.op,
        f"2^{row.log2}",
        us("fastinit"),
        us("torch"),
        figure(row.ratio()),
        us("memset"),
        us("fastinit in graph"),
        us("torch in graph"),
        figure(row.ratio(" in graph")),
    )


def _models(models: Sequence[Initialised]) -> Sheet:
    columns = ("model", "parameters", "elements", "dtype", "ms", "loop ms", "torch ms", "x torch", "GB/s", "of memset")
    notes = "ms is fastinit.foreach, loop a call of fastinit for each parameter; the host's time from idle to idle."
    return Sheet("Whole models", columns, [_model_row(model) for model in models], notes)


def _model_row(model: Initialised) -> tuple[str, ...]:
    seconds = {name: timing.seconds for name, timing in model.timings.items()}
    return (
        model.model.name,
        f"{len(model.model.parameters):,}",
        f"{model.model.elements:,}",
        str(model.model.dtype).removeprefix("torch."),
        figure(seconds["foreach"] * 1e3),
        figure(seconds["fastinit loop"] * 1e3),
        figure(seconds["torch loop"] * 1e3),
        figure(model.ratio("torch loop")),
        figure(model.model.size / seconds["foreach"] / 1e9),
        f"{model.ratio('memset'):.0%}",
    )


def _kernels(results: Results) -> Sheet:
    columns = ("kernel", "instructions", "stores", "by opcode")
    rows = [
        (
            loop.kernel.removeprefix("void ").split("(")[0].replace("fastinit::", "").replace("cuda::", ""),
            str(loop.instructions),
            str(loop.stores_128),
            ", ".join(f"{name} {count}" for name, count in list(loop.histogram.items())[:6]),
        )
        for loop in results.loops
    ]
    notes = "Of the inner loop, an iteration: all instructions, stores of 16 bytes, and the six commonest opcodes."
    return Sheet("Compiled kernels", columns, rows, notes)
