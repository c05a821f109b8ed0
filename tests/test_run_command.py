"""``python -m fastinit run``: what a script finds, what its caller gets, and that it was accelerated."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import fastinit
from fastinit import run

ROOT = str(Path(fastinit.__file__).parents[1])

# Everything that a script can see of how it was started, and, by its argument, ways to end.
SCRIPT = '''"""A script."""
import pickle, sys, __main__
class Local: pass
print(sys.argv, sys.path[0], __name__, __file__, __package__, __doc__, __spec__ and __spec__.name, type(__loader__))
print(__main__.__dict__ is globals(), isinstance(pickle.loads(pickle.dumps(Local())), Local))
from neighbour import value
print(value)
def fail():
    raise ValueError("no")
match sys.argv[1:]:
    case ["raise"]: fail()
    case ["status"]: sys.exit(7)
    case ["words"]: sys.exit("bye")
    case ["hook"]:
        sys.excepthook = lambda kind, error, trace: print("hooked", kind, trace.tb_lineno)
        fail()
'''


Outcome = tuple[int | str | None, str, str]
"""Status, output and errors."""


def process(*arguments: str, folder: Path) -> Outcome:
    """What a Python process gives."""
    environment = {**os.environ, "PYTHONPATH": ROOT}
    child = subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    return child.returncode, child.stdout, child.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "script.py").write_text(SCRIPT)
    (scripts / "neighbour.py").write_text("value = 'found'\n")
    (scripts / "broken.py").write_text("x = 1\nx = = 2\n")
    return tmp_path


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs the command in this process, which takes no time to start, and mends what it does to this process."""

    def command(*arguments: str, folder: Path = folder) -> Outcome:
        for name, value in {
            "argv": sys.argv,
            "path": [str(folder), *sys.path[1:]],
            "excepthook": sys.excepthook,
        }.items():
            monkeypatch.setattr(sys, name, value)
        monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
        monkeypatch.delitem(sys.modules, "neighbour", raising=False)
        monkeypatch.chdir(folder)
        capfd.readouterr()
        status: int | str | None
        try:
            status = run.main([*arguments])
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
        finally:
            fastinit.patch.uninstall()
        return status, *capfd.readouterr()

    return command


@pytest.mark.parametrize(
    "ending", [[], ["--quiet", "-m", "--help"], ["raise"], ["status"], ["words"], ["hook"]], ids=" ".join
)
def test_a_script_sees_and_gives_what_it_does_under_python(
    folder: Path, here: Callable[..., Outcome], ending: list[str]
) -> None:
    target = ["scripts/../scripts/script.py", *ending]
    assert here("--quiet", *target) == process(*target, folder=folder)


@pytest.mark.parametrize("ending", [[], ["--quiet"], ["status"], ["words"]], ids=" ".join)
def test_a_module_sees_and_gives_what_it_does_under_python(
    folder: Path, here: Callable[..., Outcome], ending: list[str]
) -> None:
    target = ["-m", "script", *ending]
    expected = process(*target, folder=folder / "scripts")
    assert here("--quiet", *target, folder=folder / "scripts") == expected


@pytest.mark.parametrize("target", [["nowhere.py"], ["-m", "nowhere"], ["scripts/broken.py"]], ids=" ".join)
def test_what_cannot_be_run(folder: Path, here: Callable[..., Outcome], target: list[str]) -> None:
    assert here("--quiet", *target) == process(*target, folder=folder)


def test_the_traceback_of_a_module_starts_in_the_module(folder: Path, here: Callable[..., Outcome]) -> None:
    """Python's own starts in runpy."""
    status, _, errors = here("--quiet", "-m", "script", "raise", folder=folder / "scripts")
    lines = errors.splitlines()
    assert status == 1
    assert lines[0] == "Traceback (most recent call last):"
    assert "script.py" in lines[1]
    assert lines[-1] == "ValueError: no"


def test_a_folder_with_a_main_file(folder: Path, here: Callable[..., Outcome]) -> None:
    (folder / "scripts" / "__main__.py").write_text("import neighbour, sys; print(neighbour.value, sys.argv)\n")
    expected = process("scripts", "a", folder=folder)
    assert expected[1] == "found ['scripts', 'a']\n"
    assert here("--quiet", "scripts", "a") == expected


def test_a_script_is_accelerated_in_all_its_threads_and_a_line_says_so(folder: Path) -> None:
    (folder / "train.py").write_text(
        "import sys, threading, torch\n"
        "torch.manual_seed(3)\n"
        "print(torch.nn.Linear(3, 2).weight.tolist())\n"
        "thread = threading.Thread(target=torch.nn.Linear, args=(30, 50)); thread.start(); thread.join()\n"
        "torch.nn.init.ones_(torch.empty(1, device='meta'))\n"
        "sys.exit(int(sys.argv[1]))\n"
    )
    status, output, errors = process("-m", "fastinit", "run", "train.py", "3", folder=folder)
    assert status == 3
    assert errors == "fastinit: 4 calls and 1,558 elements accelerated, 1 call left to torch (the device meta: 1)\n"
    with fastinit.patch():
        torch.manual_seed(3)
        assert output == f"{torch.nn.Linear(3, 2).weight.tolist()}\n"


def test_a_process_fails_as_pythons_does(folder: Path) -> None:
    target = ["scripts/script.py", "raise"]
    assert process("-m", "fastinit", "run", "--quiet", *target, folder=folder) == process(*target, folder=folder)


@pytest.mark.parametrize("arguments", [[], ["-m"], ["--quiet"], ["--loud", "script.py"]], ids=" ".join)
def test_wrong_use(here: Callable[..., Outcome], arguments: list[str]) -> None:
    status, _, errors = here(*arguments)
    assert status == 2
    assert "usage: python -m fastinit run" in errors
