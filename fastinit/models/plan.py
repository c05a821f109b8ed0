"""The plan: for every parameter of a model the rule that claims it and what it will hold. Nothing is written."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

from torch import Generator, nn

from fastinit.keys import Key
from fastinit.models.elementary import Constant
from fastinit.models.entries import Entry
from fastinit.models.filling import Filling
from fastinit.models.initializers import Leave
from fastinit.models.rules import Recipe, RecipeLike, Rule, as_recipe
from fastinit.models.sites import Part, Site, sites

__all__ = ["Plan", "Skip", "plan"]

Skip: TypeAlias = "Callable[[Site], bool] | bool | None"
"""Which parameters are left alone because they are loaded already: by a function; False for none; None for those with
``_is_hf_initialized``, which is how transformers marks them."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What `fastinit.plan` returns and `fastinit.initialize_` carries out; printed, a table, a line for each entry."""

    recipe: Recipe
    entries: tuple[Entry, ...]
    unused: tuple[Rule, ...] = ()
    """The rules that claimed nothing."""
    overlays: tuple[Entry, ...] = ()
    """What is written over the entries: the zero rows of embeddings with a ``padding_idx``."""
    seed: Key | None = None
    buffers: tuple[Site, ...] = ()
    """The buffers that no rule claims."""

    def __repr__(self) -> str:
        return f"Plan({self.recipe!r}, {len(self.entries)} entries)"

    def __str__(self) -> str:
        return "\n".join("  ".join(cells).rstrip() for cells in self._aligned())

    def _aligned(self) -> Iterator[list[str]]:
        rows = [COLUMNS, *self.rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
        for row in rows:
            yield [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]

    def rows(self) -> list[tuple[str, ...]]:
        """The cells of the table, without its head."""
        numbers = {id(rule): str(i) for i, rule in enumerate(self.recipe.rules)}
        rows: list[tuple[str, ...]] = []
        for entry in self.entries:
            line = entry.to_dict(self.seed)
            rows.append(
                (
                    "=".join((line["name"], *entry.names[1:])),
                    "x".join(map(str, line["shape"])) or "scalar",
                    line["dtype"],
                    numbers[id(entry.rule)] if entry.rule else "skipped",
                    line["fill"] or "left as it is",
                    "" if line["std"] is None else f"{line['std']:.4g}",
                    line["key"] or "",
                )
            )
        return rows

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "recipe": self.recipe.name,
            "source": self.recipe.source,
            "entries": [entry.to_dict(self.seed) for entry in self.entries],
            "unused": [repr(rule) for rule in self.unused],
        }

    @cached_property
    def filling(self) -> Filling:
        """The fills, made ready."""
        return Filling(self.entries, self.overlays)

    def fill_(self, *, seed: int | Key | None = None, generator: Generator | None = None) -> None:
        """Carry the plan out on the tensors it was made for, as often as is wanted: nothing is matched again.

        Args:
            seed: as for `fastinit.initialize_`; None is the plan's own, if it has one and there is no generator.
            generator: as for `fastinit.initialize_`.

        Raises:
            ValueError: both a seed and a generator, or a parameter that is on meta.
            TypeError: a generator of another kind.

        Example:
            >>> import fastinit, torch
            >>> model = torch.nn.Linear(4, 4)
            >>> plan = fastinit.plan(model, fastinit.recipes.torch_default())
            >>> for seed in range(3):
            ...     plan.fill_(seed=seed)
        """
        key = source(seed, generator, self.seed)
        if self.filling.on_meta:
            raise ValueError("the plan's parameters are on meta: fastinit.initialize_ allocates them")
        self.filling.run(key, generator)


COLUMNS = ("parameter", "shape", "dtype", "rule", "distribution", "std", "key")


def plan(
    model: nn.Module,
    recipe: RecipeLike,
    *,
    seed: int | Key | None = None,
    prefix: str = "",
    skip: Skip = None,
) -> Plan:
    """Match a model's parameters with a recipe's rules, and write nothing: the dry run of `fastinit.initialize_`.

    Args:
        model: any module, on any device, meta included.
        recipe: a `fastinit.Recipe`, a list of `fastinit.Rule`, or a recipe as a dict.
        seed: see `fastinit.initialize_`; the plan shows the keys that follow from it.
        prefix: what the names start with in the whole model, where ``model`` is a part of one (a pipeline stage). Rules
            and keys go by the whole names.
        skip: parameters that are loaded already and are left alone. None: those that transformers has marked with
            ``_is_hf_initialized``; False: none; or a function of the `fastinit.Site`.

    Returns:
        A `Plan`: print it, or look at its ``entries``.

    Raises:
        ValueError: parameters that no rule claims (all are listed), or a rule that does not fit what it claims.
        RuntimeError: numbers that no fill accepts, as a negative standard deviation.

    Warns:
        UserWarning: rules that claim nothing and are not optional.

    Example:
        >>> import fastinit, torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.LayerNorm(8))
        >>> rules = [
        ...     fastinit.Rule(fastinit.Normal(std="1 / sqrt(fan_in)"), module="Linear", param="weight"),
        ...     fastinit.Rule(fastinit.Ones(), module="*Norm", param="weight"),
        ...     fastinit.Rule(fastinit.Zeros(), param="bias"),
        ... ]
        >>> print(fastinit.plan(model, rules, seed=0))
        parameter  shape  dtype    rule  distribution       std  key
        0.weight   8x4    float32  0     Normal(std=0.5)    0.5  ...
        0.bias     8      float32  2     Constant()         0
        1.weight   8      float32  1     Constant(val=1.0)  0
        1.bias     8      float32  2     Constant()         0
    """
    return make_plan(model, recipe, source(seed), prefix, skip, stacklevel=3)


