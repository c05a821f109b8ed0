"""The audit: every parameter read once and held against what a recipe declares, or against common sense."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from fastinit.auditing import flags
from fastinit.auditing.dead import dead
from fastinit.auditing.declared import Declared, declare
from fastinit.auditing.exact import differs
from fastinit.auditing.flags import Flag
from fastinit.auditing.report import Audit, Line
from fastinit.auditing.statistics import NO_SCALE, Statistics, joined, survey
from fastinit.auditing.twins import Candidate, twins
from fastinit.keys import Key
from fastinit.models.entries import Entry
from fastinit.models.plan import Skip, plan
from fastinit.models.rules import RecipeLike
from fastinit.models.sites import Part, sites

__all__ = ["audit"]


def audit(
    model: nn.Module,
    recipe: RecipeLike | None = None,
    *,
    seed: int | Key | None = None,
    level: float = 1e-6,
    prefix: str = "",
    skip: Skip = None,
) -> Audit:
    """Read every parameter of a model once, and say what is off.

    With a recipe each parameter is held against the law that the recipe declares for it, as its number format rounds
    it: mean, standard deviation, Kolmogorov-Smirnov distance, bounds. Without one, weights that are constant and huge
    values are flagged. In any case: values that are not finite, parameters on meta, rows and columns of zeros, and
    parameters that repeat another one. Tied parameters count once. Nothing is written.

    Args:
        model: any module, on any device.
        recipe: what should have been written; see `fastinit.initialize_`.
        seed: the seed it was written with: then values are compared bit for bit as well, some thousand of each
            parameter that is filled by a law.
        level: the probability that a model which was initialised as declared is flagged by chance, at most. It is
            divided among the statistical tests, up to three a parameter.
        prefix: what the names start with in the whole model, where ``model`` is a part of one.
        skip: parameters that the recipe does not speak of; see `fastinit.plan`.

    Returns:
        An `Audit`. Print it, `Audit.show` it as a table, or call `Audit.raise_if_flagged`.

    Raises:
        ValueError: a level outside (0, 1), or a seed without a recipe; and what `fastinit.plan` raises.

    Example:
        >>> import fastinit, torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.Linear(256, 64))
        >>> recipe = fastinit.recipes.torch_default()
        >>> _ = fastinit.initialize_(model, recipe, seed=0)
        >>> fastinit.audit(model, recipe, seed=0).ok
        True
        >>> with torch.no_grad():
        ...     _ = model[1].weight.mul_(1.1)
        >>> for line in fastinit.audit(model, recipe).flagged:
        ...     print(line.name, *line.flags)
        1.weight bounds: values in [...] leave [-0.0625, 0.0625] std: 0.039... standard errors off ...
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie between 0 and 1, but got {level}")
    if seed is not None and recipe is None:
        raise ValueError("a seed says what was written only together with a recipe")
    start = time.perf_counter()
    key = Key(seed) if isinstance(seed, int) else seed
    jobs = list(_without(model, prefix) if recipe is None else _with(model, recipe, prefix, skip))
    tests = sum(flags.tests(job.declared) for job in jobs)
    read = _read(jobs)
    lines = [_examine(job, found, level / max(tests, 1), key) for job, found in zip(jobs, read, strict=True)]
    lines = _with_twins(jobs, lines)
    return Audit(tuple(lines), level, with_recipe=recipe is not None, seconds=time.perf_counter() - start)


@dataclass(frozen=True, eq=False)
class _Job:
    """A parameter, or the part of one that has a law of its own."""

    name: str
    tensor: Tensor
    shape: tuple[int, ...]
    regions: Sequence[Tensor]
    """What is read of it: all but what is written over by other means."""
    entry: Entry | None = None
    overlay: Entry | None = None
    declared: Declared | None = None
    judged: bool = True
    """False where the recipe leaves the parameter alone: then any finite value is right."""


