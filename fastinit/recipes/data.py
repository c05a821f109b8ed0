"""Initialization that looks at data: layer-sequential unit variance."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor, nn

from fastinit.keys import Key
from fastinit.models.initialize import initialize_
from fastinit.models.initializers import Leave, Orthogonal, Zeros
from fastinit.models.rules import Recipe, Rule

__all__ = ["LsuvLayer", "LsuvReport", "lsuv_"]

_KINDS = (nn.Linear, *(getattr(nn, f"Conv{transpose}{n}d") for transpose in ("", "Transpose") for n in (1, 2, 3)))


@dataclass(frozen=True)
class LsuvLayer:
    """What was done to one layer."""

    name: str
    """Its qualified name."""
    before: float
    """The standard deviation of its output when it was reached."""
    after: float
    """And when it was left."""
    steps: int
    """How often its weight was rescaled."""


@dataclass(frozen=True)
class LsuvReport:
    """What `lsuv_` did, layer by layer in the order of the forward pass."""

    layers: tuple[LsuvLayer, ...]
    left: tuple[str, ...]
    """Layers of the right kind that were not rescaled: not reached, or their weight is tied or parametrized."""

    def __str__(self) -> str:
        width = max((len(layer.name) for layer in self.layers), default=5)
        lines = [f"{layer.name:<{width}}  {layer.before:10.4g} -> {layer.after:.4g}" for layer in self.layers]
        return "\n".join([f"{'layer':<{width}}  std of the output", *lines])

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"layers": [vars(layer) for layer in self.layers], "left": list(self.left)}


def lsuv_(
    model: nn.Module,
    batch: Any,
    *,
    std: float = 1.0,
    tolerance: float = 0.01,
    steps: int = 10,
    orthogonal: bool = True,
    seed: int | Key | None = None,
    generator: Generator | None = None,
) -> LsuvReport:
    """LSUV: orthogonal matrices, then layer by layer scaled until the outputs have unit variance on a batch of data.

    One forward pass. Each linear or convolutional layer is rescaled as the pass reaches it, before its output goes on,
    so that every layer sees what those before it give after their own rescaling. Only the weights (and, with
    ``orthogonal``, biases) of these layers change. The pass runs in evaluation mode and without gradients; training
    flags, hooks, gradients, buffers and the state of random generators are left as they were found, and after an
    exception the weights too, of which a copy is held meanwhile.

    Args:
        model: parameters must be real; others than those of linear and convolutional layers have to be initialised
            before.
        batch: what the model is called with: a tensor, a tuple of arguments, or a mapping of named ones.
        std: what the standard deviation of every output shall be.
        tolerance: how much its variance may differ, relatively. The paper has 0.1.
        steps: how often a layer is rescaled at most. Without a bias one step is enough.
        orthogonal: fill the weights with orthogonal matrices and the biases with zeros first, as in the paper; False
            rescales what is there.
        seed: for the orthogonal matrices: each parameter's key is this with its name folded in, see
            `fastinit.initialize_`.
        generator: where their randomness comes from without a seed; None is the default generator. Nothing is drawn
            where ``orthogonal`` is False.

    Returns:
        An `LsuvReport`.

    Raises:
        ValueError: a layer whose output does not vary, or is not finite; parameters on meta; a std that is not
            positive, or a negative tolerance.
        What the model raises on the batch.

    Warns:
        UserWarning: layers that did not come within the tolerance.

    A layer that is called more than once is rescaled at its first call. Weights under several names are left alone, and
    so are those that a parametrization computes. `nn.MultiheadAttention` does not call its projections as modules:
    they are not rescaled. A batch norm passes on what it gets, as new ones do in evaluation mode.

    Source: Mishkin and Matas 2016, All You Need is a Good Init, algorithm 1.

    Example:
        >>> import fastinit, torch
        >>> from torch import nn
        >>> model = nn.Sequential(*(m for _ in range(8) for m in (nn.Linear(64, 64), nn.ReLU())))
        >>> batch = fastinit.normal_(torch.empty(256, 64), generator=fastinit.Key(1))
        >>> report = fastinit.recipes.lsuv_(model, batch, seed=0)
        >>> round(float(model[:-1](batch).detach().std(correction=0)), 3)
        1.0
    """
    if not 0.0 < std < float("inf") or not tolerance >= 0.0:
        raise ValueError(f"std must be positive and tolerance not negative, but got {std} and {tolerance}")
    layers = _layers(model)
    if meta := [name for name, p in model.named_parameters() if p.device.type == "meta"]:
        raise ValueError(f"lsuv_ needs real parameters, but these are on meta: {', '.join(meta)}")
    run = _Run(std, tolerance, steps)
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(_undone_after_exceptions(model, layers.values(), generator))
        if orthogonal:
            _fill(model, layers, seed, generator)
        stack.enter_context(_state_kept(model))
        stack.enter_context(torch.random.fork_rng(devices=_cuda(model)))
        for name, layer in layers.items():
            hook = layer.register_forward_hook(run.hook(name), with_kwargs=True, prepend=True)
            stack.callback(hook.remove)
        _call(model, batch)
    done = {layer.name for layer in run.done}
    every = [name for name, module in model.named_modules() if isinstance(module, _KINDS)]
    if run.far:
        warnings.warn(f"lsuv_ did not reach a std of {std} in {', '.join(run.far)}", stacklevel=2)
    return LsuvReport(tuple(run.done), tuple(name for name in every if name not in done))


@dataclass
class _Run:
    """One pass through the layers."""

    std: float
    tolerance: float
    steps: int
    done: list[LsuvLayer] = field(default_factory=list)
    far: list[str] = field(default_factory=list)

    def hook(self, name: str) -> Callable[..., Tensor | None]:
        """A forward hook that rescales its layer, and gives what the layer gives then."""

        def rescale(layer: nn.Module, args: Any, kwargs: Any, output: Tensor) -> Tensor | None:
            if any(known.name == name for known in self.done):
                return None
            weight = layer.weight
            assert isinstance(weight, Tensor)
            before = found = _spread(output, name)
            taken = 0
            while not self.near(found) and taken < self.steps:
                weight.mul_(self.std / found)
                output = layer.forward(*args, **kwargs)
                found = _spread(output, name)
                taken += 1
            if not self.near(found):
                self.far.append(name)
            self.done.append(LsuvLayer(name, before, found, taken))
            return output

        return rescale

    def near(self, found: float) -> bool:
        """Whether the variance is within the tolerance."""
        return abs((found / self.std) ** 2 - 1.0) <= self.tolerance


def _spread(output: Tensor, name: str) -> float:
    """The standard deviation of all elements, which there must be."""
    wide = torch.float64 if output.dtype == torch.float64 else torch.float32
    found = float(output.to(wide).std(correction=0))
    if not 0.0 < found < float("inf"):
        raise ValueError(f"the output of {name or 'the model'} has a standard deviation of {found}: nothing to scale")
    return found


def _layers(model: nn.Module) -> dict[str, nn.Module]:
    """The layers whose weight is a parameter of their own and of nobody else, by name."""
    owners: dict[int, int] = {}
    for module in model.modules():
        for parameter in module._parameters.values():
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _KINDS)
        and isinstance(weight := module._parameters.get("weight"), nn.Parameter)
        and owners[id(weight)] == 1
    }


def _fill(
    model: nn.Module, layers: Mapping[str, nn.Module], seed: int | Key | None, generator: Generator | None
) -> None:
    chosen = {id(layer) for layer in layers.values()}
    recipe = Recipe(
        (
            Rule(Orthogonal(), where=lambda site: id(site.module) in chosen and site.param == "weight", optional=True),
            Rule(Zeros(), where=lambda site: id(site.module) in chosen and site.param == "bias", optional=True),
            Rule(Leave(), optional=True),
        ),
        name="lsuv",
    )
    initialize_(model, recipe, seed=seed, generator=generator, skip=False)


def _call(model: nn.Module, batch: Any) -> None:
    if isinstance(batch, Mapping):
        model(**batch)
    elif isinstance(batch, tuple | list):
        model(*batch)
    else:
        model(batch)


@contextmanager
def _undone_after_exceptions(
    model: nn.Module, layers: Iterable[nn.Module], generator: Generator | None
) -> Iterator[None]:
    """Give parameters their values back after an exception, and generators their states."""
    copies = [(parameter, parameter.detach().clone()) for layer in layers for parameter in layer.parameters(False)]
    own = None if generator is None else generator.get_state()
    shared = torch.random.get_rng_state(), {device: torch.cuda.get_rng_state(device) for device in _cuda(model)}
    try:
        yield
    except BaseException:
        for parameter, copy in copies:
            parameter.copy_(copy)
        if generator is not None and own is not None:
            generator.set_state(own)
        torch.random.set_rng_state(shared[0])
        for device, state in shared[1].items():
            torch.cuda.set_rng_state(state, device)
        raise


@contextmanager
def _state_kept(model: nn.Module) -> Iterator[None]:
    """Evaluation mode within, and no fused paths that would pass layers by; modes and buffers given back after."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [
        (module, name, buffer, None if buffer is None else buffer.detach().clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
    ]
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        model.eval()
        torch.backends.mha.set_fastpath_enabled(False)
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, training in modes:
            module.training = training
        for module, name, buffer, copy in buffers:
            if buffer is not None and copy is not None and not torch.equal(buffer, copy):
                buffer.copy_(copy)
            module._buffers[name] = buffer


def _cuda(model: nn.Module) -> list[int]:
    """The CUDA devices that the model's parameters are on."""
    return sorted({parameter.device.index for parameter in model.parameters() if parameter.device.type == "cuda"})
