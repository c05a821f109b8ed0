"""Every initializer of fastinit, once: the table that tests of what holds for all of them run over."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

import fastinit
from fastinit.dispatch import Source

# What can be filled at random, complex types aside.
RANDOM_TYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.float8_e4m3fnuz,
    torch.float8_e5m2fnuz,
]


def sentinel(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A tensor that shows whether it was written to."""
    return torch.full(shape, 7.0, dtype=dtype)


@dataclass(frozen=True)
class Initializer:
    """One way to call one initializer, on anything that can be filled."""

    name: str
    function: Callable[..., Any]
    arguments: dict[str, Any]
    dimensions: tuple[int, ...]  # the numbers of dimensions it takes
    random: bool = True
    groups: int = 1  # what the first dimension must be a multiple of
    tall: bool = False  # whether the first dimension must not be smaller than the second

    def __call__(self, target: Any, generator: Source = None) -> Any:
        """Fill; the generator is dropped where there is nothing to draw."""
        if self.random:
            return self.function(target, **self.arguments, generator=generator)
        return self.function(target, **self.arguments)

    def __str__(self) -> str:
        """The test's id."""
        return self.name

    @property
    def shape(self) -> tuple[int, ...]:
        """A small shape it takes."""
        return (6, 5, 3, 3, 3)[: max(self.dimensions)]


_ANY = (1, 2, 3, 4)
_WEIGHT = (2, 3, 4)


def _one(function: Callable[..., Any], dimensions: tuple[int, ...], label: str = "", **arguments: Any) -> Initializer:
    return Initializer(function.__name__ + label, function, arguments, dimensions)


RANDOM = [
    _one(fastinit.uniform_, _ANY),
    _one(fastinit.uniform_, _ANY, "(a, b)", a=-1.5, b=4.0),
    _one(fastinit.normal_, _ANY),
    _one(fastinit.normal_, _ANY, "(mean, std)", mean=3.0, std=0.02),
    _one(fastinit.trunc_normal_, _ANY),
    _one(fastinit.trunc_normal_, _ANY, "(tail)", mean=0.5, std=0.5, a=2.0, b=float("inf")),
    _one(fastinit.trunc_normal_tf_, _ANY, mean=1.0, std=0.5),
    _one(fastinit.xavier_uniform_, _WEIGHT, gain=2.0),
    _one(fastinit.xavier_normal_, _WEIGHT),
    _one(fastinit.kaiming_uniform_, _WEIGHT, a=0.2),
    _one(fastinit.kaiming_normal_, _WEIGHT, mode="fan_out", nonlinearity="relu"),
    _one(fastinit.lecun_uniform_, _WEIGHT),
    _one(fastinit.lecun_normal_, _WEIGHT),
    _one(fastinit.variance_scaling_, _WEIGHT, "(fan_avg)", scale=2.0, mode="fan_avg", distribution="normal"),
    _one(fastinit.variance_scaling_, _WEIGHT, "(fan_geo_avg)", mode="fan_geo_avg", transposed=True),
    _one(fastinit.orthogonal_, _WEIGHT, gain=1.5),
    _one(fastinit.block_orthogonal_, _WEIGHT, split_sizes=2),
    Initializer("delta_orthogonal_", fastinit.delta_orthogonal_, {"gain": 0.5}, (3, 4), tall=True),
    _one(fastinit.sparse_, (2,), sparsity=0.3),
]

FIXED = [
    Initializer("constant_", fastinit.constant_, {"val": 0.3}, _ANY, random=False),
    Initializer("ones_", fastinit.ones_, {}, _ANY, random=False),
    Initializer("zeros_", fastinit.zeros_, {}, _ANY, random=False),
    Initializer("eye_", fastinit.eye_, {}, (2,), random=False),
    Initializer("dirac_", fastinit.dirac_, {}, (3, 4), random=False),
    Initializer("dirac_(groups)", fastinit.dirac_, {"groups": 2}, (3, 4), random=False, groups=2),
]

ALL = RANDOM + FIXED
