"""``isa``: the same cells with each instruction set forced, each in an interpreter of its own.

The set is chosen when the extension loads (``FASTINIT_ISA``), so a child measures each and hands its cells back
as the JSON file of a sweep.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastinit import _native

from .children import python
from .report import progress

Record = dict[str, Any]
OPS = ("uniform_", "normal_", "trunc_normal_ [-2, 2]", "trunc_normal_ [2, 4]", "constant_")


def by_instruction_set(sizes: Sequence[int], threads: Sequence[int]) -> dict[str, list[Record]]:
    """The records of a float32 contiguous sweep of the main ops, for every set this machine can run."""
    names = _native.facts()["isa_supported"]
    return {name: forced(name, sizes, threads) for name in progress(names, "instruction sets")}


def forced(name: str, sizes: Sequence[int], threads: Sequence[int]) -> list[Record]:
    """The records under one set, measured by a child that is held to it."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "fastinit", "bench", "sweep", "--full", "--out", folder]
        command += ["--ops", *OPS, "--dtypes", "float32", "--layouts", "contiguous"]
        command += ["--sizes", *map(str, sizes), "--threads", *map(str, threads)]
        python(*command, FASTINIT_ISA=name)
        results = json.loads((Path(folder) / "sweep.json").read_text())
    if results["machine"]["isa"] != name:
        raise RuntimeError(f"FASTINIT_ISA={name} ran {results['machine']['isa']}")
    cells: list[Record] = results["cells"]
    return cells


def one_thread_rates(records: dict[str, list[Record]], log2: int) -> dict[str, dict[str, float]]:
    """G elements a second on one thread at 2**log2 elements, by instruction set and op."""
    return {
        name: {
            cell["op"]: cell["elements_per_s"] / 1e9
            for cell in cells
            if cell["threads"] == 1 and cell["elements"] == 2**log2
        }
        for name, cells in records.items()
    }
