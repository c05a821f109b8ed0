"""Fills of many tensors in one call: one parallel region on the CPU, a few launches on a GPU.

The values are those of separate calls, in order. `fastinit.foreach` is the public face; whatever initialises whole
models stands on `fill_many`.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Generator, Tensor
from torch.nn import Parameter

from fastinit.dispatch import FILL_MANY, Op, Source, announce, window
from fastinit.interop import SupportsDLPack
from fastinit.keys import Key, NamedKeys
from fastinit.shards import Shard

__all__ = ["Fills", "Law", "Sources", "each", "fill_many"]

Law: TypeAlias = tuple[Op, tuple[float, ...]]
"""An operator that is one of the laws of ``fill_many_``, and its parameters."""

Sources: TypeAlias = Source | Sequence[Key]
"""Where the randomness of many fills comes from: a generator or a key for all, or a key for each."""


def fill_many(targets: Sequence[Tensor | Shard | SupportsDLPack], laws: Sequence[Law], generator: Sources) -> None:
    """Fill each target by its law, or all by the only one.

    Args:
        targets: what to fill, of any kinds, types and devices.
        laws: one for all, or one for each.
        generator: None or a `torch.Generator`, from which each target draws as a call of its own would, in order; a
            `Key`, into which target i folds the number i; or a key for each.

    Raises:
        ValueError: laws or keys that are neither one nor as many as the targets.
        TypeError: a source of another kind.
        What the single fills raise; then nothing has been filled, nor drawn, but where the targets lie on several
            devices: neighbours on one are filled together, and those before the refused ones have been.
    """
    Fills(targets, laws).run(generator)


class _Run(NamedTuple):
    """Neighbours on one device, as the operator takes them."""

    tensors: list[Tensor]
    laws: list[int | None]
    numbers: list[float]
    shapes: list[int] | None
    offsets: list[int] | None


class Fills:
    """`fill_many` with its arguments made ready, to be run under one source of randomness after another."""

    def __init__(self, targets: Sequence[Tensor | Shard | SupportsDLPack], laws: Sequence[Law]) -> None:
        self.count = count = len(targets)
        if len(laws) not in (1, count):
            raise ValueError(f"expected one law or {count}, but got {len(laws)}")
        if set(map(type, targets)) <= _PLAIN:
            tensors: list[Any] = list(targets)
            places: list[tuple[Sequence[int], Sequence[int]]] | None = None
        else:
            tensors, places = [], []
            for target in targets:
                tensor, shape, offset = window(target)
                tensors.append(tensor)
                places.append((shape or tensor.shape, offset or [0] * tensor.ndim))
        # Only neighbours on a device go together: a generator that several devices share is drawn from in order.
        self.runs: list[_Run] = []
        end = 0
        for _, run in groupby(tensors, key=_device):
            first, end = end, end + len(list(run))
            numbers: list[float] = []
            own = laws if len(laws) == 1 else laws[first:end]
            for _, parameters in own:
                numbers += parameters
                numbers += _NOTHING[len(parameters) :]
            shapes = None if places is None else [size for shape, _ in places[first:end] for size in shape]
            offsets = None if places is None else [start for _, offset in places[first:end] for start in offset]
            self.runs.append(_Run(tensors[first:end], [op.law for op, _ in own], numbers, shapes, offsets))

    def run(self, generator: Sources) -> None:
        """Fill; see `fill_many`."""
        keys, generator = _keys(generator, self.count)
        first = 0
        for run in self.runs:
            announce(run.tensors)
            end = first + len(run.tensors)
            FILL_MANY.run(
                run.tensors,
                run.laws,
                run.numbers,
                generator,
                keys.words if isinstance(keys, Key) else keys and keys[2 * first : 2 * end],
                first if isinstance(keys, Key) else None,
                run.shapes,
                run.offsets,
            )
            first = end


_PLAIN = {Tensor, Parameter}
_NOTHING = (0.0, 0.0, 0.0, 0.0)  # for the parameters that a law does not have


def _device(tensor: Tensor) -> torch.device:
    return tensor.device


def _keys(generator: Any, count: int) -> tuple[Key | list[int] | None, Generator | None]:
    """A key to fold into or the numbers of all keys, and the generator: one of the two, or none."""
    if generator is None or isinstance(generator, Generator):
        return None, generator
    if isinstance(generator, Key):
        return generator, None
    if isinstance(generator, NamedKeys):
        words: list[int] | None = generator.words
    elif isinstance(generator, Sequence) and all(isinstance(key, Key) for key in generator):
        words = [word for key in generator for word in key.words]
    else:
        raise TypeError(
            "generator must be a torch.Generator, a fastinit.Key, a sequence of keys or None, "
            f"but got {type(generator).__name__}"
        )
    if len(generator) != count:
        raise ValueError(f"expected a key for each of {count} tensors, but got {len(generator)}")
    return words, None


def each(value: Any, count: int, name: str) -> list[Any]:
    """A parameter for each of ``count`` targets: one for all, or a sequence of as many."""
    if isinstance(value, Tensor) or not isinstance(value, Sequence):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"{name} must be one number or one for each of {count} tensors, but got {len(value)}")
    return list(value)
