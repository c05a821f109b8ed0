"""A model that is run and yet left as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["undisturbed"]


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[list[tuple[str, nn.Parameter]]]:
    """Run the body with gradients for every parameter, frozen ones too, and undo what a pass changes, whatever happens.

    Restored are ``requires_grad``, buffers (batch norm counts and averages in them), the training mode of each module,
    and the state of torch's generators on the CPU and on the model's CUDA devices. Gradients already in ``.grad`` are
    not touched by the body if it uses `torch.autograd.grad`.

    Yields:
        The parameters that gradients can be taken for, with their names.
    """
    parameters = [(n, p) for n, p in model.named_parameters() if p.is_floating_point() or p.is_complex()]
    wanted = [p.requires_grad for _, p in parameters]
    modes = [(module, module.training) for module in model.modules()]
    buffers = [
        (module, name, buffer, None if buffer is None else buffer.clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
    ]
    devices = {t.device.index for t in (*model.parameters(), *model.buffers()) if t.device.type == "cuda"}
    with torch.random.fork_rng(devices=sorted(devices)), torch.enable_grad():
        try:
            for _, parameter in parameters:
                parameter.requires_grad_(True)
            yield parameters
        finally:
            for (_, parameter), grad in zip(parameters, wanted, strict=True):
                parameter.requires_grad_(grad)
            for module, mode in modes:
                module.training = mode
            with torch.no_grad():
                for module, name, buffer, kept in buffers:
                    module._buffers[name] = buffer
                    # Not by its version: batch norm changes its averages and does not count it.
                    if buffer is not None and kept is not None and not torch.equal(buffer, kept):
                        buffer.copy_(kept)
