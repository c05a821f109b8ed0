"""Times fastinit beside torch.nn.init, NumPy and memset; without a suite, runs all that this machine can."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from fastinit.info import info

from . import audit, floors, gpu, gpu_plot, gpu_tables, grid, isa, machine, orthogonal, plots, report, sweep, tables
from .cuda import Cuda
from .fills import DTYPES, FILLS, LAYOUTS

QUICK_OPS = ("uniform_", "normal_", "trunc_normal_ [-2, 2]", "kaiming_normal_")
QUICK_SIZES = (6, 12, 18, 22)


SUITES = ("floors", "sweep", "isa", "orthogonal", "audit")


def main(argv: list[str]) -> int:
    """Runs the suite that ``argv`` names, or all where it names none.

    Returns the exit status: 0, 1 where a floor was missed, or 2 where the suite cannot run here.
    """
    parser = _parser()
    given = parser.parse_args(argv)
    if "run" in given:
        return int(given.run(given))
    suites = SUITES if _no_gpu() else (*SUITES, "gpu")
    return max([int(args.run(args)) for args in map(parser.parse_args, ([suite] for suite in suites))])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fastinit bench", description=__doc__)
    out = argparse.ArgumentParser(add_help=False)
    out.add_argument("--out", type=Path, default=Path("build/bench"), help="folder for JSON and PNG (%(default)s)")
    common = argparse.ArgumentParser(add_help=False, parents=[out])
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

    suite = suites.add_parser("orthogonal", parents=[common], help="orthogonal matrices, with their error")
    suite.add_argument("--largest", type=int, default=2**24, help="no matrices of more elements (%(default)s)")
    suite.set_defaults(run=_orthogonal)

    suite = suites.add_parser(
        "audit", parents=[common], help="reading all parameters of a model, against reading alone"
    )
    suite.add_argument("--model", choices=list(audit.MODELS), default="xl", help="GPT-2's size (%(default)s)")
    suite.set_defaults(run=_audit)

    suite = suites.add_parser("gpu", parents=[out], help="the CUDA backend on the current card")
    suite.add_argument("--quick", action="store_true", help="a sweep of four ops, two dtypes, four sizes only")
    suite.add_argument("--ops", nargs="+", choices=list(FILLS), default=list(gpu.OPS), metavar="OP")
    suite.add_argument("--dtypes", nargs="+", choices=list(DTYPES), default=list(DTYPES))
    suite.add_argument("--sizes", type=int, nargs="+", default=list(gpu.SIZES), help="log2 of the elements")
    suite.set_defaults(run=_gpu)
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


def _orthogonal(args: argparse.Namespace) -> int:
    facts = machine.describe()
    cases = [case for case in orthogonal.CASES if case.batch * case.rows * case.columns <= args.largest]
    results = orthogonal.orthogonal(args.threads, cases)
    verdicts = orthogonal.verdicts(results)
    report.show(facts, tables.orthogonal_sheet(results))
    report.show(facts, tables.verdicts_sheet(verdicts))
    records = {"matrices": [r.record() for r in results], "floors": [v.record() for v in verdicts]}
    report.save_json(args.out / "orthogonal.json", "orthogonal", facts, records)
    plots.plot_orthogonal(args.out / "orthogonal.png", facts, results)
    return 1 if any(verdict.met is False for verdict in verdicts) else 0


def _audit(args: argparse.Namespace) -> int:
    facts = machine.describe()
    if missing := audit.no_room(args.model):
        print(f"bench audit: {missing}", file=sys.stderr)
        return 2
    results = audit.audits(args.model, args.threads)
    verdicts = audit.verdicts(results)
    report.show(facts, tables.audits_sheet(results))
    report.show(facts, tables.verdicts_sheet(verdicts))
    records = {"audits": [r.record() for r in results], "floors": [v.record() for v in verdicts]}
    report.save_json(args.out / "audit.json", "audit", facts, records)
    plots.plot_floors(args.out / "audit.png", facts, verdicts)
    return 1 if any(verdict.met is False for verdict in verdicts) else 0


def _gpu(args: argparse.Namespace) -> int:
    missing = _no_gpu()
    if missing:
        print(f"bench gpu: {missing}", file=sys.stderr)
        return 2
    facts = machine.describe() | machine.describe_gpu()
    wanted = (gpu.QUICK_OPS, gpu.QUICK_DTYPES, gpu.QUICK_SIZES) if args.quick else (args.ops, args.dtypes, args.sizes)
    ops, dtypes, sizes = wanted
    results = gpu.Results()
    for step in gpu.steps(Cuda(), torch.cuda.get_device_capability(), ops=ops, dtypes=dtypes, sizes=sizes):
        step(results)
        report.save_json(args.out / "gpu.json", "gpu", facts, results.record())  # a run that is cut short leaves that
    return save_gpu(args.out, facts, results)


def _no_gpu() -> str | None:
    """Why the GPU suite cannot run here, or None."""
    if not torch.cuda.is_available():
        return "torch sees no CUDA device"
    if info()["cuda"] is None:
        return "this fastinit was built without its CUDA backend (python -m fastinit info)"
    return None


def save_gpu(out: Path, facts: machine.Facts, results: gpu.Results) -> int:
    """Prints the results and leaves them as JSON, Markdown and a picture; returns 1 where a floor was missed."""
    sheets = gpu_tables.sheets(results)
    for sheet in sheets:
        report.show(facts, sheet)
    report.save_json(out / "gpu.json", "gpu", facts, results.record())
    report.save_markdown(out / "gpu.md", "fastinit on a GPU", facts, sheets)
    gpu_plot.plot_gpu(out / "gpu.png", facts, results)
    return 1 if any(verdict.met is False for verdict in results.verdicts) else 0
