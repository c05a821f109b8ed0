"""The distributions, types and comparisons of the tests that values do not depend on where and how they are written."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import fastinit
from fastinit import Key, shard
from fastinit.dispatch import Source

DTYPES = [
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16),
    *(torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz),
    *(torch.complex64, torch.complex128),
]
Law = tuple[Any, ...]
"""The name of an initializer, and its parameters."""

UNIFORM, NORMAL = ("uniform_", -0.1, 0.3), ("normal_", 0.1, 1.0)
TRUNCATED = [("trunc_normal_", 0.0, 1.0, *bounds) for bounds in ((1.0, 1.1), (-2.0, 1.5), (2.0, math.inf), (-3.0, 4.0))]
LAWS: list[Law] = [UNIFORM, NORMAL, *TRUNCATED]  # each form of docs/stream.md once
GRID = [(law, dtype) for law in LAWS for dtype in DTYPES if not (dtype.is_complex and law in TRUNCATED)]
EVERY_LAW_AND_DTYPE = pytest.mark.parametrize(("law", "dtype"), GRID, ids=str)


ORDINARY = Key(1)


def fill(law: Law, target: Any, source: Source = ORDINARY) -> Any:
    """Fill a tensor, or a shard, by a law."""
    name, *parameters = law
    return getattr(fastinit, name)(target, *parameters, generator=source)


def fresh(law: Law, dtype: torch.dtype, *shape: int, key: Key = ORDINARY) -> Tensor:
    """What a fill of an ordinary contiguous tensor gives."""
    result: Tensor = fill(law, torch.empty(shape, dtype=dtype), key)
    return result


def sliced(law: Law, dtype: torch.dtype, begin: int, end: int, key: Key = ORDINARY) -> Tensor:
    """Elements [begin, end) of a tensor in one dimension, alone."""
    part = torch.empty(end - begin, dtype=dtype)
    fill(law, shard(part, (end,), (begin,)), key)
    return part


def raw(tensor: Tensor) -> Tensor:
    """The bytes, in logical order."""
    return torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor).flatten().view(torch.uint8)


def same(x: Tensor, y: Tensor) -> bool:
    """Whether shapes, types and all bits are equal, wherever the tensors are."""
    return x.shape == y.shape and x.dtype == y.dtype and torch.equal(raw(x), raw(y))
