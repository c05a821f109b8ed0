"""Functions whose code takes the place of those of the same names in timm.layers.weight_init, while the patch is on.

timm's ``trunc_normal_`` has absolute bounds, as torch's, and draws by the inverse of the distribution function, in five
passes over the tensor. ``trunc_normal_tf_`` has bounds in standard deviations, ``variance_scaling_`` is JAX's rule with
modes and distributions of the same names as fastinit's, and ``lecun_normal_`` is its truncated normal with the fan in.
The last two return None. Read in https://github.com/huggingface/pytorch-image-models; the module has had its name since
timm 0.9.
"""

# ruff: noqa: D103 (whoever asks for help finds the docstrings of the functions that these stand in for)
from __future__ import annotations

from typing import Any, Final

from torch import Tensor

__all__ = ["lecun_normal_", "trunc_normal_", "trunc_normal_tf_", "variance_scaling_"]

PREFIX: Final = "timm."


def trunc_normal_(tensor: Tensor, mean: float, std: float, a: float, b: float) -> Any:
    import fastinit

    return fastinit.patching.routes.route("timm.trunc_normal_", tensor, mean, std, a, b)


def trunc_normal_tf_(tensor: Tensor, mean: float, std: float, a: float, b: float) -> Any:
    import fastinit

    return fastinit.patching.routes.route("timm.trunc_normal_tf_", tensor, mean, std, a, b)


def variance_scaling_(tensor: Tensor, scale: float, mode: str, distribution: str) -> None:
    import fastinit

    fastinit.patching.routes.route("timm.variance_scaling_", tensor, scale, mode, distribution)


def lecun_normal_(tensor: Tensor) -> None:
    import fastinit

    fastinit.patching.routes.route("timm.lecun_normal_", tensor)
