"""What recipes are for: the behaviour that their papers claim."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import fastinit
from fastinit import Key, Recipe, recipes

# SIREN: Sitzmann et al. 2020, theorem 1.8 and figure 2 of the supplement ---------------------------------------------


class Siren(nn.Module):
    """sin(omega_0 (W x + b)) layer by layer; gives the arguments and the values of all sines."""

    def __init__(self, width: int, layers: int, omega_0: float) -> None:
        super().__init__()
        self.omega_0 = omega_0
        self.net = nn.ModuleList(nn.Linear(1 if i == 0 else width, width) for i in range(layers))

    def forward(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Arguments and values of the sines."""
        found = []
        for layer in self.net:
            argument = self.omega_0 * layer(x)
            x = argument.sin()
            found.append((argument, x))
        return found


@torch.no_grad()
def test_siren_keeps_arguments_normal_and_sines_arcsine_distributed() -> None:
    model = Siren(width=1024, layers=6, omega_0=30.0)
    no_biases = fastinit.Rule(fastinit.Zeros(), param="bias")  # the theorem's layers have none
    fastinit.initialize_(model, recipes.siren(omega_0=30.0).override(no_biases), seed=0)
    # Taking sines for arcsine-distributed, of variance 1/2, the paper gets arguments of variance 1. The fixed point of
    # variance -> 2 E[sin(z) ** 2] = 1 - exp(-2 variance) is 0.797.
    x = torch.linspace(-1.0, 1.0, 1024)[:, None]
    for layer, (argument, sine) in enumerate(model(x)):
        if layer >= 2:
            assert float(argument.std()) == pytest.approx(math.sqrt(0.797), abs=0.05)
        if layer >= 1:
            assert _distance(argument / argument.std(), stats.norm()) < 0.03
        assert _distance(sine, stats.arcsine(-1.0, 2.0)) < 0.09


def _distance(values: Tensor, law: Any) -> float:
    """Kolmogorov and Smirnov's, on some ten thousand values."""
    return float(stats.kstest(values.flatten()[::97].double().numpy(), law.cdf).statistic)


# DeepNorm and T-Fixup: the update of a deep model is bounded ---------------------------------------------------------


