"""The shared headers stand alone in every compiler that reads them; with that, their static_asserts hold in each."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from cuda_compiler import toolkit

CSRC = Path(__file__).parents[1] / "csrc"
HEADERS = sorted((CSRC / "stream").glob("*.h"))
HOST = [*shlex.split(os.environ.get("CXX", "c++")), "-x", "c++", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"]
COMPILERS = {
    "c++17": [*HOST, "-std=c++17"],  # as the kernels include them
    "c++20": [*HOST, "-std=c++20"],  # as the files that include torch do
    "nvcc": ["-x", "cu", "-std=c++17", "-Werror", "all-warnings", "-ptx", "-o", os.devnull],
}


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("header", HEADERS, ids=lambda path: path.name)
def test_a_shared_header_compiles_on_its_own(header: Path, compiler: str, tmp_path: Path) -> None:
    command = [*([toolkit().nvcc] if compiler == "nvcc" else []), *COMPILERS[compiler]]
    source = tmp_path / "alone"
    source.write_text(f'#include "stream/{header.name}"\n')
    done = subprocess.run([*command, "-I", CSRC, source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_there_are_headers_to_compile() -> None:
    assert "philox.h" in {header.name for header in HEADERS}
