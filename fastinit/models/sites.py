"""Where a parameter stands: its names, its layer, its depth; everything a rule may ask about it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple, TypeAlias

from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from fastinit.fans import Fans, fans
from fastinit.models.expressions import evaluate
from fastinit.models.layouts import Layout, layout_of

__all__ = ["Number", "Part", "Site", "sites"]

Number: TypeAlias = "float | str | Callable[[Site], float]"
"""A number, an expression over what a parameter's site knows (see `Site.variable`), or a function of the site."""


class Part(NamedTuple):
    """One of the pieces that a fused weight is made of."""

    axis: int
    start: int
    size: int
    number: int = 0
    """Its place among the pieces."""


@dataclass(frozen=True, eq=False)
class Site:
    """A parameter, or a buffer, in its model; what predicates and functions in rules are given.

    ``layer`` counts the blocks of the stack it stands in from 0, and ``layers`` is that stack's length; outside of any
    stack ``layer`` is None and ``layers`` the length of the model's longest one. A stack is an `nn.ModuleList`, or an
    `nn.Sequential` or `nn.ModuleDict` of one class, whose members are numbered and have members of their own; of nested
    ones the outermost counts, but for one that holds whole models. Neither is known of a part of a model that is given
    a prefix, nor ``layers`` where the numbers do not start from 0: then ``layers`` is 0, and expressions with it are
    refused until a constant says it.
    """

    name: str
    """The qualified name; of a tied parameter the first that `nn.Module.named_parameters` gives."""
    names: tuple[str, ...]
    """All its names."""
    module: nn.Module
    """The module that owns it, under its first name."""
    param: str
    """Its name in that module, as "weight"."""
    tensor: Tensor
    layer: int | None = None
    layers: int = 0
    is_buffer: bool = False
    declared: Layout | None = None
    """The layout that the rule declares; None where the module's kind tells."""
    part: Part | None = None
    """The piece of the weight that is meant, where the layout splits it."""
    known: Mapping[str, float] = field(default_factory=dict)
    """More names for expressions: the recipe's constants."""
    path: str = ""
    """The owning module's name in the tree."""
    tree: Mapping[str, nn.Module] = field(default_factory=dict)
    """All modules of the model by their names."""
    owners: tuple[nn.Module, ...] = ()
    """The owning module for each of the names."""

    @cached_property
    def parents(self) -> tuple[nn.Module, ...]:
        """The modules around the owning one, the model first."""
        steps = self.path.split(".") if self.path else []
        return tuple(self.tree[".".join(steps[:i])] for i in range(len(steps)))

    @cached_property
    def layout(self) -> Layout:
        """The declared layout, or the one that the module's kind tells."""
        return self.declared or layout_of(self.module, self.param.partition(".")[0], self.tensor)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape: of the part, where one is meant."""
        shape = tuple(self.tensor.shape)
        if self.part is None:
            return shape
        axis = self.part.axis % len(shape)
        return (*shape[:axis], self.part.size, *shape[axis + 1 :])

    @cached_property
    def fans(self) -> Fans:
        """Fan-in and fan-out of the weight, or of the part, by its layout.

        Raises:
            ValueError: fewer than 2 dimensions, or a layout that does not fit the shape.
        """
        return _fans(self.shape, self.layout)

    @property
    def batch_dims(self) -> int:
        """How many leading axes stack independent weights.

        Raises:
            ValueError: the batch axes are not the leading ones.
        """
        axes = self.layout.batch_axis
        listed = sorted(axis % len(self.shape) for axis in ([axes] if isinstance(axes, int) else axes))
        if listed != list(range(len(listed))):
            raise ValueError(f"the batch axes must be the leading ones, but are {listed}")
        return len(listed)

    def parts(self) -> list[Site]:
        """The parts that the layout declares, as sites of their own; the site itself where there is one only."""
        sizes = self.layout.sizes(self.shape) if self.layout.split != 1 else (0,)
        if len(sizes) == 1:
            return [self]
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        axis = self.layout.split_axis
        parts = [Part(axis, start, size, i) for i, (start, size) in enumerate(zip(starts, sizes, strict=True))]
        return [replace(self, part=part) for part in parts]

    def number(self, value: Number) -> float:
        """An argument as a float: an expression evaluated, a function called."""
        if isinstance(value, float | int):
            return float(value)
        if isinstance(value, str):
            return evaluate(value, self.variable)
        if callable(value):
            return float(value(self))
        raise TypeError(f"expected a number, an expression or a function of the site, but got {value!r}")

    def variable(self, name: str) -> float:
        """What a name means in an expression.

        The recipe's constants come first, then: ``fan_in``, ``fan_out``, ``layer`` (from 0), ``layers``, ``numel``,
        ``rows`` and ``columns`` (of the matrix that is left when all dimensions but the first are flattened), and for
        a bias ``weight_fan_in`` and ``weight_fan_out``, those of the weight beside it; ``part`` is the number of the
        piece (from 0) where the layout splits a weight, as 0, 1, 2 for queries, keys and values. Then the numbers that
        the owning module has as attributes (``hidden_size``, ``embedding_dim``), and those of the ``config`` of it and
        of the modules around it.

        Raises:
            KeyError: an unknown name.
            ValueError: a name without meaning here: ``layer`` outside of any stack, a fan of a vector.
        """
        if name in self.known:
            return self.known[name]
        if name in ("fan_in", "fan_out"):
            return float(getattr(self.fans, name))
        if name in ("weight_fan_in", "weight_fan_out"):
            weight = getattr(self.module, "weight", None)
            if not isinstance(weight, Tensor):
                raise ValueError(f"there is no weight beside it, so `{name}` has no value")
            layout = self.declared or layout_of(self.module, "weight", weight)
            return float(getattr(_fans(tuple(weight.shape), layout), name.removeprefix("weight_")))
        if name == "layer":
            if self.layer is None:
                raise ValueError("its place in a stack of layers is not known: pass constants={'layer': ...}")
            return self.layer
        if name == "layers":
            if not self.layers:
                raise ValueError("the depth of the model is not known: pass constants={'layers': ...}")
            return self.layers
        if name == "part":
            return self.part.number if self.part is not None else 0
        if name == "numel":
            return math.prod(self.shape)
        if name == "rows":
            return self.shape[0] if self.shape else 1
        if name == "columns":
            return math.prod(self.shape[1:])
        for holder in (self.module, *(getattr(m, "config", None) for m in (self.module, *reversed(self.parents)))):
            value = getattr(holder, name, None)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return value
        raise KeyError(name)


def _fans(shape: tuple[int, ...], layout: Layout) -> Fans:
    return fans(
        shape,
        in_axis=layout.in_axis,
        out_axis=layout.out_axis,
        batch_axis=layout.batch_axis,
        groups=layout.groups,
        transposed=layout.transposed,
    )


def sites(model: nn.Module, prefix: str = "", known: Mapping[str, float] | None = None) -> Iterator[Site]:
    """Every parameter and buffer of a model, once, in the order of `nn.Module.named_parameters`, buffers last.

    Tied ones are found by identity, and by memory: two parameters over the same elements count as one.

    Args:
        model: the model, or a part of one.
        prefix: what its names start with in the whole model, as "transformer.h.4".
        known: names for expressions.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    stacks = _stacks(modules)
    longest = max((length for _, length in stacks.values()), default=0)
    dot = f"{prefix}." if prefix else ""
    for is_buffer, named in (
        (False, model.named_parameters(remove_duplicate=False)),
        (True, model.named_buffers(remove_duplicate=False)),
    ):
        for tensor, (name, *others) in _tied(named):
            path, param = _owner(name, modules)
            # Of the whole that a prefix tells of there may be more, before and after.
            layer, layers = (None, 0) if prefix else _depth(path, stacks, longest)
            yield Site(
                name=dot + name,
                names=(dot + name, *(dot + other for other in others)),
                module=modules[path],
                param=param,
                tensor=tensor,
                layer=layer,
                layers=layers,
                is_buffer=is_buffer,
                known=known or {},
                path=path,
                tree=modules,
                owners=(modules[path], *(modules[_owner(other, modules)[0]] for other in others)),
            )


