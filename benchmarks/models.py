"""Initialises real models with torch.nn.init and with fastinit, under the same rules, and says how long each took.

    python benchmarks/models.py --models gpt2 gpt2-xl

Both libraries fill the same memory in turn: first fresh (its pages never touched, as when a model is made), then
again (touched, as when it is made anew in the same place).  Only the fills are timed.  What they wrote is checked
against the declared distributions, and a few weights are drawn over them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType
from typing import Final

import torch
from transformers import GPT2Config

import fastinit
from fastinit.bench.machine import describe
from fastinit.bench.memory import available_bytes, release_freed, write_limit
from fastinit.bench.report import Sheet, figure, progress, save_json, show
from fastinit.bench.timing import Timing, once
from gpt2 import SIZES, build, config, dematerialise, materialise, rules
from histograms import Picture, check, draw, histograms

LIBRARIES: Final[dict[str, ModuleType]] = {"torch": torch.nn.init, "fastinit": fastinit}
PAGES: Final = ("fresh", "touched")
MEMSET_BYTES: Final = 2**30  # of the block whose memset says what the memory allows, or the model's if it is smaller
Seconds = dict[tuple[str, str], list[float]]  # by (library or "memset", pages)
NOTES: Final = (
    "Seconds are medians of interleaved fills.  GB/s is fastinit's; memset is that of a block in the same state, on as "
    "many threads, which asks for no huge pages: on fresh memory fastinit can pass it.  "
    "Deviation: the farthest mean or spread of any weight from its rule, in standard errors (fastinit)."
)


class Run:
    """One model's measurements: seconds by library and state of the pages, and what was found in the weights."""

    def __init__(self, name: str, definition: GPT2Config, threads: int) -> None:
        self.name = name
        self.layers = int(definition.n_layer)
        self.model = build(definition)
        self.parameters = sum(parameter.numel() for parameter in self.model.parameters())
        self.bytes = sum(parameter.nbytes for parameter in self.model.parameters())
        self.threads = threads
        self.seconds: Seconds = {}
        self.pictures: dict[str, Picture] = {}
        self.deviations: dict[str, float] = {}

    def fill(self, library: str, seed: int) -> None:
        """Fills the model twice, fresh and touched, and notes the times; the last fill of each library is looked at."""
        release_freed()
        materialise(self.model)
        torch.manual_seed(seed)
        for pages in PAGES:
            taken = once(lambda: rules(self.model, self.layers, LIBRARIES[library]))
            self.seconds.setdefault((library, pages), []).append(taken)

    def look(self, library: str) -> None:
        """Keeps histograms of a few weights, and the largest deviation of any weight from its rule."""
        self.pictures[library] = histograms(self.model, self.layers)
        self.deviations[library] = check(self.model, self.layers)

    def limit(self) -> None:
        """The same for memset, over one block."""
        release_freed()
        block = torch.empty(min(self.bytes, MEMSET_BYTES), dtype=torch.uint8)
        with write_limit(self.threads) as memset:
            for pages in PAGES:
                taken = once(lambda: memset(block)) * self.bytes / block.nbytes
                self.seconds.setdefault(("memset", pages), []).append(taken)

    def free(self) -> None:
        """Gives the memory back, before another library or model asks for its own."""
        dematerialise(self.model)

    def records(self) -> list[dict[str, object]]:
        """One JSON entry for each state of the pages."""
        return [self._record(pages) for pages in PAGES]

    def _record(self, pages: str) -> dict[str, object]:
        taken = {name: Timing.of(self.seconds[name, pages]) for name in (*LIBRARIES, "memset")}
        own = taken["fastinit"].seconds
        return {
            "model": self.name,
            "parameters": self.parameters,
            "bytes": self.bytes,
            "pages": pages,
            "threads": self.threads,
            "seconds": {name: timing.seconds for name, timing in taken.items()},
            "fastest": {name: timing.low for name, timing in taken.items()},
            "slowest": {name: timing.high for name, timing in taken.items()},
            "samples": {name: timing.samples for name, timing in taken.items()},
            "ratio_to_torch": taken["torch"].seconds / own,
            "bytes_per_s": self.bytes / own,
            "share_of_memset": taken["memset"].seconds / own,
            "deviation": self.deviations,
        }

    def rows(self) -> list[tuple[str, ...]]:
        """One table line for each state of the pages."""
        lines: list[tuple[str, ...]] = []
        for pages in PAGES:
            torch_s, own, limit = (Timing.of(self.seconds[name, pages]).seconds for name in (*LIBRARIES, "memset"))
            rate, worst = self.bytes / own / 1e9, self.deviations["fastinit"]
            times = (figure(torch_s), figure(own), f"{torch_s / own:.1f}x")
            lines.append(
                (self.name, f"{self.parameters:,}", pages, *times, figure(rate), f"{limit / own:.0%}", figure(worst))
            )
        return lines


def measure(run: Run, rounds: int) -> None:
    """All rounds of one model; every other one backwards, so that neither library always comes first."""
    # A virtual machine is given its memory by the host when it first touches it, which costs several times the rest
    # and would be charged to whoever comes first.  So the memory is used once before anything is timed.
    materialise(run.model)
    rules(run.model, run.layers, fastinit)
    run.free()
    turns = [(turn, name) for turn in range(rounds) for name in (*LIBRARIES, "memset")[:: 1 if turn % 2 == 0 else -1]]
    for turn, name in progress(turns, f"{run.name}, {run.parameters:,} parameters"):
        if name == "memset":
            run.limit()
            continue
        run.fill(name, seed=turn)
        if name not in run.pictures:
            run.look(name)
        run.free()


def fits(run: Run) -> bool:
    """Whether one copy of the model and the block for memset can be held, with a tenth to spare."""
    available = available_bytes()
    needed = 1.1 * run.bytes + MEMSET_BYTES
    if available is None or needed < available:
        return True
    print(f"{run.name} left out: it takes {needed / 2**30:.1f} GiB and {available / 2**30:.1f} GiB are free")
    return False


def main(argv: list[str] | None = None) -> int:
    """Measures the models that fit in memory; returns 0, or 1 where none does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(SIZES), default=["gpt2", "gpt2-xl"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="intra-op threads (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="times each library fills each model (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("build/models"), help="folder for JSON and PNG (%(default)s)")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)

    runs = [run for run in (Run(name, config(name), args.threads) for name in args.models) if fits(run)]
    if not runs:
        return 1
    for run in runs:
        measure(run, args.rounds)
    machine = describe()
    columns = ("model", "parameters", "pages", "torch s", "fastinit s", "ratio", "GB/s", "of memset", "deviation")
    rows = [row for run in runs for row in run.rows()]
    show(machine, Sheet(f"GPT-2's rules, {args.threads} threads", columns, rows, NOTES))
    save_json(args.out / "models.json", "models", machine, {"models": [r for run in runs for r in run.records()]})
    draw(args.out / "models.png", machine, {run.name: (run.layers, run.pictures) for run in runs})
    print(f"written: {args.out / 'models.json'} and {args.out / 'models.png'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
