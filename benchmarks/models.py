"""Initialises real models from transformers in several ways, and says how long each took, in how much memory.

    python benchmarks/models.py --models gpt2 gpt2-xl --rounds 5

torch: the plain constructor.  patch: the same call under ``fastinit.patch()``.  defer: under its ``defer=True``, which
leaves out what is written over.  recipe: the model's shapes alone, then ``fastinit.initialize_``.  limit: the shapes
alone, then every parameter allocated and zeroed by torch, which touches the memory once: no initialisation can do
without.  Every sample comes from a new process with fresh memory; then the same memory is filled again.  What was
written is checked against the declared distributions, and drawn over them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import torch

import histograms
from bars import draw_bars
from catalogue import DEFINITIONS, Definition
from fastinit.bench.floors import Verdict
from fastinit.bench.machine import describe
from fastinit.bench.memory import available_bytes
from fastinit.bench.report import Sheet, progress, save_json, show
from fastinit.bench.tables import verdicts_sheet
from fresh import in_fresh_process, sample
from measured import Measured
from promises import promises
from small import LAWS, Small, small
from ways import FILLING, OWN, WAYS

DEFAULT: Final = ("gpt2", "gpt2-medium", "gpt2-xl", "llama-360m", "mixtral-mini", "vit-base", "bert-base")
ROOM: Final = 1.3  # times a model's bytes: torch's constructor makes tied weights twice
WRONG: Final = 6.0  # standard errors; of a few hundred figures the largest is about 3
NOTES: Final = (
    "Seconds are medians of samples in turn; limit is a zero fill of the same memory.  Deviation: the farthest mean or "
    "spread of any parameter from its rule, in standard errors, of all ways."
)
AGAIN_NOTES: Final = (
    "The same rules into touched memory: by torch.nn.init (each parameter once), under the patch, by recipe, by zero_."
)


def measure(definition: Definition, threads: int, rounds: int, budget_s: float) -> Measured:
    """All rounds of one model, every other one backwards, so that no way always follows the same one.

    A way that has used ``budget_s`` seconds sits out the remaining rounds.
    """
    measured = Measured.of(definition, threads)
    turns = [(turn, way) for turn in range(rounds) for way in list(WAYS)[:: 1 if turn % 2 == 0 else -1]]
    for turn, way in progress(turns, f"{definition.name}, {measured.parameters:,} parameters"):
        taken = measured.samples[way]
        if taken and sum(one.seconds + one.again for one in taken) > budget_s:
            continue
        taken.append(in_fresh_process(sample, definition, way, seed=turn, threads=threads, look=not taken))
    return measured


def warm_up(definitions: list[Definition], threads: int) -> None:
    """Use as much memory once as the largest model will.

    A virtual machine is given its memory by the host when it first touches it, which costs several times the rest and
    would be charged to whoever comes first.
    """
    largest = max(definitions, key=lambda definition: Measured.of(definition, threads).bytes)
    in_fresh_process(sample, largest, "limit", seed=0, threads=threads, look=False)


def fits(definition: Definition) -> bool:
    """Whether the model can be held in every way."""
    available, needed = available_bytes(), ROOM * Measured.of(definition, 1).bytes
    if available is None or needed < available:
        return True
    print(f"{definition.name} left out: it takes {needed / 2**30:.1f} GiB and {available / 2**30:.1f} GiB are free")
    return False


def sheets(measured: list[Measured], smalls: list[Small], verdicts: list[Verdict], threads: int) -> list[Sheet]:
    """The tables: models in fresh memory and in touched, many small parameters, the promises."""
    return [
        Sheet(
            f"Seconds in fresh memory, {threads} threads",
            ("model", "parameters", *WAYS, "deviation"),
            [one.seconds_row() for one in measured],
            NOTES,
        ),
        Sheet(
            "Ratios in fresh memory",
            ("model", *(f"torch / {way}" for way in OWN), *(f"{way} / limit" for way in OWN)),
            [one.ratios_row() for one in measured],
        ),
        Sheet(
            "Extra memory",
            ("model", *FILLING),
            [one.extra_row() for one in measured],
            "The peak beyond the model, as a share of its parameters.",
        ),
        Sheet(
            "Seconds into the same memory again",
            ("model", *WAYS, "torch / recipe"),
            [one.again_row() for one in measured],
            AGAIN_NOTES,
        ),
        Sheet(
            "1,000 parameters of 64 x 64, milliseconds",
            ("law", *smalls[0].timings, *(f"torch / {name}" for name in smalls[0].own)),
            [one.row() for one in smalls],
            "plan: made beforehand.  foreach: one call of the function over a list.  loop: one call each.",
        ),
        verdicts_sheet(verdicts),
    ]


def main(argv: list[str] | None = None) -> int:
    """Measures the models that fit in memory; returns 0, or 1 where none does or a weight is not as declared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(DEFINITIONS), default=list(DEFAULT), metavar="MODEL")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="intra-op threads (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="samples of each way and model (%(default)s)")
    parser.add_argument("--budget", type=float, default=15, help="seconds a way has for a model (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("build/models"), help="folder for JSON and PNG (%(default)s)")
    args = parser.parse_args(argv)

    definitions = [definition for name in args.models if fits(definition := DEFINITIONS[name])]
    if not definitions:
        return 1
    machine = describe()
    warm_up(definitions, args.threads)
    measured = [measure(definition, args.threads, args.rounds, args.budget) for definition in definitions]
    smalls = in_fresh_process(small, list(LAWS), args.threads)
    verdicts = promises(measured, smalls, args.threads)
    for sheet in sheets(measured, smalls, verdicts, args.threads):
        show(machine, sheet)
    results = {
        "models": [one.record() for one in measured],
        "small": [one.record() for one in smalls],
        "floors": [verdict.record() for verdict in verdicts],
    }
    save_json(args.out / "models.json", "models", machine, results)
    draw_bars(args.out / "models.png", machine, measured)
    histograms.draw(args.out / "weights.png", machine, {one.definition.name: one.pictures() for one in measured})
    print(f"written: models.json, models.png and weights.png in {args.out}")
    wrong = [one.definition.name for one in measured if not one.deviation < WRONG]
    if wrong:
        print(f"not as declared: {', '.join(wrong)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
