"""Where the elements of a tensor may lie in memory: the layouts that tests write through, and what stays untouched."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Layout(NamedTuple):
    """Where the elements of a tensor lie in its buffer, in elements."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    @staticmethod
    def of(tensor: Tensor) -> Layout:
        """That of a tensor."""
        return Layout(tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset()))

    def view(self, dtype: torch.dtype, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """A tensor laid out so, and its buffer, every byte of it set, with some to spare at the end."""
        reach = sum(max(size - 1, 0) * stride for size, stride in zip(self.shape, self.stride, strict=True))
        size = (self.offset + reach + 65) * dtype.itemsize
        buffer = torch.full((size,), 0xA5, dtype=torch.uint8, device=device)
        return buffer.view(dtype).as_strided(*self), buffer


LARGE = {  # enough for tiles of each kind, and for rows that are written directly
    "transposed": torch.empty(600, 70).t(),
    "every other column": torch.empty(70, 1300)[:, ::2],
    "every other row": torch.empty(1300, 70)[::2],
    "a corner": torch.empty(301, 517)[5:, 3:],
    "narrow rows": torch.empty(1000, 41)[:, :7],
    "channels last": torch.empty(20, 30, 9, 11).to(memory_format=torch.channels_last),
    "channels last 3d": torch.empty(5, 30, 7, 9, 11).to(memory_format=torch.channels_last_3d),
    "permuted": torch.empty(40, 50, 30).permute(2, 0, 1),
    "leading dimensions exchanged": torch.empty(40, 50, 30).permute(1, 0, 2),
    "every third": torch.empty(60_000)[7::3],
    "off by one": torch.empty(60_001)[1:],
    "one dimension in eight": torch.empty(20_000).view(1, 1, 1, 20_000, 1, 1, 1, 1),
}


def assert_nothing_else_is_written(view: Tensor, buffer: Tensor) -> None:
    """Sets the view back to what it was: then the whole buffer must be."""
    if view.numel():
        byte = torch.full((view.element_size(),), 0xA5, dtype=torch.uint8, device=view.device)
        view.copy_(byte.view(view.dtype)[0])
    assert torch.equal(buffer, torch.full_like(buffer, 0xA5))
