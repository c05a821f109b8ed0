"""A plan's fills: all that is filled by law in one call, the rest one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from typing import TypeAlias

import torch
from torch import Generator, Tensor

from fastinit.extras import optional
from fastinit.keys import Key, NamedKeys, name_hash
from fastinit.many import Fills, Law
from fastinit.models.entries import Entry
from fastinit.models.initializer import Initializer
from fastinit.shards import Shard

__all__ = ["Filling", "with_tensors"]

Work: TypeAlias = tuple[Entry, Initializer, Law | None]
Advance: TypeAlias = Callable[[int], object]


class Filling:
    """What a plan writes, made ready to be run under one seed after another."""

    def __init__(self, entries: Sequence[Entry], overlays: Sequence[Entry] = ()) -> None:
        # What cannot be judged comes last: if it raises, all else is filled.
        self.work = sorted(_work(entries), key=lambda work: not work[1].judged)
        self.over = _work(overlays)

    @property
    def tensors(self) -> list[Tensor]:
        """What is written, each once."""
        return list({id(entry.site.tensor): entry.site.tensor for entry, _, _ in (*self.work, *self.over)}.values())

    @cached_property
    def on_meta(self) -> bool:
        """Whether some of it has no memory."""
        return any(tensor.device.type == "meta" for tensor in self.tensors)

    def run(self, key: Key | None, generator: Generator | None, *, progress: bool = False) -> None:
        """Fill: under a key each parameter by its name, in any order; from a generator in the plan's order."""
        if progress:
            with _bar(sum(entry.tensor.nbytes for entry, _, _ in self.work)) as advance:
                for chunk in _chunks(self.work):
                    _Calls(chunk).run(key, generator)
                    advance(sum(entry.tensor.nbytes for entry, _, _ in chunk))
        else:
            (self._in_order if key is None else self._by_name).run(key, generator)
        self._overlays.run(None, None)

    @cached_property
    def _in_order(self) -> _Calls:
        return _Calls(self.work)

    @cached_property
    def _by_name(self) -> _Calls:
        return _Calls(sorted(self.work, key=lambda work: (work[2] is None) + (not work[1].judged)))

    @cached_property
    def _overlays(self) -> _Calls:
        return _Calls(self.over)

    def judge(self) -> None:
        """Raise whatever a run would raise; nothing of the model is written, and nothing drawn."""
        if len(self._by_name.calls) + len(self.over) <= 1 and all(t.device.type != "meta" for t in self.tensors):
            return  # one call judges all of it before it writes
        done = set()
        for entry, fill, law in (*self.work, *self.over):
            case = fill, entry.site.shape, entry.site.tensor.dtype
            if case not in done and fill.judged:
                done.add(case)
                _try(*case, law)


def _try(fill: Initializer, shape: tuple[int, ...], dtype: torch.dtype, law: Law | None) -> None:
    """Fill a part of a tensor of this shape that is not there: one element by law, of all else nothing."""
    local = torch.empty([min(size, int(law is not None)) for size in shape], dtype=dtype, device="cpu")
    part = Shard(local, shape, (0,) * len(shape))
    if law is not None:
        Fills([part], [law]).run(Key(0))
    else:
        fill.fill(part, Key(0))


def _work(entries: Sequence[Entry]) -> list[Work]:
    return [(entry, entry.fill, entry.fill.law) for entry in entries if entry.fill is not None]


def with_tensors(entries: Sequence[Entry], new: Mapping[int, Tensor]) -> tuple[Entry, ...]:
    """The entries with other tensors in the place of some, by the ids of those."""

    def there(entry: Entry) -> Entry:
        tensor = new.get(id(entry.site.tensor))
        return entry if tensor is None else replace(entry, site=replace(entry.site, tensor=tensor))

    return tuple(map(there, entries))


class _Calls:
    """Calls in order: neighbours that are filled by law make one."""

    def __init__(self, work: Sequence[Work]) -> None:
        self.calls: list[tuple[Fills, list[int]] | tuple[Entry, Initializer]] = []
        for by_law, group in groupby(work, key=lambda work: work[2] is not None):
            if by_law:
                listed = list(group)
                fills = Fills(
                    [entry.target for entry, _, _ in listed], [law for _, _, law in listed if law is not None]
                )
                self.calls.append((fills, [name_hash(entry.site.name) for entry, _, _ in listed]))
            else:
                self.calls += [(entry, fill) for entry, fill, _ in group]

    def run(self, key: Key | None, generator: Generator | None) -> None:
        for first, second in self.calls:
            if isinstance(first, Fills):
                assert isinstance(second, list)
                first.run(generator if key is None else NamedKeys(key, second))
            else:
                assert isinstance(second, Initializer)
                second.fill(first.tensor, generator if key is None else first.key(key))


_CHUNK = 1 << 28  # bytes between two steps of a bar: a few of them a second


def _chunks(work: Sequence[Work]) -> Iterator[list[Work]]:
    chunk: list[Work] = []
    size = 0
    for item in work:
        chunk.append(item)
        size += item[0].tensor.nbytes
        if size >= _CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


@contextmanager
def _bar(total: int) -> Iterator[Advance]:
    with optional("tqdm", "progress bars").tqdm(total=total, unit="B", unit_scale=True, desc="initialize_") as bar:
        yield bar.update