def make_plan(
    model: nn.Module, recipe: RecipeLike, seed: Key | None, prefix: str, skip: Skip, *, stacklevel: int
) -> Plan:
    """`plan`, with the frame that warnings are to point to."""
    chosen = as_recipe(recipe)
    entries: list[Entry] = []
    overlays: list[Entry] = []
    unclaimed: list[Site] = []
    buffers: list[Site] = []
    used: set[int] = set()
    for site in sites(model, prefix, chosen.constants):
        if not site.is_buffer and _skipped(site, skip):
            entries.append(Entry(site, None, None))
            continue
        rule = next((rule for rule in chosen.rules if rule.matches(site)), None)
        if rule is None:
            (buffers if site.is_buffer else unclaimed).append(site)
            continue
        used.add(id(rule))
        claimed = _entries(site, rule)
        entries += claimed
        overlays += _padding(site, claimed)
    if unclaimed:
        lines = [f"  {s.name}  {tuple(s.tensor.shape)}  {type(s.module).__name__}" for s in unclaimed]
        raise ValueError(
            f"{len(unclaimed)} parameters match no rule of {chosen!r}; claim them, if only by Leave():\n"
            + "\n".join(lines)
        )
    unused = tuple(rule for rule in chosen.rules if id(rule) not in used and not rule.optional)
    if unused:
        warnings.warn(f"rules of {chosen!r} that match nothing: {', '.join(map(repr, unused))}", stacklevel=stacklevel)
    return Plan(chosen, tuple(entries), unused, tuple(overlays), seed, tuple(buffers))


def source(seed: int | Key | None, generator: Generator | None = None, default: Key | None = None) -> Key | None:
    """The key that a seed means; the default without seed and generator."""
    if generator is not None and not isinstance(generator, Generator):
        hint = "; pass a fastinit.Key as seed=" if isinstance(generator, Key) else ""
        raise TypeError(f"generator must be a torch.Generator or None, but got {type(generator).__name__}{hint}")
    if seed is not None and generator is not None:
        raise ValueError("seed and generator exclude each other: a seed gives each parameter a key of its own")
    if seed is None:
        return default if generator is None else None
    return seed if isinstance(seed, Key) else Key(seed)


def _skipped(site: Site, skip: Skip) -> bool:
    if skip is None:
        return bool(getattr(site.tensor, "_is_hf_initialized", False))
    return bool(skip(site)) if callable(skip) else False


def _entries(site: Site, rule: Rule) -> list[Entry]:
    """A parameter's entry; one for each part where they differ."""
    if rule.layout is not None:
        site = replace(site, declared=rule.layout)
    if isinstance(rule.init, Leave):
        return [Entry(site, rule, None)]
    parts = site.parts()
    fills = [rule.init.at(part) for part in parts]
    by_law = fills[0].law is not None
    if len(parts) == 1 or (by_law and all(fill == fills[0] for fill in fills)):
        return [Entry(site, rule, fills[0])]
    # Parts that are filled by law are slices of the whole's stream. The others, matrices, need streams of their own.
    return [
        Entry(part, rule, fill, None if by_law else i) for i, (part, fill) in enumerate(zip(parts, fills, strict=True))
    ]


def _padding(site: Site, entries: Sequence[Entry]) -> list[Entry]:
    """The row of an embedding that stands for padding: it gets no gradient, and is zero from the start."""
    if not any(entry.fill is not None and entry.fill.random for entry in entries):
        return []
    tables = [owner for owner in site.owners if isinstance(owner, nn.Embedding | nn.EmbeddingBag)]
    rows = {table.padding_idx for table in tables if table.padding_idx is not None}
    return [Entry(replace(site, part=Part(0, row, 1)), entries[0].rule, Constant(0.0)) for row in sorted(rows)]
