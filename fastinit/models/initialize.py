"""Whole models in one call: match, judge, allocate what is on meta, fill everything at once."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Generator, Tensor, nn

from fastinit.extras import optional
from fastinit.keys import Key
from fastinit.models import buffers
from fastinit.models.filling import with_tensors
from fastinit.models.materialise import allocate, install
from fastinit.models.plan import Plan, Skip, make_plan, source
from fastinit.models.rules import RecipeLike
from fastinit.models.sites import Site

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
        prefix: what the names start with in the whole model, where ``model`` is a part of one (a pipeline stage). The
            depth of the whole is not known then: ``recipe.with_constants(layers=...)`` says it to rules that ask.
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
    key = source(seed, generator)
    made_on = torch.get_default_device() if device is None else torch.device(device)
    drawn = make_plan(model, recipe, key, prefix, skip, stacklevel=3)
    _check_targets(drawn, made_on, generator)
    if progress:
        optional("tqdm", "progress bars")  # an error about it comes before anything is made
    drawn.filling.judge()
    materialised = 0
    lost: list[Site] = []
    if made_on.type != "meta":
        lost = _lost_buffers(model, drawn)
        materialised, drawn, lost = _materialise(model, drawn, lost, made_on, prefix)
    buffers.compute(model, lost)
    drawn.filling.run(key, generator, progress=progress)

    tensors = [tensor for tensor in drawn.filling.tensors if tensor.device.type != "meta"]
    return Report(
        plan=drawn,
        filled=len(tensors),
        elements=sum(t.numel() for t in tensors),
        bytes=sum(t.nbytes for t in tensors),
        materialised=materialised,
        left=tuple(e.name for e in drawn.entries if e.fill is None),
        seconds=time.perf_counter() - start,
    )


_CLASSES = frozenset({Tensor, nn.Parameter, nn.Buffer})


def _check_targets(drawn: Plan, made_on: torch.device, generator: Generator | None) -> None:
    for entry in (*drawn.entries, *drawn.overlays):
        if entry.fill is None:
            continue
        tensor = entry.site.tensor
        device = made_on if tensor.device.type == "meta" else tensor.device
        if device.type not in ("cpu", "cuda", "meta"):
            raise NotImplementedError(f"{entry.name}: fastinit fills tensors on CPUs and CUDA devices, not on {device}")
        if generator is not None and generator.device.type not in ("cpu", device.type):
            raise RuntimeError(
                f"{entry.name}: expected a generator on cpu or {device.type}, but found one on {generator.device.type}"
            )
        if type(tensor) not in _CLASSES:
            raise TypeError(f"{entry.name}: fastinit does not fill a {type(tensor).__name__}")
        if not tensor.is_contiguous() and torch._debug_has_internal_overlap(tensor) == 1:
            raise RuntimeError(f"{entry.name}: more than one element of the tensor refers to a single memory location")


def _lost_buffers(model: nn.Module, drawn: Plan) -> list[Site]:
    """The buffers on meta that no rule fills.

    Raises:
        ValueError: there are some whose values nothing knows.
    """
    lost = [site for site in drawn.buffers if site.tensor.device.type == "meta"]
    if lost and (unknown := buffers.unknown(model, lost)):
        raise ValueError(
            f"buffers on meta whose values are not known: {', '.join(unknown)}; build the model under "
            "fastinit.meta_parameters(), which leaves buffers real, or claim them by rules with buffers=True"
        )
    return lost


def _materialise(
    model: nn.Module, drawn: Plan, lost: list[Site], made_on: torch.device, prefix: str
) -> tuple[int, Plan, list[Site]]:
    """Give memory to all that is on meta and will be filled: how many, the plan and the buffers with it."""
    filled = {id(e.site.tensor): e.site for e in (*drawn.entries, *drawn.overlays) if e.fill is not None}
    wanted = [site for site in filled.values() if site.tensor.device.type == "meta"]
    if not wanted and not lost:
        return 0, drawn, lost
    made = [(site, allocate(site, made_on)) for site in (*wanted, *lost)]  # all of it first: memory may not suffice
    install(model, prefix, made)
    new = {id(site.tensor): tensor for site, tensor in made}
    entries, overlays = with_tensors(drawn.entries, new), with_tensors(drawn.overlays, new)
    return (
        len(wanted),
        replace(drawn, entries=entries, overlays=overlays),
        [replace(site, tensor=new[id(site.tensor)]) for site in lost],
    )