def _without(model: nn.Module, prefix: str) -> Iterator[_Job]:
    for site in sites(model, prefix):
        if not site.is_buffer:
            row = getattr(site.module, "padding_idx", None) if site.param == "weight" else None  # zero on purpose
            padding = None if row is None else Part(0, row, 1)
            yield _Job(site.name, site.tensor, _shape(site.tensor), _around(site.tensor, padding))


def _with(model: nn.Module, recipe: RecipeLike, prefix: str, skip: Skip) -> Iterator[_Job]:
    drawn = plan(model, recipe, prefix=prefix, skip=skip)
    over = {id(entry.site.tensor): entry for entry in drawn.overlays}
    for entry in drawn.entries:
        tensor = entry.tensor
        declared = None if entry.fill is None else declare(entry.fill, entry.site.shape, tensor.dtype)
        overlay = over.get(id(entry.site.tensor))
        regions = _around(tensor, overlay.site.part if overlay else None)
        yield _Job(entry.name, tensor, entry.site.shape, regions, entry, overlay, declared, entry.fill is not None)


def _around(tensor: Tensor, part: Part | None) -> list[Tensor]:
    """The tensor without a part of it, which something else is written to."""
    if part is None:
        return [tensor]
    end = part.start + part.size
    pieces = (
        tensor.detach().narrow(part.axis, 0, part.start),
        tensor.detach().narrow(part.axis, end, tensor.shape[part.axis] - end),
    )
    return [piece for piece in pieces if piece.numel()]


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return () if is_lazy(tensor) else tuple(tensor.shape)


def _read(jobs: Sequence[_Job]) -> list[Statistics | None]:
    """The statistics of all, in one loop; None for those that have no values."""
    real = [job for job in jobs if not is_lazy(job.tensor) and not job.tensor.is_meta]
    regions = [(region, job.declared.scale if job.declared else NO_SCALE) for job in real for region in job.regions]
    found = iter(survey([region for region, _ in regions], [scale for _, scale in regions]))
    by_job = {id(job): joined(next(found) for _ in job.regions) for job in real}
    return [by_job.get(id(job)) for job in jobs]


def _examine(job: _Job, found: Statistics | None, level: float, key: Key | None) -> Line:
    declared = job.declared
    if found is None:
        lazy = is_lazy(job.tensor)
        flag = (
            Flag("empty", "a lazy parameter: it has no shape yet")
            if lazy
            else Flag("meta", "on meta: it has no values")
        )
        return _line(job, None, None, [flag])
    distance = declared.distance(found.counts) if declared else None
    raised = flags.non_finite(found)
    if declared is not None:
        raised += flags.against(found, declared, distance, level)
        if key is not None and job.entry is not None and differs(job.entry, key, job.overlay):
            raised.append(Flag("seed", "its values are not those of this seed"))
    elif job.judged:
        raised += flags.without(found, len(job.shape))
    # Where zeros are declared, or nothing is known of the law, they are no fault.
    if job.judged and (declared is None or declared.below is not None):
        for region in job.regions:
            raised += dead(region, found)
    return _line(job, found, distance, raised)


def _line(job: _Job, found: Statistics | None, distance: float | None, raised: list[Flag]) -> Line:
    tensor, declared = job.tensor, job.declared
    known = declared is not None and not math.isnan(declared.std)
    return Line(
        name=job.name,
        names=job.entry.names if job.entry else (job.name,),
        shape=job.shape,
        dtype=str(tensor.dtype).removeprefix("torch."),
        device=str(tensor.device),
        law=repr(job.entry.fill) if job.entry and job.entry.fill is not None else None,
        statistics=found,
        declared_mean=declared.mean if declared and known else None,
        declared_std=declared.std if declared and known else None,
        distance=distance,
        flags=tuple(raised),
    )


def _with_twins(jobs: Sequence[_Job], lines: Sequence[Line]) -> list[Line]:
    candidates = [
        Candidate(job.name, job.tensor, line.statistics)
        for job, line in zip(jobs, lines, strict=True)
        if line.statistics is not None and (job.declared is None or job.declared.random) and job.judged
    ]
    found = twins(candidates)
    return [line.flagged_with(found[line.name]) if line.name in found else line for line in lines]
