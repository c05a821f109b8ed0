"""Whole models in one call: match, judge, allocate what is on meta, fill everything at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import torch
from torch import Generator, Tensor, nn

from fastinit.dispatch import Source
from fastinit.keys import Key
from fastinit.many import fill_many
from fastinit.models import buffers
from fastinit.models.materialise import allocate, install
from fastinit.models.plan import Entry, Plan, Skip, plan
from fastinit.models.rules import RecipeLike
from fastinit.models.sites import Site, sites

__all__ = ["Report", "initialize_"]


@dataclass(frozen=True)
class Report:
    """What `initialize_` did. Printed, it is a sentence; its ``plan`` has the details."""

    plan: Plan
    filled: int
    """Parameters and buffers that were filled, tied ones counted once."""
    elements: int
    bytes: int
    materialised: int
    """Those that were on meta before."""
    left: tuple[str, ...]
    """The names of those that a rule or ``skip`` left alone."""
    seconds: float

    def __str__(self) -> str:
        made = f", {self.materialised} of them from meta" if self.materialised else ""
        left = f"; {len(self.left)} left as they are" if self.left else ""
        size = f"{self.elements:,} elements, {self.bytes / 1e6:.1f} MB"
        return f"{self.plan.recipe!r} filled {self.filled} parameters ({size}{made}) in {self.seconds:.3g} s{left}"

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        own = {key: getattr(self, key) for key in ("filled", "elements", "bytes", "materialised", "seconds")}
        return {**own, "left": list(self.left), "plan": self.plan.to_dict()}


def initialize_(
    model: nn.Module,
    recipe: RecipeLike,
    *,
    seed: int | Key | None = None,
    generator: Generator | None = None,
    device: torch.device | str | int | None = None,
    prefix: str = "",
    skip: Skip = None,
    progress: bool = False,
) -> Report:
    """Initialise every parameter of a model by the rules of a recipe, in place.

    Parameters on meta are allocated and filled, with nothing written in between: a model that was built on meta costs
    the memory of its parameters and one pass over it. Others are filled where they are. A tied parameter is filled
    once, under its first name. The row of an embedding's ``padding_idx`` is zero.

    Args:
        model: any module.
        recipe: a `fastinit.Recipe` (see `fastinit.recipes` for those that have a name), a list of `fastinit.Rule`, or a
            recipe as a dict.
        seed: an integer or a `fastinit.Key`. The key of each parameter is this one with the qualified name folded in,
            so its values depend on seed, name, rule, shape and type, and on nothing else: not on the order, other
            layers, the device, or on which process fills it. No generator is read.
        generator: without a seed: where randomness comes from, one draw for each parameter (or differing part) in the
            order of the plan. None is the default generator of each parameter's device.
        device: where parameters and buffers on meta are allocated; None is torch's default device. Others stay where
            they are.
        prefix: what the names start with in the whole model, where ``model`` is a part of one (a pipeline stage).
        skip: parameters that are left alone because they are loaded already; see `fastinit.plan`.
        progress: show a bar, by bytes; needs tqdm.

    Returns:
        A `Report`; its ``plan`` says what each parameter was filled with.

    Raises:
        ValueError: both a seed and a generator; parameters that no rule claims; a rule that does not fit; buffers on
            meta whose values nothing knows (see `fastinit.meta_parameters`).
        What the fills raise. Everything is judged first: a refused call leaves model and generator as they were.

    Warns:
        UserWarning: rules that claim nothing.

    Example:
        >>> import fastinit, torch
        >>> with torch.device("meta"):
        ...     model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.GELU(), torch.nn.Linear(256, 64))
        >>> report = fastinit.initialize_(model, fastinit.recipes.torch_default(), seed=0, device="cpu")
        >>> report.filled, report.materialised
        (4, 4)
        >>> model[0].weight.device
        device(type='cpu')
    """
    start = time.perf_counter()
    if seed is not None and generator is not None:
        raise ValueError("seed and generator exclude each other: a seed gives each parameter a key of its own")
    made_on = torch.get_default_device() if device is None else torch.device(device)
    drawn = plan(model, recipe, seed=seed, prefix=prefix, skip=skip)
    _judge(drawn, made_on)
    on_meta = [] if made_on.type == "meta" else _meta_buffers(model, drawn, prefix)

    filled = {id(e.site.tensor): e.site for e in (*drawn.entries, *drawn.overlays) if e.fill is not None}
    new: dict[int, Tensor] = {}
    if made_on.type != "meta":
        wanted = [*filled.values(), *on_meta]
        new = {id(s.tensor): allocate(s, made_on) for s in wanted if s.tensor.device.type == "meta"}
        install(model, prefix, [(s, new[id(s.tensor)]) for s in wanted if id(s.tensor) in new])
        drawn = _moved(drawn, new)
    run(drawn, generator, progress)
    buffers.compute(model, on_meta)

    tensors = drawn.tensors
    return Report(
        plan=drawn,
        filled=len(tensors),
        elements=sum(t.numel() for t in tensors),
        bytes=sum(t.nbytes for t in tensors),
        materialised=len(new) - len(on_meta),
        left=tuple(e.name for e in drawn.entries if e.fill is None),
        seconds=time.perf_counter() - start,
    )


def run(drawn: Plan, generator: Source = None, progress: bool = False) -> None:
    """Fill what a plan says. With keys, all that is filled by law at once; from a generator, in the plan's order."""
    entries = [entry for entry in drawn.entries if entry.fill is not None]
    with _bar(drawn, progress) as advance:
        if any(entry.key is not None for entry in entries):  # order is free: neighbours by law make one call
            entries.sort(key=lambda entry: entry.fill.law is None)  # type: ignore[union-attr]
        for by_law, group in groupby(entries, key=lambda entry: entry.fill.law is not None):  # type: ignore[union-attr]
            for chunk in _chunks(list(group)) if progress else [list(group)]:
                _fill(chunk, by_law, generator)
                advance(sum(entry.tensor.nbytes for entry in chunk))
    if drawn.overlays:
        _fill(drawn.overlays, True, generator)


