"""Parameter lists of real models, as shapes and rules: what is filled when a model is initialised.

Only shapes and standard deviations, from the models' publications, so that no package and no download is needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor

from .fills import Shape


class Parameter(NamedTuple):
    """A parameter's shape and its rule: a standard deviation, or None and the constant it is filled with."""

    shape: Shape
    std: float | None
    constant: float = 0.0


@dataclass(frozen=True)
class Model:
    """A named list of parameters, in the order in which the model holds them."""

    name: str
    dtype: torch.dtype
    parameters: tuple[Parameter, ...]

    @property
    def elements(self) -> int:
        """Of all parameters together."""
        return sum(math.prod(parameter.shape) for parameter in self.parameters)

    @property
    def size(self) -> int:
        """Bytes of all parameters together."""
        return self.elements * self.dtype.itemsize

    def allocate(self, device: str) -> list[Tensor]:
        """A tensor for each parameter, not filled."""
        return [torch.empty(parameter.shape, dtype=self.dtype, device=device) for parameter in self.parameters]


def _llama() -> Iterator[Parameter]:
    """Llama 3 8B: Grattafiori et al., "The Llama 3 Herd of Models" (2024), table 3, and the released configuration.

    The published tokenizer has 128,256 entries; 8 key-value heads of 128; embedding and output are separate. The rule
    is the one its configuration states (initializer_range 0.02), with gains of one.
    """
    width, hidden, keys, vocabulary, layers, std = 4096, 14336, 8 * 128, 128256, 32, 0.02
    yield Parameter((vocabulary, width), std)
    for _ in range(layers):
        for shape in ((width, width), (keys, width), (keys, width), (width, width)):  # queries, keys, values, output
            yield Parameter(shape, std)
        for shape in ((hidden, width), (hidden, width), (width, hidden)):  # gate, up, down
            yield Parameter(shape, std)
        yield Parameter((width,), None, 1.0)
        yield Parameter((width,), None, 1.0)
    yield Parameter((width,), None, 1.0)
    yield Parameter((vocabulary, width), std)


def _gpt2(width: int, layers: int) -> Iterator[Parameter]:
    """GPT-2: Radford et al., "Language Models are Unsupervised Multitask Learners" (2019), table 2.

    Weights have a standard deviation of 0.02, those that lead back into the residual stream 1/sqrt(2 layers) of it
    (section 2.3 there); the output shares the embedding.
    """
    vocabulary, context, std = 50257, 1024, 0.02
    residual = std / math.sqrt(2 * layers)

    def normalisation() -> Iterator[Parameter]:
        yield Parameter((width,), None, 1.0)
        yield Parameter((width,), None)

    def linear(inputs: int, outputs: int, std: float) -> Iterator[Parameter]:
        yield Parameter((inputs, outputs), std)
        yield Parameter((outputs,), None)

    yield Parameter((vocabulary, width), std)
    yield Parameter((context, width), std)
    for _ in range(layers):
        yield from normalisation()
        yield from linear(width, 3 * width, std)
        yield from linear(width, width, residual)
        yield from normalisation()
        yield from linear(width, 4 * width, std)
        yield from linear(4 * width, width, residual)
    yield from normalisation()


LLAMA: Final = Model("Llama 3 8B", torch.bfloat16, tuple(_llama()))
GPT2: Final = Model("GPT-2 124M", torch.float32, tuple(_gpt2(768, 12)))
GPT2_XL: Final = Model("GPT-2 XL", torch.float32, tuple(_gpt2(1600, 48)))
SMALL: Final = Model("1,000 parameters of 64 x 64", torch.float32, (Parameter((64, 64), 0.02),) * 1000)
MODELS: Final = (LLAMA, GPT2, SMALL)
