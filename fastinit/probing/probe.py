"""The probe: how large activations and gradients are by depth, which is what initialisation is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastinit.auditing.statistics import Statistics, statistics
from fastinit.models.sites import Site, sites
from fastinit.probing.losses import call, scalar
from fastinit.probing.record import Seen, recording, rms
from fastinit.probing.report import Probe, Row
from fastinit.probing.state import undisturbed
from fastinit.probing.trend import trend

__all__ = ["probe"]


def probe(model: nn.Module, batch: Any, *, loss: Callable[[Any], Tensor] | None = None) -> Probe:
    """Run a model forward and back once, and report the scale of what goes through it.

    For every module without members, and for every block: mean, standard deviation, root mean square and share of zeros
    of its output, the gradient with regard to it, and the gradients of its parameters. Over the blocks activations and
    gradients are called steady, vanishing or exploding. Blocks are the members of the model's stacks (of the most
    frequent class); in a model without a stack, the layers that have a weight of two or more dimensions.

    The model is left as it was, also where the pass raises: its parameters, ``requires_grad``, ``.grad``, buffers,
    hooks, training mode, and torch's random state. It runs in the mode it is in, frozen parameters included.

    Args:
        model: any module with values; activations and gradients take the memory of a training step.
        batch: what it is called with: a tensor; a tuple or list, by position; or a mapping, by name.
        loss: a function of the output that gives a tensor of one number. None: the ``loss`` of the output if it has one
            (transformers' models that are given labels), else a random projection of the output from a fixed key,
            under which the gradient with regard to the output has a root mean square of 1.

    Returns:
        A `Probe`: print it, `Probe.show` it as a table, or `Probe.plot` it.

    Raises:
        TypeError: an output without floating-point numbers, and no loss.
        ValueError: a loss that is not one number, or one that depends on no parameter.
        What the model raises.

    Example:
        >>> import fastinit, torch
        >>> layers = [torch.nn.Linear(256, 256, bias=False) for _ in range(16)]
        >>> model = torch.nn.Sequential(*layers)
        >>> for i, layer in enumerate(layers):
        ...     _ = fastinit.normal_(layer.weight, std=0.5 / 16, generator=fastinit.Key(i))  # a gain of 0.5 a layer
        >>> found = fastinit.probe(model, torch.ones(8, 256))
        >>> round(found.activations.factor, 1), found.activations.verdict
        (0.5, 'vanishing')
    """
    chosen = _blocks(model)
    with undisturbed(model) as parameters, recording(model, chosen) as seen:
        value = scalar(call(model, batch), loss)
        if not value.requires_grad:
            raise ValueError("the loss depends on no parameter of the model")
        tensors = [parameter for _, parameter in parameters]
        gradients = torch.autograd.grad(value, tensors, allow_unused=True)
        result = float(value.detach())
    _add_parameters(seen, {id(p): g for p, g in zip(tensors, gradients, strict=True)})
    rows = [_row(one, one.name.split(" (call ")[0] in chosen) for one in seen]
    blocks = [row for row in rows if row.block]
    backward = [(row.gradient_rms, row.gradient_non_finite) for row in reversed(blocks) if row.gradient_rms is not None]
    return Probe(
        rows=tuple(rows),
        loss=result,
        activations=trend([row.rms for row in blocks], any(row.non_finite for row in blocks)),
        gradients=trend([scale for scale, _ in backward], any(count for _, count in backward)),
    )


def _blocks(model: nn.Module) -> frozenset[str]:
    """The names of the modules that depth is counted in."""
    stacked: dict[type, set[str]] = {}  # by class: a model of several stages is one stack, encoder and decoder are two
    weighted = set()
    for site in sites(model):
        if site.layer is not None and (path := _block(site)):
            stacked.setdefault(type(site.tree[path]), set()).add(path)
        if not site.is_buffer and site.tensor.ndim >= 2 and not isinstance(site.module, nn.Embedding):
            weighted.add(site.path)
    longest = max(stacked.values(), key=len, default=set())
    return frozenset(longest if len(longest) > 1 else weighted)


def _block(site: Site) -> str | None:
    """The name of the member of the outermost stack around a parameter."""
    steps = site.path.split(".")
    for i, step in enumerate(steps):
        stack = site.tree[".".join(steps[:i])]
        alike = (
            isinstance(stack, nn.ModuleList | nn.Sequential | nn.ModuleDict)
            and len(set(map(type, stack.children()))) == 1
        )
        if alike and step == str(site.layer):
            return ".".join(steps[: i + 1])
    return None


def _add_parameters(seen: Sequence[Seen], gradients: Mapping[int, Tensor | None]) -> None:
    done: set[int] = set()
    for one in seen:
        for name, parameter in one.module.named_parameters(recurse=False):
            if id(parameter) in gradients and id(parameter) not in done:
                done.add(id(parameter))
                gradient = gradients[id(parameter)]
                one.parameters[name] = statistics(parameter), None if gradient is None else _dense(gradient)


def _dense(gradient: Tensor) -> Statistics:
    return statistics(gradient.to_dense() if gradient.is_sparse else gradient)


def _row(one: Seen, block: bool) -> Row:
    output, gradient = one.output, one.gradient
    own = [(name, rms(v), None if g is None else rms(g)) for name, (v, g) in one.parameters.items()]
    lost = sum(g.numel - g.finite for _, g in one.parameters.values() if g is not None)
    return Row(
        name=one.name,
        kind=type(one.module).__name__,
        block=block,
        mean=output.mean,
        std=output.std,
        rms=rms(output),
        zeros=output.zeros / max(output.numel, 1),
        non_finite=output.numel - output.finite,
        gradient_rms=None if gradient is None else rms(gradient),
        gradient_non_finite=lost + (0 if gradient is None else gradient.numel - gradient.finite),
        parameters=tuple(own),
    )
