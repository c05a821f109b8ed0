"""What a call costs before it has anything to fill, and what importing fastinit adds to importing torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Final

import torch
from torch import Tensor

import fastinit

from .children import python
from .device import CPU, Device
from .timing import Run, Timing, interleave

# The public functions on an 8 x 8 tensor, with the arguments people pass (dirac_ wants three dimensions).
CALLS: Final[dict[str, Callable[[ModuleType, Tensor], object]]] = {
    "uniform_": lambda init, t: init.uniform_(t, -0.1, 0.1),
    "normal_": lambda init, t: init.normal_(t, 0.0, 0.02),
    "trunc_normal_": lambda init, t: init.trunc_normal_(t, std=0.02, a=-0.04, b=0.04),
    "constant_": lambda init, t: init.constant_(t, 0.5),
    "ones_": lambda init, t: init.ones_(t),
    "zeros_": lambda init, t: init.zeros_(t),
    "eye_": lambda init, t: init.eye_(t),
    "dirac_": lambda init, t: init.dirac_(t.view(8, 8, 1)),
    "xavier_uniform_": lambda init, t: init.xavier_uniform_(t),
    "xavier_normal_": lambda init, t: init.xavier_normal_(t),
    "kaiming_uniform_": lambda init, t: init.kaiming_uniform_(t),
    "kaiming_normal_": lambda init, t: init.kaiming_normal_(t),
    "orthogonal_": lambda init, t: init.orthogonal_(t),
    "sparse_": lambda init, t: init.sparse_(t, 0.5),
}

_IMPORT: Final = "import time, torch; start = time.perf_counter(); import fastinit; print(time.perf_counter() - start)"


def small_calls(samples: int = 21, sample_s: float = 0.002, device: Device = CPU) -> dict[str, tuple[Timing, Timing]]:
    """For each public function, fastinit's and torch's time on an 8 x 8 float32 tensor, at one thread."""
    tensor = torch.empty(8, 8, device=device.name)
    timed: dict[str, tuple[Timing, Timing]] = {}
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for name, call in CALLS.items():
            pair: dict[str, Run] = {
                "fastinit": partial(call, fastinit, tensor),
                "torch": partial(call, torch.nn.init, tensor),
            }
            both = interleave(pair, samples=samples, sample_s=sample_s, clock=device.wall)
            timed[name] = (both["fastinit"], both["torch"])
    finally:
        torch.set_num_threads(before)
    return timed


def import_time(samples: int = 5) -> Timing:
    """Seconds that ``import fastinit`` takes in a fresh interpreter that has torch already."""
    return Timing.of([float(python("-c", _IMPORT)) for _ in range(samples)])
