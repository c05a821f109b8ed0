"""Which axis of a weight means what, by the kind of its layer: what a shape alone does not say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from fastinit.fans import Axes

__all__ = ["Layout", "layout_of"]


@dataclass(frozen=True)
class Layout:
    """The axes of a weight, as `fastinit.fans` takes them, and the parts that it is made of.

    Args:
        in_axis: the axis, or axes, over input units.
        out_axis: the axis, or axes, over output units.
        batch_axis: axes that stack independent weights: experts, heads.
        groups: the layer's number of groups.
        transposed: the weight of a transposed convolution.
        split: the weight is several side by side, as queries, keys and values in one projection: how many of equal
            size, or their sizes. Each part has its own fans, and is orthogonal by itself; the values it is given are
            those of its place in the whole.
        split_axis: the axis along which they lie.

    Example:
        A fused projection of a model with 32 query heads and 8 key and value heads of 128:

        >>> import fastinit
        >>> layout = fastinit.Layout(split=(4096, 1024, 1024))
        >>> rule = fastinit.Rule(fastinit.XavierUniform(), name="*.qkv_proj.weight", layout=layout)
    """

    in_axis: Axes = 1
    out_axis: Axes = 0
    batch_axis: Axes = ()
    groups: int = 1
    transposed: bool = False
    split: int | tuple[int, ...] = 1
    split_axis: int = 0

    def __post_init__(self) -> None:
        sizes = self.split if isinstance(self.split, tuple) else (self.split,)
        if not all(isinstance(size, int) for size in sizes):
            raise TypeError(f"split must be a number of parts or their sizes, but got {self.split!r}")

    def sizes(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The parts' sizes along ``split_axis``, for a weight of this shape.

        Raises:
            ValueError: sizes that do not add up, or a number that does not divide the axis.
        """
        if not -len(shape) <= self.split_axis < len(shape):
            raise ValueError(f"split_axis {self.split_axis} is out of range for {len(shape)} dimensions")
        whole = shape[self.split_axis]
        if isinstance(self.split, int):
            if self.split < 1 or whole % self.split:
                raise ValueError(f"{whole} elements of axis {self.split_axis} do not split into {self.split}")
            return (whole // self.split,) * self.split
        if min(self.split, default=-1) < 0 or sum(self.split) != whole:
            raise ValueError(f"the parts {self.split} do not add up to {whole}, the size of axis {self.split_axis}")
        return self.split


_PLAIN = Layout()
_BILINEAR = Layout(in_axis=(1, 2))
_EXPERTS = Layout(in_axis=2, out_axis=1, batch_axis=0)
_IN_OUT = Layout(in_axis=0, out_axis=1)
_GATES = {"LSTM": 4, "LSTMCell": 4, "GRU": 3, "GRUCell": 3}


def layout_of(module: nn.Module, name: str, tensor: Tensor) -> Layout:
    """The layout of a module's parameter, as far as the module's kind tells.

    Convolutions (groups, transposed), `nn.Bilinear`, the fused projection of `nn.MultiheadAttention`, the gates of
    recurrent layers, and the Conv1D of transformers, which stores (in, out). A parameter of three dimensions of any
    other module counts as stacked experts, (experts, out, in). Whatever else there is, a `fastinit.Rule` declares.
    """
    if tensor.ndim < 2:
        return _PLAIN
    if isinstance(module, _ConvNd):
        return Layout(groups=module.groups, transposed=module.transposed)
    if isinstance(module, nn.Bilinear):
        return _BILINEAR
    if isinstance(module, nn.MultiheadAttention):
        return Layout(split=3) if name == "in_proj_weight" else _PLAIN
    if isinstance(module, nn.RNNBase | nn.RNNCellBase) and name.startswith("weight_") and "_hr_" not in name:
        mode = module.mode if isinstance(module, nn.RNNBase) else type(module).__name__
        return Layout(split=_GATES.get(mode, 1))
    if type(module).__name__ == "Conv1D" and hasattr(module, "nf"):
        return _IN_OUT
    return _EXPERTS if tensor.ndim == 3 else _PLAIN
