"""Looks at the weights that were written: histograms over the declared densities, and a check against them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from fastinit.bench.machine import Facts, headline
from gpt2 import shown_weights, standard_deviation

BINS: Final = 60
REACH: Final = 5.0  # standard deviations to either side that a picture shows
COLOURS: Final = {"torch": "#d62728", "fastinit": "#1f77b4"}
Picture = dict[str, Tensor]  # weight -> density in each bin


@torch.no_grad()
def histograms(model: nn.Module, layers: int) -> Picture:
    """The shown weights as densities over ``BINS`` bins from -REACH to REACH standard deviations."""
    weights = dict(model.named_parameters())
    pictures: Picture = {}
    for name in shown_weights(layers):
        std = standard_deviation(name, layers)
        assert std is not None, name
        weight = weights[name].flatten()
        counts = torch.histc(weight, BINS, -REACH * std, REACH * std)
        pictures[name] = counts / (weight.numel() * 2 * REACH * std / BINS)
    return pictures


@torch.no_grad()
def check(model: nn.Module, layers: int) -> float:
    """The largest deviation of any weight's mean or spread from its rule, in standard errors.

    Of some two hundred means and as many spreads, the largest is about 3 where all is well.  A constant with another
    value than its rule's is an infinite deviation.
    """
    worst = 0.0
    for name, parameter in model.named_parameters():
        std = standard_deviation(name, layers)
        if std is None:
            wanted = 0.0 if name.endswith(".bias") else 1.0
            deviations = [0.0 if bool((parameter == wanted).all()) else math.inf]
        else:
            spread, mean = (float(moment) for moment in torch.std_mean(parameter))
            count = parameter.numel()
            # Of n normal values the mean has the standard error s/sqrt(n), the standard deviation s/sqrt(2n).
            deviations = [mean / std * math.sqrt(count), (spread / std - 1) * math.sqrt(2 * count)]
        worst = max(worst, *(abs(deviation) if math.isfinite(deviation) else math.inf for deviation in deviations))
    return worst


def draw(path: Path, machine: Facts, models: Mapping[str, tuple[int, Mapping[str, Picture]]]) -> None:
    """One panel a weight, one row a model: both libraries' histograms and the density they were asked for."""
    columns = len(shown_weights(1))
    figure = Figure(figsize=(4.2 * columns, 0.6 + 3.2 * max(len(models), 1)), layout="constrained")
    figure.suptitle(f"GPT-2's weights as written by torch.nn.init and fastinit ({headline(machine)})", fontsize=10)
    for row, (model, (layers, pictures)) in enumerate(models.items()):
        for column, name in enumerate(shown_weights(layers)):
            axes = figure.add_subplot(len(models), columns, row * columns + column + 1)
            axes.set_title(f"{model}: {name.removeprefix('transformer.')}", fontsize=8)
            _panel(
                axes, standard_deviation(name, layers) or 0.0, {lib: picture[name] for lib, picture in pictures.items()}
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def _panel(axes: Axes, std: float, densities: Mapping[str, Tensor]) -> None:
    edges = torch.linspace(-REACH * std, REACH * std, BINS + 1, dtype=torch.float64)
    for library, density in densities.items():
        # torch as a shaded area, fastinit as a line on top: where they agree the line is the area's edge.
        shaded = library == "torch"
        axes.stairs(
            density.tolist(),
            edges.tolist(),
            fill=shaded,
            alpha=0.35 if shaded else 1,
            color=COLOURS[library],
            label=library,
        )
    declared = torch.exp(-0.5 * (edges / std) ** 2) / (std * math.sqrt(2 * math.pi))
    axes.plot(edges.tolist(), declared.tolist(), "k--", linewidth=0.8, label=f"N(0, {std:.3g}²)")
    axes.legend(fontsize=6)
    axes.tick_params(labelsize=6)