class Block(nn.Module):
    """Attention and feed-forward with a norm after each, or with none."""

    def __init__(self, width: int, alpha: float, norm: bool) -> None:
        super().__init__()
        self.alpha = alpha
        self.self_attn = nn.MultiheadAttention(width, 4, batch_first=True)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm1, self.norm2 = ((nn.LayerNorm if norm else nn.Identity)(width) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """The residual stream after both."""
        x = self.norm1(self.alpha * x + self.self_attn(x, x, x, need_weights=False)[0])
        out: Tensor = self.norm2(self.alpha * x + self.fc2(self.fc1(x).relu()))
        return out


class Encoder(nn.Module):
    """Blocks under the names that recipes know."""

    def __init__(self, layers: int, width: int = 32, alpha: float = 1.0, norm: bool = True) -> None:
        super().__init__()
        blocks = (Block(width, alpha, norm) for _ in range(layers))
        self.encoder = nn.ModuleDict({"layers": nn.Sequential(*blocks)})

    def forward(self, x: Tensor) -> Tensor:
        """The encoded sequence."""
        out: Tensor = self.encoder["layers"](x)
        return out


def update(model: nn.Module, recipe: Recipe, scale: float = 1.0) -> float:
    """How far one step of gradient descent on all matrices moves the output: what both papers bound."""
    fastinit.initialize_(model, recipe, seed=0)
    x = fastinit.normal_(torch.empty(4, 6, 32), std=scale, generator=Key(1))
    target = fastinit.normal_(torch.empty(4, 6, 32), generator=Key(2))
    before = model(x)
    (before * target).mean().backward()
    torch.optim.SGD([parameter for parameter in model.parameters() if parameter.ndim > 1], 0.1).step()
    with torch.no_grad():
        return float((model(x) - before).norm())


GLOROT = Recipe(
    (
        fastinit.Rule(fastinit.XavierNormal(), module=nn.Linear, param="weight"),
        fastinit.Rule(fastinit.XavierNormal(), param="in_proj_weight"),
        fastinit.Rule(fastinit.Ones(), module=nn.LayerNorm, param="weight", optional=True),
        fastinit.Rule(fastinit.Zeros(), param="*bias"),
    )
)
DEPTHS = (4, 16, 64)


@pytest.mark.usefixtures("one_thread")
def test_deepnorm_bounds_the_update_at_any_depth() -> None:
    moved = [update(Encoder(depth, alpha=(2 * depth) ** 0.25), recipes.deepnorm()) for depth in DEPTHS]
    assert moved == [pytest.approx(moved[0], rel=0.2)] * len(DEPTHS)
    weighted = [update(Encoder(depth, alpha=(2 * depth) ** 0.25), GLOROT) for depth in DEPTHS]
    plain = [update(Encoder(depth), GLOROT) for depth in DEPTHS]
    for other in (weighted, plain):
        assert other[0] > 5 * moved[0]
        assert other[-1] > 2 * other[0]


@pytest.mark.usefixtures("one_thread")
def test_t_fixup_bounds_the_update_at_any_depth_without_norms() -> None:
    def embedded(depth: int) -> float:
        return math.pow(9 * depth, -0.25)  # the standard deviation of embeddings times sqrt(width)

    moved = [update(Encoder(depth, norm=False), recipes.t_fixup(), embedded(depth)) for depth in DEPTHS]
    assert moved == [pytest.approx(moved[0], rel=0.2)] * len(DEPTHS)
    plain = [update(Encoder(depth, norm=False), GLOROT, embedded(depth)) for depth in DEPTHS]
    assert plain[0] > 20 * moved[0]
    assert not math.isfinite(plain[-1])


# muP: Yang, Hu et al. 2022, the coordinate check of appendix D.1 -----------------------------------------------------


class Perceptron(nn.Module):
    """Three hidden layers; the output is divided by ``divisor``."""

    def __init__(self, width: int, divisor: float) -> None:
        super().__init__()
        self.divisor = divisor
        self.encode = nn.Linear(8, width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.head = nn.Linear(width, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The last hidden layer, and the output."""
        x = self.encode(x).relu()
        for layer in self.layers:
            x = layer(x).relu()
        return x, self.head(x) / self.divisor


BASE, WIDTHS = 64, (64, 256, 1024)


def learned(width: int, form: str) -> tuple[float, float]:
    """How far five steps of Adam move a coordinate of the last hidden layer and of the output, by root mean square."""
    m = width / BASE
    std = math.sqrt(2.0 / BASE)
    model = Perceptron(width, m if form == "multiplier" else 1.0)
    kinds: Any = {"inputs": "encode.weight", "hidden": "layers.*.weight", "multiplier": form != "output"}
    recipe = recipes.mup(BASE, width, std, **kinds)
    rates = recipes.mup_rates(model, BASE, width, **kinds)
    if form == "standard":
        he = fastinit.KaimingNormal(nonlinearity="relu")
        recipe = recipe.override(fastinit.Rule(he, module=nn.Linear, param="weight"))
    fastinit.initialize_(model, recipe, seed=0)
    if form == "standard":
        rates = dict.fromkeys(rates, 1.0)
    groups = [{"params": [p], "lr": 0.002 * rates[name]} for name, p in model.named_parameters()]
    optimizer = torch.optim.Adam(groups)
    x = fastinit.normal_(torch.empty(32, 8), generator=Key(1))
    target = fastinit.normal_(torch.empty(32, 4), generator=Key(2))
    with torch.no_grad():
        before = model(x)
    for _ in range(5):
        optimizer.zero_grad()
        (model(x)[1] - target).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        hidden, output = ((now - then).square().mean().sqrt() for now, then in zip(model(x), before, strict=True))
    return float(hidden), float(output)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("form", ["multiplier", "output"])
def test_mup_moves_every_width_alike(form: str) -> None:
    moved = [learned(width, form) for width in WIDTHS]
    assert [hidden for hidden, _ in moved] == [pytest.approx(moved[0][0], rel=0.3)] * len(WIDTHS)
    assert [output for _, output in moved] == [pytest.approx(moved[0][1], rel=0.3)] * len(WIDTHS)


@pytest.mark.usefixtures("one_thread")
def test_standard_parametrization_does_not() -> None:
    (narrow, _), (wide, _) = learned(WIDTHS[0], "standard"), learned(WIDTHS[-1], "standard")
    assert wide > 2 * narrow
