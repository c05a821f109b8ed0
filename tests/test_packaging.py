"""The package as an installer meets it: what it says when something is missing, and what the build must not do."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import fastinit
from fastinit import _C
from fastinit.__main__ import main

ROOT = Path(__file__).parents[1]
EXTENSION = Path(_C.__file__)


def python(*arguments: str, cwd: Path = ROOT, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run this Python in a process of its own."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=os.environ | (env or {}), capture_output=True, text=True, check=False
    )


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """The sentence a failed process ends with."""
    assert done.returncode != 0, done.stdout
    return done.stderr.strip().splitlines()[-1]


# The command line


def test_info_names_versions_instruction_sets_team_and_cuda(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    printed = capsys.readouterr().out
    for fact in (fastinit.__version__, torch.__version__, f"version {fastinit.STREAM_VERSION}", _C.facts()["isa"]):
        assert fact in printed
    for row in ("instruction sets", "OpenMP team", "huge pages", f"built             {_C.facts()['built']}"):
        assert row in printed


def test_info_as_json_tells_the_same_from_a_process_of_its_own() -> None:
    told = json.loads(
        python("-m", "fastinit", "info", "--json", env={"FASTINIT_ISA": _C.facts()["isa_compiled"][0]}).stdout
    )
    assert told["torch"] == torch.__version__
    assert told["isa"] == _C.facts()["isa_compiled"][0]
    assert set(told["isa_supported"]) <= set(told["isa_compiled"])


def test_a_benchmark_without_its_packages_names_the_one_that_is_missing(tmp_path: Path) -> None:
    hide(tmp_path, "rich")
    done = python("-m", "fastinit", "bench", env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 2
    assert re.fullmatch(r"the benchmarks need rich.*: python -m pip install .*rich\n", done.stderr)


# What an import says


def hide(folder: Path, *modules: str) -> None:
    """Put packages into `folder` that claim, when imported, not to exist."""
    for module in modules:
        (folder / f"{module}.py").write_text(f"raise ModuleNotFoundError(name={module!r})")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with the package's Python files and no extension."""
    shutil.copytree(ROOT / "fastinit", tmp_path / "fastinit", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    return tmp_path


def import_error(folder: Path) -> str:
    """What importing the package in `folder` ends with."""
    # Without `site`: an editable install's .pth file would find the extension that is not here.
    path = os.pathsep.join([str(folder), *sys.path])
    return last_line(python("-S", "-c", "import fastinit", cwd=folder, env={"PYTHONPATH": path}))


def test_a_missing_extension_names_this_python_and_the_command_that_builds_it(copy: Path) -> None:
    error = import_error(copy)
    assert f"no compiled extension for Python {sys.version_info.major}.{sys.version_info.minor}" in error
    assert error.endswith(
        "-m pip install --no-build-isolation --no-deps --force-reinstall --no-cache-dir torch-fastinit"
    )


def test_in_a_source_tree_the_command_is_an_editable_install_of_it(copy: Path) -> None:
    shutil.copy(ROOT / "setup.py", copy)
    assert import_error(copy).endswith(f"-m pip install --no-build-isolation --no-deps --editable {copy}")


def test_a_missing_torch_is_said_to_be_missing(copy: Path) -> None:
    hide(copy, "torch")
    assert import_error(copy).endswith(
        "fastinit needs torch 2.11 or later; install it with: python -m pip install torch"
    )


def test_another_minor_version_of_torch_is_refused_before_any_op_runs(copy: Path) -> None:
    (copy / "fastinit" / "_C.py").write_text("torch_version = '2.10.1'")
    assert f"was built for torch 2.10.1 and torch {torch.__version__} runs; build it with: " in import_error(copy)


def test_a_symbol_that_torch_lacks_is_told_as_another_torch(copy: Path) -> None:
    # The real loader's refusal: the built file, with the name of one function that it takes from torch changed.
    needed = subprocess.run(
        ["nm", "-D", "--undefined-only", EXTENSION], capture_output=True, text=True, check=True
    ).stdout
    name = re.findall(r" U (_ZN2at\w+)$", needed, re.MULTILINE)[0].encode()
    changed = EXTENSION.read_bytes().replace(name + b"\0", name[:-1] + b"?\0")
    (copy / "fastinit" / EXTENSION.name).write_bytes(changed)
    assert f"was built for another torch than the {torch.__version__} that runs; build it with: " in import_error(copy)


def test_a_file_that_is_no_extension_is_told_in_the_loaders_words(copy: Path) -> None:
    (copy / "fastinit" / EXTENSION.name).write_bytes(b"not a library")
    assert re.search(r"has an extension that does not load \(.+\); build it with: ", import_error(copy))


def test_an_unknown_instruction_set_is_no_matter_of_the_build() -> None:
    error = last_line(python("-c", "import fastinit", env={"FASTINIT_ISA": "v5"}))
    assert error.startswith("ImportError: fastinit: no instruction set 'v5' here")
    assert "pip install" not in error


# What a build says


def build_error(**env: str) -> str:
    """What building with this environment ends with; nothing is compiled where it refuses."""
    return last_line(python("setup.py", "--quiet", "build_ext", env=env))


def test_a_build_without_torch_says_why_and_how(tmp_path: Path) -> None:
    hide(tmp_path, "torch")
    error = build_error(PYTHONPATH=str(tmp_path))
    assert "sees no torch" in error
    assert error.endswith("python -m pip install --no-build-isolation .")


def test_a_build_with_an_old_torch_says_which(tmp_path: Path) -> None:
    (tmp_path / "torch" / "utils").mkdir(parents=True)
    (tmp_path / "torch" / "__init__.py").write_text("__version__ = '2.10.0+cpu'")
    (tmp_path / "torch" / "utils" / "__init__.py").write_text("")
    (tmp_path / "torch" / "utils" / "cpp_extension.py").write_text("CppExtension = get_cxx_compiler = None")
    error = build_error(PYTHONPATH=str(tmp_path))
    assert error.endswith(
        "needs torch 2.11 or later and found 2.10.0+cpu; mend it with: python -m pip install 'torch>=2.11'"
    )


def test_a_build_without_ninja_says_how(tmp_path: Path) -> None:
    hide(tmp_path, "ninja")
    assert build_error(PYTHONPATH=str(tmp_path)).endswith("ninja is missing; mend it with: python -m pip install ninja")


def test_a_build_without_a_compiler_says_how() -> None:
    error = build_error(CXX="no-such-compiler")
    assert "the C++ compiler 'no-such-compiler' does not run; mend it with: apt-get install g++" in error


def test_a_build_that_must_have_cuda_and_cannot_says_why_and_how() -> None:
    # Whatever this machine has: nothing that is compiled here runs on a Kepler.
    error = build_error(FORCE_CUDA="1", TORCH_CUDA_ARCH_LIST="3.5")
    assert re.search(
        r"cannot be built: FORCE_CUDA=1, and (torch|there is no architecture) .+; mend it with: \w+", error
    )


def test_a_variable_that_holds_what_it_cannot_is_refused() -> None:
    assert "FORCE_CUDA is 1, 0 or not set, but not 'maybe'" in build_error(FORCE_CUDA="maybe")


OLD_SETUPTOOLS = """
import runpy, sys, setuptools
from setuptools.config import pyprojecttoml
def refuse(*_): raise SystemExit("project.license must be valid exactly by one definition")
setuptools.__version__, pyprojecttoml.apply_configuration = "70.2.0", refuse
sys.argv = ["setup.py", "--quiet", *sys.argv[1:]]
runpy.run_path("setup.py", run_name="__main__")
"""


def test_an_old_setuptools_compiles_and_makes_no_package() -> None:
    refused = last_line(python("-c", OLD_SETUPTOOLS, "egg_info"))
    assert refused.endswith("setuptools 70.2.0 is too old; mend it with: python -m pip install 'setuptools>=77'")
    # As far as the first question that compiling asks.
    compiling = last_line(python("-c", OLD_SETUPTOOLS, "build_ext", "--inplace", env={"FORCE_CUDA": "maybe"}))
    assert "FORCE_CUDA is 1, 0 or not set" in compiling


def test_a_source_distribution_holds_what_a_build_needs(tmp_path: Path) -> None:
    # Through the hooks that pip calls, for which no source folder is on the path.
    make = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"
    made = python("-c", make, str(tmp_path))
    assert made.returncode == 0, made.stderr
    name = made.stdout.split()[-1]
    subprocess.run(["tar", "-xzf", name], cwd=tmp_path, check=True)
    unpacked = tmp_path / name.removesuffix(".tar.gz")
    tracked = {path.relative_to(ROOT) for folder in ("csrc", "tools") for path in (ROOT / folder).rglob("*.[chp]*")}
    assert {path for path in tracked if path.suffix != ".pyc"} <= {p.relative_to(unpacked) for p in unpacked.rglob("*")}
    describe = "from setuptools import build_meta; print(build_meta.prepare_metadata_for_build_wheel('..'))"
    script = f"import sys; sys.path.remove(''); {describe}"
    done = python("-c", script, cwd=unpacked)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"torch_fastinit-{fastinit.__version__}.dist-info\n")


