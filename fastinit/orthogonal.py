"""Orthogonal initialisation (Saxe et al. 2013, arXiv:1312.6120), and what is made of orthogonal matrices.

All of these are one operator. Its matrices are uniform over all orthogonal (in complex types: unitary) ones, in the
sense of Haar's measure, and a fixed function of the numbers that `normal_` would have written (docs/stream.md, section
4.9). Nothing is factorised: the columns of a Gaussian matrix serve as they are as the vectors of Householder
reflectors (Stewart 1980, doi:10.1137/0717034), and only the reflectors' product is computed.
"""

import math
from collections.abc import Sequence

from torch import Tensor
from torch.overrides import has_torch_function_unary

from fastinit.dispatch import ORTHOGONAL, Source, Target, draw, local_tensor, overridden, shape_of, write_everywhere
from fastinit.shards import Shard

__all__ = ["block_orthogonal_", "delta_orthogonal_", "orthogonal_", "special_orthogonal_"]


def orthogonal_(tensor: Target, gain: float = 1, generator: Source = None, *, batch_dims: int = 0) -> Target:
    """Fill with a (semi-)orthogonal matrix, uniform over all of them, times ``gain``, in place.

    Dimensions after the first are flattened. The rows are orthonormal where there are no more of them than columns,
    and the columns otherwise; for complex types, unitary in the same sense.

    Args:
        tensor: what to fill: 2 or more dimensions, any strides, any floating-point or complex type. Types narrower
            than float32 get the float32 result rounded.
        gain: every element is multiplied by this.
        generator: see `fastinit.init`; one draw is consumed, that of `normal_` on the whole tensor.
        batch_dims: this many leading dimensions count independent matrices (heads, experts), which are made together;
            the matrix is what comes after them, 2 or more dimensions.

    Returns:
        ``tensor`` itself. Meta tensors and tensors without elements are left alone.

    Raises:
        ValueError: fewer than 2 dimensions beyond the batch's, or a negative ``batch_dims``.
        NotImplementedError: an integer or boolean type.
        RuntimeError: a tensor whose elements share memory.

    The same key gives the same matrix to within rounding (docs/stream.md, section 6) on every device and any number of
    threads, and Q* Q is 1 to within a few units of the last place of the type that is computed in. Products are never
    of less precision, whatever `torch.set_float32_matmul_precision` and autocast say. A shard takes the memory and
    time of the whole, since every element depends on all of the Gaussian's.

    Example:
        >>> import torch, fastinit
        >>> w = fastinit.orthogonal_(torch.empty(3, 5))
        >>> torch.allclose(w @ w.T, torch.eye(3), atol=1e-5)
        True
        >>> heads = fastinit.orthogonal_(torch.empty(12, 64, 64), batch_dims=1)
        >>> torch.allclose(heads @ heads.mT, torch.eye(64).expand(12, 64, 64), atol=1e-5)
        True
    """
    if has_torch_function_unary(tensor):
        extra = {"batch_dims": batch_dims} if batch_dims else {}  # torch's own name takes the call without
        return overridden(orthogonal_, tensor, gain=gain, generator=generator, **extra)
    _check_dims(tensor, batch_dims)
    return draw(ORTHOGONAL, tensor, generator, gain, batch_dims, None, False)


def special_orthogonal_(tensor: Target, gain: float = 1, generator: Source = None, *, batch_dims: int = 0) -> Target:
    """Fill with a rotation: an orthogonal matrix of determinant 1, uniform over all of them, times ``gain``, in place.

    For complex types, a unitary matrix of determinant 1. All else is as for `orthogonal_`, whose matrix for the same
    key this is with its last column multiplied by the inverse of the determinant.

    Args:
        tensor: what to fill: a square matrix, once dimensions after the first (of the matrix) are flattened.
        gain: every element is multiplied by this.
        generator: see `fastinit.init`; one draw is consumed, that of `normal_` on the whole tensor.
        batch_dims: see `orthogonal_`.

    Returns:
        ``tensor`` itself.

    Raises:
        ValueError: a matrix that is not square; fewer than 2 dimensions beyond the batch's.
        NotImplementedError: an integer or boolean type.
        RuntimeError: a tensor whose elements share memory.

    Example:
        >>> import torch, fastinit
        >>> rotation = fastinit.special_orthogonal_(torch.empty(3, 3))
        >>> round(rotation.det().item(), 5)
        1.0
    """
    if has_torch_function_unary(tensor):
        return overridden(special_orthogonal_, tensor, gain=gain, generator=generator, batch_dims=batch_dims)
    _check_dims(tensor, batch_dims)
    rows, *rest = shape_of(tensor)[batch_dims:]
    if rows != math.prod(rest):
        raise ValueError(f"only square matrices have a determinant, but got {rows} x {math.prod(rest)}")
    return draw(ORTHOGONAL, tensor, generator, gain, batch_dims, None, True)


