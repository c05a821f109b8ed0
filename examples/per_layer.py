"""One layer at a time: the plainest way, and the one to start with.

Change ``from torch.nn import init`` to ``import fastinit as init`` and the rest of a script stays as it is: same names,
same arguments, same results in distribution.
"""

from torch import nn

import fastinit as init


def main() -> nn.Module:
    """Builds a small network, initialises it layer by layer and shows what came out."""
    hidden, output = nn.Linear(784, 256), nn.Linear(256, 10)
    net = nn.Sequential(hidden, nn.ReLU(), output)

    # A function that ends in an underscore writes into the tensor it is given.  There is no need for
    # torch.no_grad(): an initializer leaves no trace in the gradients.
    init.kaiming_normal_(hidden.weight, nonlinearity="relu")  # variance 2 / fan_in: the ReLU halves it again
    init.zeros_(hidden.bias)
    init.xavier_uniform_(output.weight)  # for the linear output: bounds +-sqrt(6 / (fan_in + fan_out))
    init.zeros_(output.bias)

    for name, parameter in net.named_parameters():
        print(
            f"{name:10} mean {parameter.mean():+.4f}  spread {parameter.std():.4f}  largest {parameter.abs().max():.4f}"
        )
    return net


if __name__ == "__main__":
    main()
