"""A rule for each parameter name, and a random stream for each parameter.

With ``torch.manual_seed`` the weights of a layer depend on everything filled before it: add a layer, and all that
follow change.  A ``Key`` is a value instead.  Folding the parameter's name into it gives every parameter numbers of
its own, in whatever order, process or copy of the network it is filled.
"""

import torch
from torch import nn

import fastinit as init


def initialise(net: nn.Module, key: init.Key) -> None:
    """Fills every parameter by its name, from a stream that its name selects."""
    for name, parameter in net.named_parameters():
        own = key.fold_in(name)
        if name.endswith("bias"):
            init.zeros_(parameter)
        elif "embed" in name:
            init.normal_(parameter, std=0.02, generator=own)
        elif parameter.ndim >= 2:  # fans need two dimensions: a norm's weight has one
            init.kaiming_uniform_(parameter, nonlinearity="relu", generator=own)
        else:
            init.ones_(parameter)


class Tagger(nn.Module):
    """A small model with parameters of several kinds; ``deep`` puts one more layer in the middle."""

    def __init__(self, deep: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(1000, 64)
        if deep:
            self.middle = nn.Linear(64, 64)
        self.norm = nn.LayerNorm(64)
        self.head = nn.Linear(64, 17)


def main() -> tuple[nn.Module, nn.Module]:
    """Shows that a layer's weights do not depend on what else the network holds."""
    key = init.Key(2024)
    shallow, deep = Tagger(), Tagger(deep=True)
    initialise(shallow, key)
    initialise(deep, key)
    print(
        "the head is the same with and without a layer before it:", torch.equal(shallow.head.weight, deep.head.weight)
    )
    return shallow, deep


if __name__ == "__main__":
    main()