def _owner(name: str, modules: Mapping[str, nn.Module]) -> tuple[str, str]:
    """The path of the module that a parameter belongs to, and its name there.

    That of a parametrised weight (``lin.parametrizations.weight.original``) is the layer's, and its name the weight's
    (``weight``; where there are several originals, ``weight.original0``).
    """
    path, _, own = name.rpartition(".")
    if isinstance(modules[path], ParametrizationList) and own.startswith("original"):
        layer, _, weight = path.rpartition(".")
        return layer.rpartition(".")[0], weight if own == "original" else f"{weight}.{own}"
    return path, own


def _tied(named: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[Tensor, list[str]]]:
    """Tensors with their names: one for all that are the same object, or the same elements in memory."""
    found: dict[int, tuple[Tensor, list[str]]] = {}
    places: dict[int, Tensor] = {}
    for name, tensor in named:
        if type(tensor) in (Tensor, nn.Parameter) and tensor.device.type != "meta" and tensor.numel():
            first = places.setdefault(tensor.data_ptr(), tensor)
            same = first.shape == tensor.shape and first.stride() == tensor.stride() and first.dtype == tensor.dtype
            tensor = first if same else tensor
        found.setdefault(id(tensor), (tensor, []))[1].append(name)
    yield from found.values()


def _stacks(modules: Mapping[str, nn.Module]) -> dict[str, tuple[int, int]]:
    """The index and the length of the stack for the name of every block; length 0 where only a part of it is here."""
    found: dict[str, dict[str, nn.Module]] = {}
    for name, module in modules.items():
        if isinstance(module, nn.ModuleList | nn.Sequential | nn.ModuleDict):
            blocks = {f"{name}.{key}" if name else key: block for key, block in module.named_children()}
            if blocks and _are_blocks(module, list(blocks.values())):
                found[name] = blocks
    result: dict[str, tuple[int, int]] = {}
    for name, blocks in found.items():
        if not _wraps_models(name, blocks, found):
            numbers = [int(block.rpartition(".")[2]) for block in blocks]
            whole = sorted(numbers) == list(range(len(blocks)))
            result |= {block: (number, whole * len(blocks)) for block, number in zip(blocks, numbers, strict=True)}
    return result


def _are_blocks(module: nn.Module, blocks: Sequence[nn.Module]) -> bool:
    """Whether a container's members are numbered, have members, and are alike; in a list they may differ in class."""
    numbered = all(key.isdigit() for key, _ in module.named_children())
    alike = isinstance(module, nn.ModuleList) or len({type(block) for block in blocks}) == 1
    return numbered and alike and all(next(block.children(), None) is not None for block in blocks)


def _wraps_models(name: str, blocks: Mapping[str, nn.Module], found: Mapping[str, object]) -> bool:
    """Whether a container holds whole models: one around a stack, or several with embeddings and stacks within."""
    inside = [
        any(other.startswith(f"{block}.") or other == block for other in found if other != name) for block in blocks
    ]
    embeds = all(any(isinstance(m, nn.Embedding) for m in block.modules()) for block in blocks.values())
    return all(inside) and (len(blocks) == 1 or embeds)


def _depth(path: str, stacks: Mapping[str, tuple[int, int]], longest: int) -> tuple[int | None, int]:
    start = path.find(".")
    while start >= 0:
        if path[:start] in stacks:
            return stacks[path[:start]]
        start = path.find(".", start + 1)
    return stacks.get(path, (None, longest))
