"""Stateless keys: a place in the random stream that can be named, stored and sent.

A `torch.Generator` is a mutable object that lives on one device: what a fill writes depends on everything drawn
before it. A `Key` is a value. Passed as ``generator=``, it writes the same numbers at every call, on every device,
whatever was filled earlier and by whom. Folding a parameter's qualified name into one key per model gives every
parameter a stream of its own, so any rank can fill any parameter, or any part of one, in any order.
"""

import hashlib
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import SupportsIndex, overload

from fastinit import _native

__all__ = ["Key"]

_WORD = 1 << 64

# The two kinds of data a key can absorb use separate domains, so that fold_in("7") and fold_in(7) stay unrelated.
_DOMAIN_INT = 1
_DOMAIN_STR = 2


@dataclass(frozen=True)
class Key:
    """A 64-bit seed and a 64-bit position in its stream.

    Args:
        seed: an integer in [-2**63, 2**64). Negative seeds count from the top, as two's complement does, so
            ``Key(-1) == Key(2**64 - 1)``. All 64 bits matter.
        offset: where in the seed's stream the fill starts, counted in Philox blocks of 128 bits (four float32
            values each, see docs/stream.md); same range as ``seed``. The default is right nearly always: for an
            independent stream use `fold_in`, since two offsets of one seed walk the same stream.

    Raises:
        ValueError: seed or offset out of range.
        TypeError: seed or offset is not an integer (bool is refused too: it is nearly always a misplaced argument).

    A key is immutable, hashable, comparable and picklable.

    Example:
        >>> import torch, fastinit
        >>> key = fastinit.Key(2024)
        >>> a = fastinit.normal_(torch.empty(2, 3), generator=key)
        >>> b = fastinit.normal_(torch.empty(2, 3), generator=key)
        >>> torch.equal(a, b)
        True
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 2))
        >>> for name, parameter in net.named_parameters():
        ...     _ = fastinit.normal_(parameter, std=0.02, generator=key.fold_in(name))
    """

    seed: int
    offset: int = 0

    def __post_init__(self) -> None:
        # object.__setattr__ is how a frozen dataclass normalises its own fields.
        object.__setattr__(self, "seed", _unsigned64(self.seed, "seed"))
        object.__setattr__(self, "offset", _unsigned64(self.offset, "offset"))

    def fold_in(self, data: int | str) -> "Key":
        """A new key, a fixed function of this one and of ``data``; this one is left as it was.

        Keys folded from different data are independent for every practical purpose (the seed is a 64-bit hash: among
        a million keys two coincide with a probability of 3e-8). Folds chain, and their order matters. The offset is
        carried over.

        Args:
            data: an integer in [-2**63, 2**64), or any string (hashed as UTF-8 by BLAKE2b). ``7`` and ``"7"``
                give unrelated keys.

        Raises:
            ValueError: an integer out of range.
            TypeError: anything else than an int or a str; bool.

        This is the idea of ``jax.random.fold_in`` and serves the same purpose, with two differences: strings are
        taken as they are, and the numbers are not JAX's, for the generator is Philox rather than Threefry.

        Example:
            >>> from fastinit import Key
            >>> layer = Key(0).fold_in("decoder").fold_in(3)
            >>> layer == Key(0).fold_in("decoder").fold_in(3)
            True
            >>> layer == Key(0).fold_in(3).fold_in("decoder")
            False
        """
        if isinstance(data, str):
            word, domain = name_hash(data), _DOMAIN_STR
        else:
            word, domain = _unsigned64(data, "data"), _DOMAIN_INT
        return Key(_native.fold_in(self.seed, word, domain), self.offset)

    @property
    def words(self) -> list[int]:
        """Seed and offset as signed 64-bit integers of the same bits: torch's operators know no unsigned ones."""
        return [_signed64(self.seed), _signed64(self.offset)]


def name_hash(name: str) -> int:
    """What a name is to a key: 64 bits of its BLAKE2b."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


class NamedKeys(Sequence[Key]):
    """``key.fold_in(name)`` for each of many names whose hashes are known, as the words that a fill of many takes.

    A model's keys under one seed after another: without a `Key` object and a hash for each, which cost more than
    filling a small parameter does.
    """

    def __init__(self, key: Key, hashes: Sequence[int]) -> None:
        self.words = _native.fold_in_each(key.seed, hashes, _DOMAIN_STR, key.words[1])

    def __len__(self) -> int:
        return len(self.words) // 2

    @overload
    def __getitem__(self, index: int) -> Key: ...
    @overload
    def __getitem__(self, index: slice) -> list[Key]: ...
    def __getitem__(self, index: int | slice) -> Key | list[Key]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return Key(*self.words[2 * (index % len(self)) :][:2])


def _unsigned64(value: SupportsIndex, name: str) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an int, but got {type(value).__name__}")
    number = operator.index(value)
    if not -_WORD // 2 <= number < _WORD:
        raise ValueError(f"{name} must lie in [-2**63, 2**64), but got {number}")
    return number % _WORD


def _signed64(word: int) -> int:
    return word - _WORD if word >= _WORD // 2 else word