# What the build must do, and what it must not


def test_the_extension_tells_its_torch_without_starting_the_threads_that_facts_counts() -> None:
    assert _C.torch_version == _C.facts()["torch_version"]
    assert torch.__version__.startswith(_C.torch_version)


def test_importing_starts_no_thread() -> None:
    # A pool started by an import would be lost, and waited for, in every child that is forked afterwards.
    count = "len(__import__('os').listdir('/proc/self/task'))"
    done = python("-c", f"import torch; before = {count}; import fastinit; assert {count} == before, {count} - before")
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the extension has no OpenMP")
def test_one_openmp_runtime_with_a_full_team() -> None:
    # Compiled without OpenMP at::parallel_for runs on one thread, in silence. Linked with it, the extension would ask
    # for the system's runtime by name, a second one wherever torch's own goes by another name.
    assert b"libgomp" not in EXTENSION.read_bytes()
    script = (
        "import torch, fastinit; from fastinit._C import facts;"
        "assert facts()['openmp_team'] == torch.get_num_threads() == 3, facts();"
        "maps = open('/proc/self/maps').read().split();"
        "runtimes = {word for word in maps if 'libgomp' in word or 'libiomp' in word or 'libomp' in word};"
        "assert len(runtimes) == 1, runtimes"
    )
    done = python("-c", f"import torch; torch.set_num_threads(3); {script}")
    assert done.returncode == 0, done.stderr


def test_an_instruction_set_shares_no_inline_function_with_the_rest() -> None:
    # Of an inline function that several objects hold the linker keeps one. Were that the AVX-512 object's, a CPU
    # without AVX-512 would die in code that never asked for it.
    objects = sorted(ROOT.glob(f"build/native-{sys.implementation.cache_tag}-torch{torch.__version__}/kernels_*.o"))
    assert {path.stem for path in objects} == {f"kernels_{isa}" for isa in _C.facts()["isa_compiled"]}
    for path in objects:
        isa = path.stem.replace("kernels_", "isa_")
        listed = subprocess.run(
            ["nm", "--defined-only", "--demangle", path], capture_output=True, text=True, check=True
        )
        shared = [line for line in listed.stdout.splitlines() if re.search(r" [WVu] ", line) and isa not in line]
        assert not shared, f"{path.name}: {shared}"
