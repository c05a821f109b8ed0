"""What the tests of the CUDA backend stand on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from gpu.device import DEVICE, only_on_cuda


@pytest.fixture
def cuda() -> torch.device:
    """The current CUDA device, for what no other device can stand in for."""
    only_on_cuda()
    return torch.device("cuda", torch.cuda.current_device())


@pytest.fixture(autouse=True)
def errors_belong_to_their_test() -> Iterator[None]:
    """Kernels run when the host has long gone on: wait, so that a failure is reported where it was caused."""
    yield
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
