r"""Gains: by how much a weight must be larger because an activation follows it.

For the names torch.nn.init knows, the gain is torch's, whatever its origin (some are rules of thumb). For every
other activation it is the one that keeps the second moment: if z is standard normal and the next layer's weights
have the variance ``gain**2 / fan_in``, then that layer's output has variance 1 again, which asks for

.. math:: \text{gain} = 1 / \sqrt{E[f(z)^2]},\quad z \sim N(0, 1)

(He et al. 2015, section 2.2, derive it for the rectifier, whose sqrt(2) agrees). Written in closed form where there
is one; the rest was integrated with 40 decimal digits (mpmath's tanh-sinh quadrature, in pieces up to +-8 and the
tails), and the tests integrate all of them again with scipy.
"""

import math
from typing import Any

__all__ = ["calculate_gain"]


def calculate_gain(nonlinearity: str, param: int | float | None = None) -> float:
    """The gain for the activation that follows a layer.

    =================================================== =====================================================
    nonlinearity                                        gain
    =================================================== =====================================================
    linear, identity, conv1d..3d, conv_transpose1d..3d  1
    sigmoid                                             1
    tanh                                                5/3
    relu                                                sqrt(2)
    leaky_relu                                          sqrt(2 / (1 + slope**2)), slope = ``param`` or 0.01
    selu                                                3/4
    celu, elu, gelu, gelu_tanh, hardsigmoid, hardswish, 1 / sqrt(E[f(z)**2]) for standard normal z, at the
    hardtanh, logsigmoid, mish, relu6, silu, softplus,  activation's default parameters
    softsign, swish
    =================================================== =====================================================

    The last row and identity are names that torch.nn.init refuses; the others have its values.

    Args:
        nonlinearity: the activation, as spelled in torch.nn.functional; ``gelu_tanh`` is GELU by its tanh
            approximation, ``swish`` another name of ``silu``.
        param: the slope of leaky_relu; read for no other name.

    Raises:
        ValueError: an unknown name, or a slope that is not a number.

    Example:
        >>> from fastinit import calculate_gain
        >>> calculate_gain("leaky_relu", 0.2)
        1.3867504905630728
        >>> round(calculate_gain("gelu"), 4)
        1.5335
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1 + _slope(param) ** 2))
    try:
        return _GAINS[nonlinearity]
    except (KeyError, TypeError):  # TypeError: an unhashable name, which is unsupported like any other
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}") from None


def _slope(param: Any) -> float:
    if param is None:
        return 0.01
    if isinstance(param, bool) or not isinstance(param, int | float):  # a bool is an int, but no slope
        raise ValueError(f"negative_slope {param} not a valid number")
    return param


def _density(z: float) -> float:
    return math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)


def _upper_tail(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def _second_moments() -> dict[str, float]:
    """E[f(z)**2] of the activations whose integral has a closed form."""
    # Exponential linear unit: z above 0, exp(z) - 1 below; complete the square for exp(2z) and exp(z).
    elu = 1.0 + math.exp(2.0) * _upper_tail(2.0) - 2.0 * math.exp(0.5) * _upper_tail(1.0)
    # Moments of the standard normal cut to [-3, 3], by parts: the hard sigmoid and swish are polynomials in there.
    inside = 1.0 - 2.0 * _upper_tail(3.0)
    second = inside - 6.0 * _density(3.0)
    fourth = 3.0 * inside - 72.0 * _density(3.0)
    return {
        "elu": elu,
        "celu": elu,  # the same function at its default alpha = 1
        # z * Phi(z): integrate by parts twice.
        "gelu": 1.0 / 3.0 + 1.0 / (2.0 * math.pi * math.sqrt(3.0)),
        # (z + 3) / 6 cut to [0, 1], and z times that.
        "hardsigmoid": (second + 9.0 * inside) / 36.0 + _upper_tail(3.0),
        "hardswish": (fourth + 9.0 * second) / 36.0 + 3.0 * _density(3.0) + _upper_tail(3.0),
        # z cut to [-1, 1] and to [0, 6].
        "hardtanh": 1.0 - 2.0 * _density(1.0),
        "relu6": 0.5 - _upper_tail(6.0) - 6.0 * _density(6.0) + 36.0 * _upper_tail(6.0),
    }


_LINEAR = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")

_GAINS: dict[str, float] = {
    # torch's values: an int where torch has one. selu's keeps gradients steadier than the self-normalising 1 would.
    **dict.fromkeys((*_LINEAR, "identity", "sigmoid"), 1),
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
    # Second moments in closed form.
    **{name: 1.0 / math.sqrt(moment) for name, moment in _second_moments().items()},
    # Second moments by quadrature. softplus(-z) = -logsigmoid(z), so the two share theirs.
    "gelu_tanh": 1.533580521666147,
    "logsigmoid": 1.0418668355353018,
    "mish": 1.486847581273208,
    "silu": 1.676532470331091,
    "softplus": 1.0418668355353018,
    "softsign": 2.3375333631085398,
    "swish": 1.676532470331091,
}
