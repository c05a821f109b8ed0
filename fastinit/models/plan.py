"""The plan: for every parameter of a model the rule that claims it and what it will hold. Nothing is written."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

from torch import Tensor, nn

from fastinit.keys import Key
from fastinit.models.elementary import Constant
from fastinit.models.initializer import Initializer
from fastinit.models.initializers import Leave
from fastinit.models.rules import Recipe, RecipeLike, Rule, as_recipe
from fastinit.models.sites import Part, Site, sites
from fastinit.shards import Shard

__all__ = ["Entry", "Plan", "Skip", "plan"]

Skip: TypeAlias = "Callable[[Site], bool] | bool | None"
"""Which parameters are left alone because they are loaded already: by a function; False for none; None for those with
``_is_hf_initialized``, which is how transformers marks them."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One line of a plan: a parameter, or a part of a fused one, and what fills it."""

    site: Site
    rule: Rule | None
    """The rule that claims it; None where it is skipped."""
    fill: Initializer | None
    """The initializer with plain numbers for arguments; None where the parameter is left as it is."""
    key: Key | None = None
    """What its values follow from; None without a seed, and where nothing is random."""

    @property
    def name(self) -> str:
        """The qualified name, with the range of a part: ``"attn.in_proj_weight[64:128]"``."""
        part = self.site.part
        if part is None:
            return self.site.name
        return f"{self.site.name}[{', '.join([':'] * part.axis + [f'{part.start}:{part.start + part.size}'])}]"

    @property
    def names(self) -> tuple[str, ...]:
        """All names of a tied parameter."""
        return self.site.names

    @property
    def tensor(self) -> Tensor:
        """The parameter, or a view of the part."""
        part = self.site.part
        whole = self.site.tensor
        return whole if part is None else whole.detach().narrow(part.axis, part.start, part.size)

    @property
    def target(self) -> Tensor | Shard:
        """What a fill is given: a part that is filled element by element gets the values of its place in the whole."""
        part = self.site.part
        if part is None or self.fill is None or self.fill.law is None:
            return self.tensor
        whole = tuple(self.site.tensor.shape)
        return Shard(self.tensor, whole, tuple(part.start if i == part.axis else 0 for i in range(len(whole))))

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        moments = self.fill.moments(self.site.shape) if self.fill else None
        return {
            "name": self.name,
            "names": list(self.names),
            "shape": list(self.site.shape),
            "dtype": str(self.site.tensor.dtype).removeprefix("torch."),
            "rule": repr(self.rule) if self.rule else None,
            "fill": repr(self.fill) if self.fill else None,
            "mean": moments and moments[0],
            "std": moments and moments[1],
            "key": self.key and f"{self.key.seed:016x}",
        }


@dataclass(frozen=True, eq=False)
class Plan:
    """What `fastinit.plan` returns and `fastinit.initialize_` carries out; printed, a table with a line for each entry."""

    recipe: Recipe
    entries: tuple[Entry, ...]
    unused: tuple[Rule, ...] = ()
    """The rules that claimed nothing."""
    overlays: tuple[Entry, ...] = field(default=(), repr=False)
    """What is written over the entries: the zero rows of embeddings with a ``padding_idx``."""

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
            line = entry.to_dict()
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
            "entries": [entry.to_dict() for entry in self.entries],
            "unused": [repr(rule) for rule in self.unused],
        }

    @cached_property
    def tensors(self) -> list[Tensor]:
        """The parameters that will be filled, each once."""
        filled = {id(e.site.tensor): e.site.tensor for e in (*self.entries, *self.overlays) if e.fill is not None}
        return list(filled.values())


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
    chosen = as_recipe(recipe)
    key = None if seed is None else seed if isinstance(seed, Key) else Key(seed)
    entries: list[Entry] = []
    overlays: list[Entry] = []
    unclaimed: list[Site] = []
    used: set[int] = set()
    for site in sites(model, prefix, chosen.constants):
        if not site.is_buffer and _skipped(site, skip):
            entries.append(Entry(site, None, None))
            continue
        rule = next((rule for rule in chosen.rules if rule.matches(site)), None)
        if rule is None:
            if not site.is_buffer:
                unclaimed.append(site)
            continue
        used.add(id(rule))
        claimed = _entries(site, rule, key)
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
        warnings.warn(f"rules of {chosen!r} that match nothing: {', '.join(map(repr, unused))}", stacklevel=2)
    return Plan(chosen, tuple(entries), unused, tuple(overlays))


def _skipped(site: Site, skip: Skip) -> bool:
    if skip is None:
        return bool(getattr(site.tensor, "_is_hf_initialized", False))
    return bool(skip(site)) if callable(skip) else False


def _entries(site: Site, rule: Rule, key: Key | None) -> list[Entry]:
    """A parameter's entry; one for each part where they differ."""
    if rule.layout is not None:
        site = _declared(site, rule)
    if isinstance(rule.init, Leave):
        return [Entry(site, rule, None)]
    if key is not None:
        key = key.fold_in(site.name)
    parts = site.parts()
    fills = [rule.init.at(part) for part in parts]
    if len(parts) == 1 or (fills[0].law is not None and all(fill == fills[0] for fill in fills)):
        return [_entry(site, rule, fills[0], key)]
    return [
        # A part filled by law is a slice of the whole's stream. The others (matrices) need streams of their own.
        _entry(part, rule, fill, key.fold_in(i) if key is not None and fill.law is None else key)
        for i, (part, fill) in enumerate(zip(parts, fills, strict=True))
    ]


def _entry(site: Site, rule: Rule, fill: Initializer, key: Key | None) -> Entry:
    return Entry(site, rule, fill, key if fill.random else None)


def _declared(site: Site, rule: Rule) -> Site:
    return replace(site, declared=rule.layout)


def _padding(site: Site, entries: Sequence[Entry]) -> list[Entry]:
    """The row of an embedding that stands for padding: it gets no gradient, and is zero from the start."""
    row = getattr(site.module, "padding_idx", None)
    embedding = isinstance(site.module, nn.Embedding | nn.EmbeddingBag) and site.param == "weight"
    if not embedding or row is None or all(e.fill is None or not e.fill.random for e in entries):
        return []
    return [Entry(replace(site, part=Part(0, row, 1)), entries[0].rule, Constant(0.0))]
