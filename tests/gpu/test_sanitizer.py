"""compute-sanitizer watches every kernel: no write beyond a tensor, no race in shared memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastinit
from gpu.device import only_on_cuda

pytestmark = pytest.mark.gpu

PROGRAM = Path(__file__).with_name("sanitize.py")
FOUND = 86  # the exit status by which the tool says that it has found something


@pytest.fixture(scope="module")
def sanitizer() -> str:
    """The tool's path, where it is and works: some machines (containers, virtual ones) deny it what it needs."""
    only_on_cuda()
    homes = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if name in os.environ]
    places = [*os.get_exec_path(), *(f"{home}/bin" for home in homes), "/usr/local/cuda/bin"]
    found = shutil.which("compute-sanitizer", path=os.pathsep.join(places))
    if found is None:
        pytest.skip("compute-sanitizer was not found")
    try:
        harmless = run(
            found, "memcheck", "-c", "import torch; print(torch.ones(3, device='cuda').sum().item())", limit=120
        )
    except subprocess.TimeoutExpired:
        pytest.skip("compute-sanitizer does not work here: it hangs")
    if harmless.returncode != 0:
        output = (harmless.stdout + harmless.stderr).strip().splitlines()
        reason = next((line for line in output if "rror" in line or "upported" in line), "no reason given")
        pytest.skip(f"compute-sanitizer does not work here: {reason.strip('= ')}")
    return found


def run(sanitizer: str, tool: str, *command: str, limit: int = 300) -> subprocess.CompletedProcess[str]:
    """What becomes of a Python program under one of its tools, in so many seconds."""
    root = str(Path(fastinit.__file__).parents[1])
    environment = {**os.environ, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1", "PYTHONPATH": root}
    watched = [sanitizer, "--tool", tool, "--error-exitcode", str(FOUND), sys.executable, *command]
    return subprocess.run(watched, env=environment, capture_output=True, text=True, timeout=limit, check=False)


@pytest.mark.parametrize("tool", ["memcheck", "racecheck"])
def test_no_kernel_writes_where_it_must_not(sanitizer: str, tool: str) -> None:
    done = run(sanitizer, tool, str(PROGRAM))
    assert done.returncode == 0, done.stdout + done.stderr
    assert " fills" in done.stdout


def test_a_write_beyond_the_end_would_be_noticed(sanitizer: str) -> None:
    done = run(sanitizer, "memcheck", str(PROGRAM), "--beyond-the-end")
    assert done.returncode == FOUND, done.stdout + done.stderr
    assert "Invalid __global__ write" in done.stdout + done.stderr
