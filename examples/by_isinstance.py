"""A rule for each type of layer: walk over ``net.modules()`` and ask what each one is."""

from torch import nn

import fastinit as init


def initialise(net: nn.Module) -> dict[str, int]:
    """Fills every layer by the rule of its type; returns how many layers of each type were found."""
    counts: dict[str, int] = {}
    # modules() yields the network itself and everything inside it, however deep, each once.
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            # fan_out keeps the variance of the gradients, which is what deep residual networks want.
            init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            # Bounds are absolute, in the unit of the weights: here they lie two standard deviations out.
            init.trunc_normal_(module.weight, std=0.02, a=-0.04, b=0.04)
            init.zeros_(module.bias)
        else:
            continue  # containers, activations, pooling: nothing to fill
        kind = type(module).__name__
        counts[kind] = counts.get(kind, 0) + 1
    return counts


def main() -> nn.Module:
    """Initialises a small convolutional network by the types of its layers."""
    block = nn.Sequential(nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, bias=False), block, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)
    )
    for kind, count in initialise(net).items():
        print(f"{kind:12} {count} initialised")
    return net


if __name__ == "__main__":
    main()
