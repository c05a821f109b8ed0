"""How a fill or a read is carried out, for a block: on which instruction set, on how many threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from fastinit import _C


@contextmanager
def instruction_set(name: str | None) -> Iterator[None]:
    _C.force_isa(name)
    try:
        yield
    finally:
        _C.force_isa(None)


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
