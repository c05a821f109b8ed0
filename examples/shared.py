"""Shared parameters: one weight under two names, as when a language model reads and writes with the same table.

``named_parameters()`` lists a shared parameter once, under the first of its names, so a loop over it fills it once.
A loop over modules meets it twice, and the last rule wins: keep track of what was filled.
"""

from torch import Tensor, nn

import fastinit as init


class Tied(nn.Module):
    """An embedding and an output layer over one table of weights."""

    def __init__(self, words: int = 500, width: int = 32) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.head = nn.Linear(width, words, bias=False)
        self.head.weight = self.embed.weight  # not a copy: one Parameter with two names


def initialise(net: nn.Module) -> list[str]:
    """Fills every weight once; returns the names under which it did."""
    filled: set[Tensor] = set()
    names: list[str] = []
    for name, module in net.named_modules():
        # Tensors compare by value but hash by identity, so a set of them tells the same one from an equal one.
        if isinstance(module, nn.Embedding | nn.Linear) and module.weight not in filled:
            init.normal_(module.weight, std=0.02)
            filled.add(module.weight)
            names.append(name)
    return names


def main() -> Tied:
    """Initialises a model with a shared weight, and shows that it is still shared."""
    net = Tied()
    print("filled under:", ", ".join(initialise(net)))
    print("parameters listed:", [name for name, _ in net.named_parameters()])
    # Initializers write in place, so the two names still mean the same memory.
    print("still one weight:", net.head.weight is net.embed.weight)
    return net


if __name__ == "__main__":
    main()
