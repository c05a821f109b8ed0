"""Orthogonal initialisation (Saxe et al. 2013, "Exact solutions to the nonlinear dynamics of learning")."""

import math

import torch
from torch.compiler import is_dynamo_compiling
from torch.overrides import has_torch_function_unary

from fastinit.dispatch import NORMAL, Source, Target, draw, local_tensor, overridden, shape_of
from fastinit.shards import Shard

__all__ = ["orthogonal_"]

# The precision to factorise in. The result is rounded to the tensor's type once, at the end.
_COMPUTE = {
    torch.float64: torch.float64,
    torch.complex128: torch.complex128,
    torch.complex64: torch.complex64,
    torch.complex32: torch.complex64,
    **dict.fromkeys(
        (
            torch.float32,
            torch.float16,
            torch.bfloat16,
            torch.float8_e4m3fn,
            torch.float8_e4m3fnuz,
            torch.float8_e5m2,
            torch.float8_e5m2fnuz,
        ),
        torch.float32,
    ),
}


def orthogonal_(tensor: Target, gain: float = 1, generator: Source = None) -> Target:
    """Fill with a (semi-)orthogonal matrix, uniform over all of them, times ``gain``, in place.

    Dimensions after the first are flattened. The rows are orthonormal where there are no more of them than columns,
    and the columns otherwise; for complex types, unitary in the same sense.

    Args:
        tensor: what to fill: 2 or more dimensions, any strides, any floating-point or complex type. Types narrower
            than float32 get the float32 result rounded.
        gain: every element is multiplied by this.
        generator: see `fastinit.init`; one draw is consumed, that of `normal_` on the whole matrix.

    Returns:
        ``tensor`` itself. Meta tensors and tensors without elements are left alone.

    Raises:
        ValueError: fewer than 2 dimensions.
        NotImplementedError: an integer or boolean type.
        RuntimeError: a tensor whose elements share memory.

    The matrix is the Q factor of a Gaussian one, with R's diagonal made positive, without which Q would depend on the
    algorithm and would not be uniform (Mezzadri 2007, arXiv:math-ph/0609050). The Gaussian is bit for bit that of
    `normal_`; the factorisation is LAPACK's, so the last bits of the result are those of the LAPACK in use. A shard
    takes the memory and time of the whole, since every element depends on all the Gaussian's.

    Example:
        >>> import torch, fastinit
        >>> w = fastinit.orthogonal_(torch.empty(3, 5))
        >>> torch.allclose(w @ w.T, torch.eye(3), atol=1e-5)
        True
    """
    if has_torch_function_unary(tensor):
        return overridden(orthogonal_, tensor, gain=gain, generator=generator)
    shape = shape_of(tensor)
    if len(shape) < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    destination = local_tensor(tensor)
    if 0 in shape or destination.is_meta:
        return tensor
    _refuse_before_drawing(destination)

    rows, columns = shape[0], math.prod(shape[1:])
    gaussian = torch.empty((rows, columns), dtype=_COMPUTE[destination.dtype], device=destination.device)
    draw(NORMAL, gaussian, generator, 0.0, 1.0)
    q, r = torch.linalg.qr(gaussian if rows >= columns else gaussian.T)
    signs = r.diagonal().sgn()
    q.mul_(signs if gain == 1 else signs * gain)
    whole = q if rows >= columns else q.T
    if len(shape) > 2:
        whole = whole.reshape(shape)
    # Detached, the copy leaves no history and a leaf that requires grad accepts it; the version counter is shared.
    destination.detach().copy_(_own_part(whole, tensor) if isinstance(tensor, Shard) else whole)
    return tensor


def _own_part(whole: torch.Tensor, shard: Shard) -> torch.Tensor:
    for axis, (start, size) in enumerate(zip(shard.global_offset, local_tensor(shard).shape, strict=True)):
        whole = whole.narrow(axis, start, size)
    return whole


def _refuse_before_drawing(destination: torch.Tensor) -> None:
    """Raise what the copy at the end would raise, while the generator is still untouched."""
    if destination.dtype not in _COMPUTE:
        raise NotImplementedError(f"\"orthogonal_\" not implemented for '{destination.dtype}'")
    strides = destination.stride()
    if 0 in strides and any(s == 0 and n > 1 for n, s in zip(destination.shape, strides, strict=True)):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            "Please clone() the tensor before performing the operation."
        )
    # (Dynamo cannot trace the question; compiled code leaves it to the copy.)
    if not is_dynamo_compiling() and destination.is_inference() and not torch.is_inference_mode_enabled():
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed. "
            "You can make a clone to get a normal tensor before doing inplace update."
        )