_NO_KEY = Key(0)  # for constants, which read none


def _fill(entries: Sequence[Entry], by_law: bool, generator: Source) -> None:
    keyed = any(entry.key is not None for entry in entries)
    if by_law:
        keys = [entry.key or _NO_KEY for entry in entries] if keyed else generator
        fill_many([e.target for e in entries], [e.fill.law for e in entries], keys)  # type: ignore[union-attr, misc]
        return
    for entry in entries:
        assert entry.fill is not None
        entry.fill.fill(entry.target, entry.key or generator)


def _judge(drawn: Plan, made_on: torch.device) -> None:
    """Raise what the fills would raise, before anything is written: all of them, on meta."""
    for entry in (*drawn.entries, *drawn.overlays):
        if entry.fill is None:
            continue
        tensor = entry.site.tensor
        device = made_on if tensor.device.type == "meta" else tensor.device
        if device.type not in ("cpu", "cuda", "meta"):
            raise NotImplementedError(f"{entry.name}: fastinit fills tensors on CPUs and CUDA devices, not on {device}")
        if type(tensor) not in (Tensor, nn.Parameter, nn.Buffer):
            raise TypeError(f"{entry.name}: fastinit does not fill a {type(tensor).__name__}")
    moved = {}
    for entry in (*drawn.entries, *drawn.overlays):
        if entry.fill is not None and id(entry.site.tensor) not in moved:
            moved[id(entry.site.tensor)] = torch.empty_like(entry.site.tensor, device="meta", requires_grad=False)
    run(_moved(drawn, moved))


def _moved(drawn: Plan, new: dict[int, Tensor]) -> Plan:
    """The plan for other tensors in the place of some."""

    def there(entry: Entry) -> Entry:
        tensor = new.get(id(entry.site.tensor))
        return entry if tensor is None else replace(entry, site=replace(entry.site, tensor=tensor))

    return replace(drawn, entries=tuple(map(there, drawn.entries)), overlays=tuple(map(there, drawn.overlays)))


def _meta_buffers(model: nn.Module, drawn: Plan, prefix: str) -> list[Site]:
    """The buffers on meta that no rule fills.

    Raises:
        ValueError: there are some whose values nothing knows.
    """
    claimed = {id(entry.site.tensor) for entry in drawn.entries}
    found = [s for s in sites(model, prefix) if s.is_buffer and s.tensor.device.type == "meta"]
    found = [s for s in found if id(s.tensor) not in claimed]
    if unknown := buffers.unknown(model, found):
        raise ValueError(
            f"buffers on meta whose values are not known: {', '.join(unknown)}; build the model under "
            "fastinit.meta_parameters(), which leaves buffers real, or claim them by rules with buffers=True"
        )
    return found


_CHUNK = 1 << 28  # bytes between two steps of a bar: a few of them a second


def _chunks(entries: list[Entry]) -> Iterator[list[Entry]]:
    chunk: list[Entry] = []
    size = 0
    for entry in entries:
        chunk.append(entry)
        size += entry.tensor.nbytes
        if size >= _CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


@contextmanager
def _bar(drawn: Plan, shown: bool) -> Iterator[Callable[[int], object]]:
    """A function that is told of each step."""
    if not shown:
        yield lambda size: None
        return
    try:
        from tqdm import tqdm
    except ModuleNotFoundError as error:
        raise ImportError("progress=True needs tqdm; install it with: python -m pip install tqdm") from error
    total = sum(entry.tensor.nbytes for entry in drawn.entries if entry.fill is not None)
    with tqdm(total=total, unit="B", unit_scale=True, desc=drawn.recipe.name or "initialize_") as bar:
        yield bar.update
