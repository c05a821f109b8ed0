"""Make a virtual environment around the torch that the active Python has; where it has none, install a pinned one.

    python3 tools/make_venv.py .venv

A torch is several GB and the extension fits one torch only, so a second one is not installed beside the first.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

SUPPORTED = ((2, 11), (2, 15))
PINNED = "torch==2.13.0"


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
    if importlib.util.find_spec("ensurepip") is None:
        sys.exit("this Python cannot make virtual environments; mend it with: apt-get install python3-venv")
    torch = active_torch()
    print(f"{folder}: with the active environment's torch {torch}" if torch else f"{folder}: installing {PINNED}")
    venv.create(folder, system_site_packages=torch is not None, with_pip=True, clear=True)
    python = folder / "bin" / "python"
    if torch and sys.prefix != sys.base_prefix:
        # An environment made from within another sees the site-packages of the Python below both, not of the other.
        site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
        (site / "active_environment.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = ["--quiet"] if torch else [PINNED]
    subprocess.run([python, "-m", "pip", "install", *install, "setuptools>=77", "ninja"], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
