"""The tests of the CUDA backend are rehearsed on the CPU, to be known as right before a GPU meets them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What pytest says of the GPU tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FASTINIT_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/gpu", *arguments]
    # One thread: small fills by several would wait for cores that the machine may need.
    environment = kept | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"} | variables
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_with_the_cpu_in_the_gpus_place_they_pass() -> None:
    """All but those about CUDA itself."""
    done = run(FASTINIT_GPU_STAND_IN="cpu")
    assert done.returncode == 0, done.stdout[-5000:]
    counts = {what: int(count) for count, what in re.findall(r"(\d+) (passed|skipped)", done.stdout.splitlines()[-1])}
    assert counts["passed"] > 1500
    reasons = re.findall(r"SKIPPED \[\d+\] \S+: (.*)", done.stdout)
    assert set(reasons) == {"a rehearsal on cpu: this test is about CUDA itself"}


def test_every_one_is_marked() -> None:
    """So that none fails, or passes on another device, where there is no GPU."""
    done = run("--collect-only", "-m", "not gpu")
    assert done.returncode == 5, done.stdout  # pytest's status for: no tests collected


def test_where_a_gpu_is_required_and_missing_they_fail() -> None:
    done = run("-x", FASTINIT_REQUIRE_GPU="1")
    assert done.returncode == 1, done.stdout
    assert "FASTINIT_REQUIRE_GPU=1 and torch sees no CUDA device" in done.stdout
