"""The CUDA toolkit that a build on this machine would take, for the tests that compile with it."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pytest
import torch

import cuda_toolkit


@functools.cache
def toolkit() -> cuda_toolkit.Toolkit:
    """The toolkit of the major version that torch has (13 for a torch without CUDA); skips if there is none."""
    places = cuda_toolkit.candidates(os.environ, Path(torch.__file__).parents[1])
    try:
        return cuda_toolkit.find(torch.version.cuda or "13.0", places)
    except cuda_toolkit.UnavailableError as error:
        pytest.skip(str(error))
