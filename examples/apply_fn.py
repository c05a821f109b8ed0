"""``net.apply(fn)``: one function for the whole network, called on every module in it, the innermost first."""

import torch
from torch import nn

import fastinit as init


def init_weights(module: nn.Module) -> None:
    """What happens to one module.  Modules that are not meant, such as the ReLU, are simply passed over."""
    if isinstance(module, nn.Linear):
        init.xavier_uniform_(module.weight, gain=init.calculate_gain("tanh"))
        # A layer made with bias=False has None here.
        if module.bias is not None:
            init.constant_(module.bias, 0.01)


def main() -> nn.Module:
    """Applies the function to a network, and again to one part of it only."""
    first, inner = nn.Linear(20, 64), nn.Sequential(nn.Linear(64, 64, bias=False), nn.Tanh())
    net = nn.Sequential(first, nn.Tanh(), inner, nn.Linear(64, 2))

    # torch.manual_seed governs fastinit's fills as it does torch's: the same seed, the same network.
    torch.manual_seed(0)
    net.apply(init_weights)
    before = first.weight.clone()

    # Any part of a network is a module too.
    inner.apply(init_weights)

    torch.manual_seed(0)
    net.apply(init_weights)
    print("same seed, same weights:", torch.equal(before, first.weight))
    return net


if __name__ == "__main__":
    main()
