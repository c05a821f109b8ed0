"""The command line: ``python -m fastinit info``, ``bench`` and ``run``."""

from __future__ import annotations

import argparse
import json
import sys

from fastinit import run
from fastinit.info import info, table


def bench(arguments: list[str]) -> int:
    """Run the benchmarks, whose tables and pictures need packages that fastinit itself does not."""
    try:
        from fastinit.bench import main as run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("fastinit"):
            raise
        mend = "python -m pip install matplotlib numpy rich"
        print(f"the benchmarks need {error.name}, which is not installed; mend it with: {mend}", file=sys.stderr)
        return 2
    return run(arguments)


def main(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    if arguments[:1] == ["bench"]:  # all that follows, --help included, is for the benchmarks' own parser
        return bench(arguments[1:])
    if arguments[:1] == ["run"]:  # and the arguments of a script are the script's
        return run.main(arguments[1:])
    parser = argparse.ArgumentParser(prog="python -m fastinit", description="Fast, reproducible weight initialisation.")
    commands = parser.add_subparsers(required=True)
    commands.add_parser("bench", help="measure this machine (bench --help says more)", add_help=False)
    commands.add_parser(
        "run", help="run a script with torch.nn.init accelerated (run --help says more)", add_help=False
    )
    show = commands.add_parser("info", help="print versions, instruction sets, threads and devices")
    show.add_argument("--json", action="store_true", help="as one JSON object")
    options = parser.parse_args(arguments)
    facts = info()
    print(json.dumps(facts, indent=2) if options.json else table(facts))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
