"""One line of a plan: where, by which rule, with what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fastinit.keys import Key
from fastinit.models.initializer import Initializer
from fastinit.models.rules import Rule
from fastinit.models.sites import Site
from fastinit.shards import Shard

__all__ = ["Entry"]


@dataclass(frozen=True, eq=False)
class Entry:
    """One line of a plan: a parameter, or a part of a fused one, and what fills it."""

    site: Site
    rule: Rule | None
    """The rule that claims it; None where it is skipped."""
    fill: Initializer | None
    """The initializer with plain numbers for arguments; None where the parameter is left as it is."""
    number: int | None = None
    """Which part it is, where the parts have streams of their own: matrices do, slices of one stream do not."""

    def key(self, seed: Key) -> Key:
        """What its values follow from, under a seed."""
        key = seed.fold_in(self.site.name)
        return key if self.number is None else key.fold_in(self.number)

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

    def to_dict(self, seed: Key | None = None) -> dict[str, Any]:
        """As plain data, with the key under a seed."""
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
            "key": f"{self.key(seed).seed:016x}" if seed and self.fill and self.fill.random else None,
        }
