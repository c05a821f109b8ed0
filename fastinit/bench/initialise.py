"""A whole model's parameters at once: ``fastinit.foreach`` beside a loop of calls, of fastinit's and of torch's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType

import torch
from torch import Tensor

import fastinit
from fastinit import foreach

from .device import Device
from .parameters import Model, Parameter
from .report import progress
from .timing import Run, Timing, interleave


@dataclass(frozen=True)
class Initialised:
    """A measured model.  ``timings`` has ``foreach``, ``fastinit loop``, ``torch loop`` and ``memset``."""

    model: Model
    timings: dict[str, Timing]

    def ratio(self, rival: str) -> float:
        """How many times as long the rival takes."""
        return self.timings[rival].seconds / self.timings["foreach"].seconds

    def record(self) -> dict[str, object]:
        """The model as it stands in the JSON file."""
        return {
            "model": self.model.name,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "parameters": len(self.model.parameters),
            "elements": self.model.elements,
            "bytes": self.model.size,
            "seconds": {name: timing.seconds for name, timing in self.timings.items()},
            "samples": {name: timing.samples for name, timing in self.timings.items()},
            "bytes_per_s": self.model.size / self.timings["foreach"].seconds,
            "ratio_to_torch": self.ratio("torch loop"),
        }


def initialise(models: Sequence[Model], device: Device, samples: int = 11) -> tuple[list[Initialised], list[str]]:
    """Measures the models that fit; returns them, and one line for each that does not."""
    measured: list[Initialised] = []
    left_out: list[str] = []
    for model in progress(models, "models"):
        room = device.room()
        if room is None or 2 * model.size < room:
            measured.append(measure(model, device, samples))
        else:
            left_out.append(f"{model.name}: needs {2 * model.size / 2**30:.3g} GiB")
    return measured, left_out


def measure(model: Model, device: Device, samples: int = 11) -> Initialised:
    """One model: what whoever initialises it waits for, from idle to idle; memset of as many bytes beside it."""
    tensors = model.allocate(device.name)
    block = torch.empty(model.size, dtype=torch.uint8, device=device.name)
    with device.write_limit(1) as memset:
        rivals: dict[str, Run] = {
            "foreach": at_once(model.parameters, tensors),
            "fastinit loop": partial(loop, fastinit, model.parameters, tensors),
            "torch loop": partial(loop, torch.nn.init, model.parameters, tensors),
            "memset": lambda: memset(block),
        }
        return Initialised(model, interleave(rivals, samples=samples, sample_s=0.0, clock=device.wall))


def at_once(parameters: Sequence[Parameter], tensors: Sequence[Tensor]) -> Run:
    """The calls that fill them all: one for what is random and one for each constant there is."""
    pairs = list(zip(parameters, tensors, strict=True))
    random = [tensor for parameter, tensor in pairs if parameter.std is not None]
    stds = [parameter.std for parameter, _ in pairs if parameter.std is not None]
    runs: list[Run] = [partial(foreach.normal_, random, 0.0, stds)]
    for constant in sorted({parameter.constant for parameter, _ in pairs if parameter.std is None}):
        same = [tensor for parameter, tensor in pairs if parameter.std is None and parameter.constant == constant]
        runs.append(partial(foreach.constant_, same, constant))

    def run() -> None:
        for each in runs:
            each()

    return runs[0] if len(runs) == 1 else run


def loop(init: ModuleType, parameters: Sequence[Parameter], tensors: Sequence[Tensor]) -> None:
    """A call for each parameter, in their order."""
    for parameter, tensor in zip(parameters, tensors, strict=True):
        if parameter.std is not None:
            init.normal_(tensor, 0.0, parameter.std)
        else:
            init.constant_(tensor, parameter.constant)
