"""Times fastinit beside torch.nn.init, NumPy and memset; without a suite, runs all three."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import floors, grid, isa, machine, plots, report, sweep, tables
from .fills import DTYPES, FILLS, LAYOUTS

QUICK_OPS = ("uniform_", "normal_", "trunc_normal_ [-2, 2]", "kaiming_normal_")
QUICK_SIZES = (6, 12, 18, 22)


SUITES = ("floors", "sweep", "isa")


def main(argv: list[str]) -> int:
    """Runs the suite that ``argv`` names, or all where it names none; returns 0, or 1 where a floor was missed."""
    parser = _parser()
    given = parser.parse_args(argv)
    runs = [given] if "run" in given else [parser.parse_args([suite]) for suite in SUITES]
    return max([int(args.run(args)) for args in runs])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fastinit bench", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--out", type=Path, default=Path("build/bench"), help="folder for JSON and PNG (%(default)s)")
    common.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="thread counts (%(default)s)")
    suites = parser.add_subparsers(metavar="SUITE")

    suite = suites.add_parser("floors", parents=[common], help="the project's promises (about 2 minutes)")
    suite.set_defaults(run=_floors)

    suite = suites.add_parser("sweep", parents=[common], help="every initializer over sizes, dtypes, layouts, threads")
    suite.add_argument("--quick", action="store_true", help="four ops at four sizes: a minute, not a quarter hour")
    suite.add_argument("--full", action="store_true", help="the whole product of the axes: hours, unless narrowed")
    suite.add_argument("--ops", nargs="+", choices=list(FILLS), default=list(FILLS), metavar="OP")
    suite.add_argument("--dtypes", nargs="+", choices=list(DTYPES), default=list(DTYPES), help="with --full")
    suite.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=list(LAYOUTS), help="with --full")
    suite.add_argument("--sizes", type=int, nargs="+", default=list(grid.SIZES), help="log2 of the elements")
    suite.set_defaults(run=_sweep)

    suite = suites.add_parser("isa", parents=[common], help="the main ops under each instruction set")
    suite.add_argument("--sizes", type=int, nargs="+", default=[16, 24], help="log2 of the elements (%(default)s)")
    suite.set_defaults(run=_isa)
    return parser


def _floors(args: argparse.Namespace) -> int:
    facts = machine.describe()
    verdicts = floors.floors(args.threads, str(facts["isa"]))
    report.show(facts, tables.verdicts_sheet(verdicts))
    report.save_json(args.out / "floors.json", "floors", facts, {"floors": [v.record() for v in verdicts]})
    plots.plot_floors(args.out / "floors.png", facts, verdicts)
    return 1 if any(verdict.met is False for verdict in verdicts) else 0


def _sweep(args: argparse.Namespace) -> int:
    facts = machine.describe()
    if args.full:
        points = grid.full(args.ops, args.dtypes, args.layouts, args.sizes, args.threads)
    elif args.quick:
        points = grid.star(QUICK_OPS, QUICK_SIZES, args.threads)
    else:
        points = grid.star(args.ops, args.sizes, args.threads)
    cells, left_out = sweep.sweep(points)
    report.show(facts, tables.cells_sheet(cells))
    for line in left_out:
        print("not measured:", line)
    results = {"cells": [cell.record() for cell in cells], "not_measured": left_out}
    report.save_json(args.out / "sweep.json", "sweep", facts, results)
    plots.plot_sweep(args.out / "sweep.png", facts, cells)
    return 0


def _isa(args: argparse.Namespace) -> int:
    facts = machine.describe()
    records = isa.by_instruction_set(args.sizes, args.threads)
    report.show(facts, tables.sets_sheet(records))
    report.save_json(args.out / "isa.json", "isa", facts, {"sets": records})
    plots.plot_isa(args.out / "isa.png", facts, isa.one_thread_rates(records, max(args.sizes)))
    return 0
