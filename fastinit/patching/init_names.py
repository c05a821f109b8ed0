"""Functions whose code takes the place of torch.nn.init's of the same names, while the patch is on.

Only their code is used: it runs with torch's names around it and torch's default values, so it brings the one name that
it needs. torch's deprecated names call these and need no replacement.
"""

# ruff: noqa: D103 (whoever asks for help finds the docstrings of the functions that these stand in for)
from __future__ import annotations

from typing import Any, Final

from torch import Generator, Tensor

__all__ = [
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

PREFIX: Final = ""


def uniform_(tensor: Tensor, a: float, b: float, generator: Generator | None) -> Any:
    import fastinit

    return fastinit.patching.routes.route("uniform_", tensor, a, b, generator)


def normal_(tensor: Tensor, mean: float, std: float, generator: Generator | None) -> Any:
    import fastinit

    return fastinit.patching.routes.route("normal_", tensor, mean, std, generator)


def trunc_normal_(tensor: Tensor, mean: float, std: float, a: float, b: float, generator: Generator | None) -> Any:
    import fastinit

    return fastinit.patching.routes.route("trunc_normal_", tensor, mean, std, a, b, generator)


def constant_(tensor: Tensor, val: float) -> Any:
    import fastinit

    return fastinit.patching.routes.route("constant_", tensor, val)


def ones_(tensor: Tensor) -> Any:
    import fastinit

    return fastinit.patching.routes.route("ones_", tensor)


def zeros_(tensor: Tensor) -> Any:
    import fastinit

    return fastinit.patching.routes.route("zeros_", tensor)


def eye_(tensor: Tensor) -> Any:
    import fastinit

    return fastinit.patching.routes.route("eye_", tensor)


def dirac_(tensor: Tensor, groups: int) -> Any:
    import fastinit

    return fastinit.patching.routes.route("dirac_", tensor, groups)


def xavier_uniform_(tensor: Tensor, gain: float, generator: Generator | None) -> Any:
    import fastinit

    return fastinit.patching.routes.route("xavier_uniform_", tensor, gain, generator)


def xavier_normal_(tensor: Tensor, gain: float, generator: Generator | None) -> Any:
    import fastinit

    return fastinit.patching.routes.route("xavier_normal_", tensor, gain, generator)


def kaiming_uniform_(tensor: Tensor, a: float, mode: str, nonlinearity: str, generator: Generator | None) -> Any:
    import fastinit

    return fastinit.patching.routes.route("kaiming_uniform_", tensor, a, mode, nonlinearity, generator)


def kaiming_normal_(tensor: Tensor, a: float, mode: str, nonlinearity: str, generator: Generator | None) -> Any:
    import fastinit

    return fastinit.patching.routes.route("kaiming_normal_", tensor, a, mode, nonlinearity, generator)


def orthogonal_(tensor: Tensor, gain: float, generator: Generator | None) -> Any:
    import fastinit

    return fastinit.patching.routes.route("orthogonal_", tensor, gain, generator)


def sparse_(tensor: Tensor, sparsity: float, std: float, generator: Generator | None) -> Any:
    import fastinit

    return fastinit.patching.routes.route("sparse_", tensor, sparsity, std, generator)
