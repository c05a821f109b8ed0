"""``.data``, and NumPy arrays: initialising what is not a Parameter.

Older tutorials write through ``parameter.data`` so that the gradients do not see it.  fastinit needs no such care,
but takes it: ``.data`` is a tensor over the same memory, and so is a NumPy array made from it.
"""

import numpy as np
import torch
from torch import nn

import fastinit as init


def main() -> nn.Linear:
    """Fills one layer four ways, all through the same memory."""
    layer = nn.Linear(300, 100)

    init.normal_(layer.weight.data, std=0.1)  # as older tutorials do
    init.normal_(layer.weight, std=0.1)  # the same, without the detour

    # A slice is filled in place too, and nothing outside it is written: here every second input starts at zero.
    init.zeros_(layer.weight.data[:, ::2])

    # A NumPy array is filled in place as well.  This one is the bias itself, seen through NumPy.
    init.uniform_(layer.bias.data.numpy(), -0.1, 0.1)
    table = init.normal_(np.empty((1000, 8), dtype=np.float32), std=0.5)

    # Other operations than initializers, though, must be kept from the gradients, by .data or by torch.no_grad().
    with torch.no_grad():
        layer.bias[0] = 1.0

    kept, dropped = layer.weight[:, 1::2], layer.weight[:, ::2]
    print(f"weight: every second column zero: {not dropped.any()}; the others spread {kept.std():.3f}")
    print(f"bias: from {layer.bias[1:].min():+.3f} to {layer.bias[1:].max():+.3f}, and {layer.bias[0]:.0f} set by hand")
    print(f"table: {type(table).__name__} of {table.shape}, spread {table.std():.3f}")
    return layer


if __name__ == "__main__":
    main()
