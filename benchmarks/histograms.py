"""Looks at the weights that were written: a check against the declared distributions, and histograms over them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

import fastinit
from fastinit import Entry
from fastinit.bench.machine import Facts, headline

BINS: Final = 60
REACH: Final = 5.0  # standard deviations to either side that a picture shows
COLOURS: Final = {"torch": "#d62728", "patch": "#2ca02c", "defer": "#17becf", "recipe": "#1f77b4"}
SHOWN: Final = 3  # parameters of each model
DRAWN: Final = 2**22  # elements of each
PIECE: Final = 2**15  # elements; torch works on so few in one thread, and wakes no other


@dataclass(frozen=True)
class Picture:
    """One parameter as densities over ``BINS`` bins: what was written, and what was declared."""

    law: str
    edges: list[float]
    written: list[float]
    declared: list[float]


@torch.no_grad()
def check(model: nn.Module, recipe: fastinit.Recipe) -> float:
    """The largest deviation of any parameter's mean or spread from its rule, in standard errors.

    Of some two hundred means and as many spreads, the largest is about 3 where all is well.  A constant with another
    value than its rule's is an infinite deviation.
    """
    plan = fastinit.plan(model, recipe, skip=False)
    zeroed = {entry.site.name: entry for entry in plan.overlays}  # the padding rows of embeddings
    worst = 0.0
    for entry in plan.entries:
        assert entry.fill is not None, entry.name
        row = zeroed.get(entry.site.name)
        worst = max(worst, _deviation(entry, 0 if row is None else row.tensor.numel()))
        if row is not None and bool(row.tensor.any()):
            return math.inf
    return worst


def _deviation(entry: Entry, zeros: int) -> float:
    assert entry.fill is not None
    moments = entry.fill.moments(entry.site.shape)
    assert moments is not None, f"{entry.name}: {entry.fill} has no known moments"
    mean, std = moments
    if std == 0.0:
        return 0.0 if bool((entry.tensor == mean).all()) else math.inf
    count = entry.tensor.numel()
    std *= math.sqrt(1 - zeros / count)
    found_mean, found_std = _moments(entry.tensor)
    # Of n normal values the mean has the standard error s/sqrt(n), the standard deviation s/sqrt(2n), and that of a
    # distribution with lighter tails less: it is judged mildly.
    found = max(abs(found_mean - mean) / std * math.sqrt(count), abs(found_std / std - 1) * math.sqrt(2 * count))
    return found if math.isfinite(found) else math.inf


def _moments(tensor: Tensor) -> tuple[float, float]:
    """Mean and standard deviation, by sums over pieces that fit a core's cache, added up in double precision.

    torch.std_mean takes ten times as long; a norm of the whole, in single precision, is wrong in the third digit.
    """
    first = second = 0.0
    for piece in torch.split(tensor.detach().flatten(), PIECE):
        values = piece.float()
        first += float(values.sum())
        second += float(values.square().sum())
    mean = first / tensor.numel()
    return mean, math.sqrt(max(second / tensor.numel() - mean**2, 0.0))


@torch.no_grad()
def pictures(model: nn.Module, recipe: fastinit.Recipe) -> dict[str, Picture]:
    """The largest parameter of each law, then the largest of the rest, as far as ``SHOWN`` goes."""
    random = [e for e in fastinit.plan(model, recipe, skip=False).entries if e.fill is not None and e.fill.random]
    later_first = random[::-1]
    by_size = sorted(later_first, key=lambda entry: entry.tensor.numel(), reverse=True)
    of_laws = list({repr(entry.fill): entry for entry in reversed(by_size)}.values())
    chosen = (of_laws + [entry for entry in by_size if entry not in of_laws])[:SHOWN]
    return {entry.name: _picture(entry) for entry in sorted(chosen, key=random.index)}


def _picture(entry: Entry) -> Picture:
    fill = entry.fill
    assert fill is not None
    moments = fill.moments(entry.site.shape)
    assert moments is not None
    mean, std = moments
    edges = torch.linspace(mean - REACH * std, mean + REACH * std, BINS + 1, dtype=torch.float64)
    below = fill.cdf(edges)
    assert below is not None, f"{entry.name}: {fill} has no density"
    values = entry.tensor.flatten()[:DRAWN].float()
    counts = torch.histc(values, BINS, float(edges[0]), float(edges[-1])).double()
    width = 2 * REACH * std / BINS
    return Picture(
        f"{type(fill).__name__}, std {std:.3g}",
        edges.tolist(),
        (counts / (values.numel() * width)).tolist(),
        (below.diff() / width).tolist(),
    )


def draw(path: Path, machine: Facts, models: Mapping[str, Mapping[str, Mapping[str, Picture]]]) -> None:
    """One row a model, one panel a parameter: every way's histogram and the declared density.

    Args:
        path: of the PNG.
        machine: for the title.
        models: by model and way, what `pictures` has found.
    """
    figure = Figure(figsize=(4.2 * SHOWN, 0.6 + 2.6 * max(len(models), 1)), layout="constrained")
    figure.suptitle(f"Weights as written, and as declared ({headline(machine)})", fontsize=10)
    for row, (model, by_way) in enumerate(models.items()):
        for column, name in enumerate(next(iter(by_way.values()), {})):
            axes = figure.add_subplot(len(models), SHOWN, row * SHOWN + column + 1)
            axes.set_title(f"{model}: {name.split('=')[0]}", fontsize=7)
            _panel(axes, {way: found[name] for way, found in by_way.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _panel(axes: Axes, found: Mapping[str, Picture]) -> None:
    for way, picture in found.items():
        # torch as a shaded area, the others as lines on top: where they agree the line is the area's edge.
        shaded = way == "torch"
        axes.stairs(
            picture.written,
            picture.edges,
            fill=shaded,
            alpha=0.35 if shaded else 1,
            color=COLOURS[way],
            label=way,
        )
    any_picture = next(iter(found.values()))
    middles = [(low + high) / 2 for low, high in zip(any_picture.edges, any_picture.edges[1:], strict=False)]
    axes.plot(middles, any_picture.declared, "k--", linewidth=0.8, label=any_picture.law)
    axes.legend(fontsize=6)
    axes.tick_params(labelsize=6)
