"""Networks from coordinates to signals."""

from __future__ import annotations

import re

from torch import nn

from fastinit.models.elementary import Uniform
from fastinit.models.rules import Names, Recipe
from fastinit.recipes.common import rule

__all__ = ["siren"]

# Parts of a name that are no numbers, then numbers, all of them 0 or the last of the first layer's own: net.0.linear.
_FIRST = re.compile(r"(?:[^.]*[^.\d][^.]*\.)*(?:0\.)+(?:[^.]*[^.\d][^.]*\.)?weight")
_HIDDEN = re.compile(r"(?:.*\.)?0*[1-9]\d*\.(?:.*\.)?weight")


def siren(omega_0: float = 30.0, first: Names | None = None, hidden: Names | None = None) -> Recipe:
    """SIREN: what keeps every layer's input to its sine standard normal, and the sines arcsine-distributed.

    For layers that compute ``sin(omega_0 * (W x + b))`` from coordinates in [-1, 1]. The first layer is uniform within
    1 / fan_in, so that omega_0 sets its frequencies; the others, the last included, within sqrt(6 / fan_in) / omega_0.
    Biases are uniform within 1 / sqrt(fan_in), torch's default, which the authors leave as it is.

    Args:
        omega_0: of all layers but the first (whose own does not change its weights).
        first: names of the first layer's weight, for `fastinit.Rule`; None finds it by its number, which is 0 wherever
            the name has one: "0.weight", "net.0.linear.weight", "net.net.0.0.weight".
        hidden: names of the others; None finds them by their numbers. A weight without any is left unclaimed.

    Source: Sitzmann et al. 2020, Implicit Neural Representations with Periodic Activation Functions, section 3.2 and
    theorem 1.8 of the supplement; vsitzmann/siren, modules.py.

    Example:
        >>> import fastinit
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(2, 24), nn.Linear(24, 24), nn.Linear(24, 1))
        >>> plan = fastinit.plan(net, fastinit.recipes.siren(omega_0=10.0))
        >>> [round(entry.fill.b, 6) for entry in plan.entries if entry.name.endswith("weight")]
        [0.5, 0.05, 0.05]
    """
    kinds = (nn.Linear, "*Siren*", "*SineLayer*", "*BatchLinear*")
    inside, outside = "sqrt(6 / fan_in) / omega_0", "1 / sqrt(weight_fan_in)"
    return Recipe(
        (
            rule(Uniform("-1 / fan_in", "1 / fan_in"), name=first or _FIRST, module=kinds),
            rule(Uniform(f"-{inside}", inside), name=hidden or _HIDDEN, module=kinds),
            rule(Uniform(f"-{outside}", outside), module=kinds, param="bias"),
        ),
        name="siren",
        source="Sitzmann et al. 2020, Implicit Neural Representations with Periodic Activation Functions, section 3.2",
        constants={"omega_0": omega_0},
    )
