"""torch.nn.init's functions as calls, each with its counterpart in fastinit: what the tests of the patch run over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import fastinit


@dataclass(frozen=True)
class Call:
    """A function of torch.nn.init and of fastinit, by its one name, and a tensor and arguments that it takes."""

    name: str
    shape: tuple[int, ...]
    arguments: dict[str, Any]

    def __str__(self) -> str:
        """The test's id."""
        return self.name

    @property
    def elements(self) -> int:
        """How many are filled."""
        return torch.Size(self.shape).numel()

    def torchs(self, tensor: Tensor | None = None) -> Any:
        """What torch's function returns, for a new tensor or for the one given."""
        return getattr(torch.nn.init, self.name)(
            torch.empty(self.shape) if tensor is None else tensor, **self.arguments
        )

    def fastinits(self) -> Tensor:
        """What fastinit's function makes of a new tensor."""
        result: Tensor = getattr(fastinit, self.name)(torch.empty(self.shape), **self.arguments)
        return result


CALLS = [
    Call("uniform_", (6, 5), {"a": -1.5, "b": 4.0}),
    Call("normal_", (6, 5), {"mean": 3.0, "std": 0.02}),
    Call("trunc_normal_", (6, 5), {"mean": 0.5, "std": 0.5, "a": 0.0, "b": 2.0}),
    Call("constant_", (6, 5), {"val": 0.3}),
    Call("ones_", (6, 5), {}),
    Call("zeros_", (6, 5), {}),
    Call("eye_", (6, 5), {}),
    Call("dirac_", (6, 4, 3), {"groups": 2}),
    Call("xavier_uniform_", (6, 5), {"gain": 2.0}),
    Call("xavier_normal_", (6, 5), {}),
    Call("kaiming_uniform_", (6, 5), {"a": 0.2}),
    Call("kaiming_normal_", (6, 5), {"mode": "fan_out", "nonlinearity": "relu"}),
    Call("orthogonal_", (6, 5), {"gain": 1.5}),
    Call("sparse_", (6, 5), {"sparsity": 0.3}),
]


def initial_state() -> dict[str, object]:
    """The objects that the patch may touch, each under a name."""
    state: dict[str, object] = {f"Tensor.{name}": value for name, value in vars(torch.Tensor).items()}
    for module in (torch.nn.init, torch.nn.modules.activation, torch.nn.modules.transformer, torch.nn.modules.linear):
        for name, value in vars(module).items():
            if name == "__warningregistry__":
                continue
            state[f"{module.__name__}.{name}"] = value
            if (code := getattr(value, "__code__", None)) is not None:
                state[f"{module.__name__}.{name} code"] = code
    return state
