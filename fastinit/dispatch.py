"""The one road from a public function to an operator.

A plain tensor with torch's own generators takes the first branch and pays two type checks. Whatever else an
initializer accepts (a `Key`, a `Shard`, an array of another library) is translated into the operator's remaining
arguments first. The operators do the rest in C++: checks, the key, autograd, the version counter, meta tensors.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

import torch
from torch import Generator, Tensor
from torch.compiler import is_dynamo_compiling
from torch.overrides import handle_torch_function, has_torch_function_unary

from fastinit import _native
from fastinit.interop import SupportsDLPack, as_tensor
from fastinit.keys import Key
from fastinit.shards import Shard

Source: TypeAlias = Generator | Key | None
"""Where randomness comes from: ``generator=`` of every random initializer."""

Target = TypeVar("Target", bound=Tensor | Shard | SupportsDLPack)
"""What can be filled; every initializer returns the very object it was given."""


class Op(NamedTuple):
    """The two ways to call one operator: Dynamo traces only torch.ops, whose call from Python costs 1 us more."""

    direct: Callable[..., None]
    traced: Callable[..., None]
    law: int | None = None
    """Its number among the laws of ``fill_many_`` (csrc/laws.h), where it is one."""

    @property
    def run(self) -> Callable[..., None]:
        """The way that this moment allows."""
        return self.traced if is_dynamo_compiling() else self.direct


def _op(name: str, law: int | None = None) -> Op:
    return Op(getattr(_native, name), getattr(torch.ops.fastinit, name).default, law)


UNIFORM = _op("uniform_", law=0)
NORMAL = _op("normal_", law=1)
TRUNC_NORMAL = _op("trunc_normal_", law=2)
CONSTANT = _op("constant_", law=3)
SPARSE = _op("sparse_")
ORTHOGONAL = _op("orthogonal_")
EYE = _op("eye_")
DIRAC = _op("dirac_")
FILL_MANY = _op("fill_many_")


def draw(op: Op, target: Target, generator: Source, *parameters: Any) -> Target:
    """Fill ``target`` at random: ``op`` with these parameters."""
    if isinstance(target, Tensor) and (generator is None or isinstance(generator, Generator)):
        op.run(target, *parameters, generator)
        return target
    key: list[int] | None = None
    if isinstance(generator, Key):
        key, generator = generator.words, None
    elif generator is not None and not isinstance(generator, Generator):
        raise TypeError(
            f"generator must be a torch.Generator, a fastinit.Key or None, but got {type(generator).__name__}"
        )
    tensor, global_shape, global_offset = window(target)
    op.run(tensor, *parameters, generator, key, global_shape, global_offset)
    return target


def write(op: Op, target: Target, *parameters: Any) -> Target:
    """Fill ``target`` with what depends on the index alone: ``op`` with these parameters."""
    if isinstance(target, Tensor):
        op.run(target, *parameters)
    else:
        tensor, global_shape, global_offset = window(target)
        op.run(tensor, *parameters, global_shape, global_offset)
    return target


def write_everywhere(value: Any, target: Target) -> Target:
    """Fill ``target`` with one value, which needs no index: a shard is its local part."""
    tensor = target if isinstance(target, Tensor) else local_tensor(target)
    if isinstance(value, Tensor) and value.ndim == 0 and value.device.type not in ("cpu", "meta"):
        with torch.no_grad():
            tensor.fill_(value)  # on a GPU, reading the number would wait for it
    else:
        CONSTANT.run(tensor, as_number(value))
    return target


_NUMBERS = frozenset({float, int, bool, complex})


def as_number(value: Any) -> Any:
    """What torch's ``fill_`` takes for a number: also tensors without dimensions, NumPy's scalars, symbolic numbers."""
    if type(value) in _NUMBERS:
        return value
    if getattr(value, "ndim", None) == 0:
        return value.item()
    if isinstance(value, Tensor):
        raise RuntimeError(f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions.")
    if isinstance(value, int | float | complex | torch.SymInt | torch.SymFloat):
        return value
    raise TypeError(f"val must be a number or a tensor of 0 dimensions, but got {type(value).__name__}")


def local_tensor(target: Tensor | Shard | SupportsDLPack) -> Tensor:
    """The memory to be written, as a tensor."""
    return as_tensor(target.local if isinstance(target, Shard) else target)


def shape_of(target: Tensor | Shard | SupportsDLPack) -> tuple[int, ...]:
    """The shape that rules and fans go by: of the whole, for a shard."""
    if isinstance(target, Tensor | Shard):
        return target.shape
    return as_tensor(target).shape


def overridden(function: Any, tensor: Target, /, **arguments: Any) -> Target:
    """Let the tensor's class, or an active mode, take over a call (``__torch_function__``)."""
    return cast(Target, handle_torch_function(function, (tensor,), tensor=tensor, **arguments))


def announce(tensors: Sequence[Tensor]) -> None:
    """Tell modes that watch for uses of tensors of one that they cannot see: the operators are called directly."""
    if not is_dynamo_compiling() and len(tensors) and has_torch_function_unary(tensors[0]):  # so it is under any mode
        handle_torch_function(announce, tensors, tensors)


def window(target: Tensor | Shard | SupportsDLPack) -> tuple[Tensor, list[int] | None, list[int] | None]:
    """The memory to be written, and for a shard the shape of the whole and the place in it."""
    if isinstance(target, Shard):
        return as_tensor(target.local), list(target.global_shape), list(target.global_offset)
    return as_tensor(target), None, None
