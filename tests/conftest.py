"""What every test stands on: no random state leaks, and no GPU test is skipped where a GPU was promised."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

try:
    import hypothesis
except ModuleNotFoundError:  # the tests of the CUDA backend do without: a machine with a GPU may have no way to get it
    pass
else:
    # No deadline: the machine is shared. The same examples in every CI run, new ones at every run by hand.
    hypothesis.settings.register_profile("fastinit", deadline=None, derandomize="CI" in os.environ)
    hypothesis.settings.load_profile("fastinit")

# A rehearsal of the GPU tests on another device (tests/gpu/__init__.py).
STAND_IN = "FASTINIT_GPU_STAND_IN" in os.environ


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Where there is no GPU, skip a test marked `gpu`, or fail it if FASTINIT_REQUIRE_GPU=1 says that there must be."""
    if item.get_closest_marker("gpu") is None or torch.cuda.is_available() or STAND_IN:
        return
    if os.environ.get("FASTINIT_REQUIRE_GPU") == "1":
        pytest.fail("FASTINIT_REQUIRE_GPU=1 and torch sees no CUDA device", pytrace=False)
    pytest.skip("needs a CUDA device")


@pytest.fixture(autouse=True)
def rng_state() -> Iterator[None]:
    """Give every test the generator as the one before it found it, on every device."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Parallel fills have their own tests; elsewhere threads would wait for cores that the machine may need."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
