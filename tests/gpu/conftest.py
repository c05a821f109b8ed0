"""What the tests of the CUDA backend stand on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from gpu.device import DEVICE


@pytest.fixture
def cuda() -> torch.device:
    """The current CUDA device, for what no other device can stand in for."""
    if DEVICE.type != "cuda":
        pytest.skip(f"a rehearsal on {DEVICE}: this test is about CUDA itself")
    return torch.device("cuda", torch.cuda.current_device())


@pytest.fixture(autouse=True)
def errors_belong_to_their_test() -> Iterator[None]:
    """Kernels run when the host has long gone on: wait, so that a failure is reported where it was caused."""
    yield
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
