"""A batch in, a number out: how a model is called, and what is derived where no loss is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

import fastinit.init
from fastinit.keys import Key
from fastinit.probing.record import first_tensor

__all__ = ["call", "scalar"]

_KEY = Key(0).fold_in("fastinit.probe")


def call(model: nn.Module, batch: Any) -> Any:
    """The model's output: a mapping is passed by name, a list or tuple by position."""
    if isinstance(batch, Mapping):
        return model(**batch)
    return model(*batch) if isinstance(batch, list | tuple) else model(batch)


def scalar(output: Any, loss: Callable[[Any], Tensor] | None) -> Tensor:
    """The number that is differentiated.

    Args:
        output: the model's.
        loss: a function of the output. None: the output's own ``loss``, as transformers' models have it where labels
            are given; else the sum of the output (its ``logits``, if there are such, or its first tensor) times
            standard normal numbers from a fixed key: then the gradient with regard to the output has a root mean square
            of 1.

    Raises:
        TypeError: an output without a tensor of floating-point numbers.
        ValueError: a loss that is not one number.
    """
    value = loss(output) if loss is not None else _own(output, "loss")
    if value is not None:
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise ValueError(f"the loss must be a tensor of one number, but got {value!r}")
        return value.reshape(())
    logits = _own(output, "logits")
    tensor = first_tensor(output if logits is None else logits)
    if tensor is None:
        raise TypeError(f"no floating-point tensor in the model's output ({type(output).__name__}): pass loss=")
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    weights = fastinit.init.normal_(torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device), generator=_KEY)
    return (tensor * weights).sum()


def _own(output: Any, name: str) -> Any:
    return output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)
