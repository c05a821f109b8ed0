"""Fresh memory: its pages are given to it while it is filled, and nobody else's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import fastinit
from fastinit import Key

MIB = 1 << 18  # float32 elements


@pytest.mark.parametrize(
    ("start", "count"), [(0, 9 * MIB), (3, 9 * MIB), (16, 5 * MIB + 7), (1000, MIB // 3), (1, 4096)]
)
def test_fresh_memory_holds_what_used_memory_holds_and_neighbours_keep_theirs(start: int, count: int) -> None:
    fresh = torch.empty(start + count + 9000)  # large enough to be mapped anew
    used = torch.full((start + count + 9000,), 7.0)
    for memory in (fresh, used):
        fastinit.normal_(memory[start : start + count], generator=Key(1))
    assert torch.equal(fresh[start : start + count], used[start : start + count])
    assert torch.equal(used[:start], torch.full((start,), 7.0))
    assert torch.equal(used[start + count :], torch.full((9000,), 7.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.int64])
def test_constants_and_other_types_too(dtype: torch.dtype) -> None:
    assert bool((fastinit.constant_(torch.empty(5 << 20, dtype=dtype), 3) == 3).all())


def test_memory_written_in_another_order_than_it_lies_in() -> None:
    fresh = torch.empty(3000, 2000).t()
    used = torch.zeros(3000, 2000).t()
    assert torch.equal(fastinit.normal_(fresh, generator=Key(1)), fastinit.normal_(used, generator=Key(1)))


SCRIPT = """
import re, torch, fastinit
from pathlib import Path
def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
fastinit.normal_(torch.zeros(1 << 20))
large = torch.empty(256 << 18)
before = resident()
fastinit.normal_(large[100 << 18 : 140 << 18], generator=fastinit.Key(1))
print(resident() - before, large[100 << 18 : 140 << 18].double().sum().item())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads resident memory from /proc")
def test_a_part_of_fresh_memory_takes_the_pages_of_that_part_with_huge_pages_or_without() -> None:
    root = Path(__file__).parents[1]
    outputs = []
    for wanted in ("0", "1"):
        environment = {**os.environ, "FASTINIT_HUGE_PAGES": wanted}
        command = [sys.executable, "-c", SCRIPT]
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
        grown, total = re.split(r"\s+", done.stdout.strip())
        assert 39 < float(grown) < 46  # MiB: 40, and what lies in the huge pages at both ends
        outputs.append(total)
    assert outputs[0] == outputs[1]
