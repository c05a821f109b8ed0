"""``python -m fastinit run``: a script or a module, unchanged, under `fastinit.patch`.

    python -m fastinit run [--quiet] script.py arguments...
    python -m fastinit run [--quiet] -m module arguments...

What runs finds everything as ``python script.py`` or ``python -m module`` has it: ``sys.argv``, ``sys.path[0]``,
``__main__``, the exit status, a traceback that starts in its own first line. When it is done, one line on standard
error says what was accelerated. The patch stays installed until the process ends, for threads that go on. Of the
processes that a script starts, forked ones keep the patch, and others do not have it.
"""

from __future__ import annotations

import argparse
import builtins
import io
import os
import runpy
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType, TracebackType

from fastinit.patching import patch

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Run what the arguments name, and return its exit status; what it raises to end the process passes through."""
    options, target = _parse(arguments)
    counts = patch.install()
    try:
        return _run(target)
    finally:
        if not options.quiet:
            print(f"fastinit: {counts.summary()}", file=sys.stderr)


def _parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our own options, and what comes after them: from the script's name, or from -m, on, all is the script's."""
    parser = argparse.ArgumentParser(
        prog="python -m fastinit run",
        usage="%(prog)s [--quiet] (script.py | -m module) [argument ...]",
        description="Run a script or a module with torch.nn.init accelerated.",
    )
    parser.add_argument("--quiet", action="store_true", help="do not print what was accelerated")
    first = next((at for at, word in enumerate(arguments) if word == "-m" or not word.startswith("-")), len(arguments))
    options, target = parser.parse_args(arguments[:first]), arguments[first:]
    if target in ([], ["-m"]):
        parser.error("name a script, or a module after -m")
    return options, target


def _run(target: list[str]) -> int:
    try:
        if target[0] == "-m":
            _run_module(target[1], target[2:])
        else:
            _run_script(target[0], target[1:])
    except Exception as error:
        return _report(error, target)
    return 0


def _run_module(name: str, arguments: list[str]) -> None:
    sys.argv = ["-m", *arguments]  # the first becomes the module's file
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _run_script(path: str, arguments: list[str]) -> None:
    sys.argv = [path, *arguments]
    if not Path(path).is_file() or path.endswith((".pyc", ".zip", ".pyz")):  # what Python leaves to runpy too
        runpy.run_path(path, run_name="__main__")
        return
    # runpy would put another name in sys.argv[0] than was typed, or another in __file__.
    full = _absolute(path)
    with io.open_code(full) as file:
        code = compile(file.read(), full, "exec", dont_inherit=True)
    if not getattr(sys.flags, "safe_path", False):  # Python 3.11
        sys.path[0] = str(Path(path).resolve().parent)
    module = ModuleType("__main__")
    module.__dict__.update(
        __file__=full, __builtins__=builtins, __cached__=None, __loader__=SourceFileLoader("__main__", full)
    )
    sys.modules["__main__"] = module
    exec(code, module.__dict__)


def _report(error: Exception, target: list[str]) -> int:
    """Show an error as Python does for a script's, and return Python's status for it."""
    trace = _without_us(error.__traceback__)
    if trace is None and isinstance(error, OSError) and target[0] != "-m":
        why = f"[Errno {error.errno}] {error.strerror}"
        print(f"{sys.executable}: can't open file '{_absolute(target[0])}': {why}", file=sys.stderr)
        return 2
    if trace is None and isinstance(error, ImportError):  # runpy's, of a module that it does not find
        print(f"{sys.executable}: {error}", file=sys.stderr)
        return 1
    sys.excepthook(type(error), error.with_traceback(trace), trace)
    return 1


def _absolute(path: str) -> str:
    return os.path.join(Path.cwd(), path.removeprefix("./"))  # noqa: PTH118 (Python leaves "..", which pathlib takes out)


def _without_us(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that the script has a hand in."""
    while trace is not None and trace.tb_frame.f_globals.get("__name__") in (__name__, "runpy", "importlib._bootstrap"):
        trace = trace.tb_next
    return trace