def block_orthogonal_(
    tensor: Target, split_sizes: int | Sequence[int], gain: float = 1, generator: Source = None
) -> Target:
    """Fill a fused weight: independent orthogonal matrices, one below the other, each times ``gain``, in place.

    For the gates of an LSTM, or queries, keys and values in one projection: `orthogonal_` on the whole would make the
    blocks depend on each other, and none of them orthogonal.

    Args:
        tensor: what to fill: 2 or more dimensions; those after the first are flattened. (For blocks side by side pass a
            transposed view.)
        split_sizes: the rows of each block, or of every block but the last, as `torch.split` takes them.
        gain: every element is multiplied by this.
        generator: see `fastinit.init`; one draw is consumed, that of `normal_` on the whole tensor.

    Returns:
        ``tensor`` itself.

    Raises:
        ValueError: fewer than 2 dimensions; sizes that are negative or do not sum to the number of rows.
        NotImplementedError: an integer or boolean type.
        RuntimeError: a tensor whose elements share memory.

    Example:
        Queries of 64 rows, keys and values of 16 each.

        >>> import torch, fastinit
        >>> qkv = fastinit.block_orthogonal_(torch.empty(96, 64), [64, 16, 16])
        >>> all(torch.allclose(w @ w.T, torch.eye(len(w)), atol=1e-5) for w in qkv.split([64, 16, 16]))
        True
    """
    if has_torch_function_unary(tensor):
        return overridden(block_orthogonal_, tensor, split_sizes=split_sizes, gain=gain, generator=generator)
    _check_dims(tensor, 0)
    rows = shape_of(tensor)[0]
    if isinstance(split_sizes, int):
        if split_sizes <= 0:
            raise ValueError(f"split_sizes must be positive, but is {split_sizes}")
        sizes = [min(split_sizes, rows - start) for start in range(0, rows, split_sizes)]
    else:
        sizes = list(split_sizes)
        if any(size < 0 for size in sizes) or sum(sizes) != rows:
            raise ValueError(f"split_sizes must not be negative and sum to the {rows} rows, but are {sizes}")
    return draw(ORTHOGONAL, tensor, generator, gain, 0, sizes, False)


def delta_orthogonal_(tensor: Target, gain: float = 1, generator: Source = None, *, groups: int = 1) -> Target:
    """Fill a convolution's weight so that it keeps norms: an orthogonal matrix at the centre, zeros around it.

    With circular padding such a layer is an isometry times ``gain``; networks of thousands of layers train from it
    (Xiao et al. 2018, arXiv:1806.05393, algorithm 1: the *delta-orthogonal* kernel).

    Args:
        tensor: what to fill: a weight (out, in / groups, kernel), its kernel of 1, 2 or 3 dimensions, with no more
            inputs than outputs. The centre is at half the kernel's size, rounded down, where `dirac_` has it.
        gain: every element is multiplied by this.
        generator: see `fastinit.init`; one draw is consumed, that of `normal_` on the (out, in / groups) matrix.
        groups: the convolution's groups, each of which gets a matrix of its own.

    Returns:
        ``tensor`` itself.

    Raises:
        ValueError: not 3 to 5 dimensions, outputs that are no multiple of ``groups``, or fewer outputs than inputs
            (then no kernel keeps norms).
        NotImplementedError: an integer or boolean type.
        RuntimeError: a tensor whose elements share memory.

    Example:
        >>> import torch, fastinit
        >>> conv = torch.nn.Conv2d(8, 16, 3, padding=1, padding_mode="circular", bias=False)
        >>> with torch.no_grad():
        ...     _ = fastinit.delta_orthogonal_(conv.weight)
        ...     x = torch.randn(1, 8, 5, 5)
        ...     torch.allclose(conv(x).norm(), x.norm())
        True
    """
    if has_torch_function_unary(tensor):
        return overridden(delta_orthogonal_, tensor, gain=gain, generator=generator, groups=groups)
    shape = shape_of(tensor)
    if len(shape) not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if groups <= 0 or shape[0] % groups:
        raise ValueError("dim 0 must be divisible by groups")
    if shape[0] // groups < shape[1] and 0 not in shape:
        raise ValueError(f"a group has {shape[1]} inputs and {shape[0] // groups} outputs, too few to keep all norms")
    matrix, around = _centre(tensor)
    # The matrix first: a call that is refused is refused here, before anything is written.
    draw(ORTHOGONAL, matrix, generator, gain, 0, [shape[0] // groups] * groups, False)
    for zeros in around:
        write_everywhere(0.0, zeros)
    return tensor


def _centre(weight: Target) -> tuple[Tensor | Shard, list[Tensor]]:
    """A kernel's central element of every channel, as far as it lies in this part of the weight, and all around it."""
    shape = shape_of(weight)
    start = weight.global_offset if isinstance(weight, Shard) else (0,) * len(shape)
    centre = local_tensor(weight).detach()  # no history; the version counter is shared
    around = []
    for axis in range(2, len(shape)):
        size = centre.shape[axis]
        place = min(max(shape[axis] // 2 - start[axis], 0), size)
        after = min(max(shape[axis] // 2 - start[axis] + 1, 0), size)
        around += [centre.narrow(axis, 0, place), centre.narrow(axis, after, size - after)]
        centre = centre.narrow(axis, place, after - place)
    if isinstance(weight, Shard):  # one that holds nothing of the centre draws as the others do
        at = start[:2] if centre.numel() else (0, 0)
        return Shard(centre.flatten(1) if centre.numel() else centre.new_empty(0, 0), shape[:2], at), around
    return centre.flatten(1), around


def _check_dims(tensor: Target, batch_dims: int) -> None:
    if batch_dims < 0:
        raise ValueError(f"batch_dims must not be negative, but is {batch_dims}")
    if len(shape_of(tensor)) < 2 + batch_dims:
        beyond = f" beyond the batch's {batch_dims}" if batch_dims else ""
        raise ValueError(f"Only tensors with 2 or more dimensions{beyond} are supported")
