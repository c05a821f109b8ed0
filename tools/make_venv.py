"""Make a virtual environment around the torch that the active Python has; where it has none, install a pinned one.

    python3 tools/make_venv.py .venv

A torch is several GB and the extension fits one torch only, so a second one is not installed beside the first. Nothing
is fetched where the active environment has torch, setuptools and ninja.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import cuda_toolkit

SUPPORTED = ((2, 11), (2, 15))
PINNED = "torch==2.14.1"
PINNED_CUDA = "13.0"  # on Linux on x86-64 it is a build with CUDA, on machines without a GPU too


def active_torch() -> str | None:
    """The version of the torch that this Python imports, None where it has none that fastinit supports."""
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None
    minor = tuple(int(part) for part in version.split(".")[:2])
    return version if SUPPORTED[0] <= minor <= SUPPORTED[1] else None


def main(folder: Path) -> None:
    """Make the environment in `folder`, with a torch and what a build without isolation needs."""
    if sys.version_info < (3, 10):  # noqa: UP036 - this file runs before anything that would refuse an older one
        sys.exit(
            f"fastinit needs Python 3.10 or later, not {sys.version.split()[0]}; mend it with: make PYTHON=python3.10"
        )
    torch = active_torch()
    pip = importlib.util.find_spec("ensurepip") is not None
    if not torch and not pip:
        sys.exit("this Python cannot make virtual environments; mend it with: apt-get install python3-venv")
    print(f"{folder}: with the active environment's torch {torch}" if torch else f"{folder}: installing {PINNED}")
    venv.create(folder, system_site_packages=torch is not None, with_pip=pip, clear=True)
    python = folder / "bin" / "python"
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    if torch and sys.prefix != sys.base_prefix:
        # An environment made from within another sees the site-packages of the Python below both, not of the other.
        (packages / "active_environment.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = missing(python) if torch else [PINNED, *nvcc(packages), "numpy", "setuptools", "ninja"]
    if install:
        subprocess.run([python, "-m", "pip", "install", *(["--quiet"] if torch else []), *install], check=True)


def missing(python: Path) -> list[str]:
    """What a build needs besides torch, and this Python lacks. Any setuptools can compile (see setup.py)."""
    needed = ("setuptools", "ninja")
    return [name for name in needed if subprocess.run([python, "-c", f"import {name}"], capture_output=True).returncode]


def nvcc(packages: Path) -> list[str]:
    """The compiler for the pinned torch's CUDA, where this machine has no toolkit, so that the tests build that too."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return []
    try:
        cuda_toolkit.find(PINNED_CUDA, cuda_toolkit.candidates(os.environ, packages))
    except cuda_toolkit.UnavailableError:
        return ["cuda-toolkit[nvcc]"]  # of the release that torch asks for
    return []


if __name__ == "__main__":
    main(Path(sys.argv[1]))
