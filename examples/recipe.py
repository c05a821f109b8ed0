"""A whole model by a recipe that lives in a configuration file, from shapes to weights in one pass, and checked.

The same file serves every size: the scale of the residual projections follows the depth that it finds.  A stage of a
pipeline fills its own part, and gets what the whole model has there.
"""

import torch
from torch import nn

import fastinit

RECIPE = """
name: tiny-gpt
rules:
  - {init: {normal: {std: 0.02 / sqrt(2 * layers)}}, name: "*.out.weight"}
  - {init: {normal: {std: 0.02}}, module: [Linear, Embedding], param: weight}
  - {init: ones, module: LayerNorm, param: weight}
  - {init: zeros, param: bias}
"""


class Block(nn.Module):
    """A feed-forward block with a residual connection."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.out = nn.Linear(4 * width, width)


class Net(nn.Module):
    """Blocks between an embedding and a head that shares its weight."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(1000, 64)
        self.blocks = nn.ModuleList(Block() for _ in range(depth))
        self.head = nn.Linear(64, 1000, bias=False)
        self.head.weight = self.embed.weight


def main() -> tuple[nn.Module, nn.Module, fastinit.Report]:
    """Makes a model, a part of it, and an audit of the whole."""
    recipe = fastinit.Recipe.from_yaml(RECIPE)
    with torch.device("meta"):  # shapes only
        net, stage = Net(depth=8), Block()
    report = fastinit.initialize_(net, recipe, seed=2024, device="cpu")
    print(report)
    print("\n".join(str(report.plan).splitlines()[:6]))

    # One block alone, as another process would hold it: under its name, and told of the depth that it cannot see.
    fastinit.initialize_(stage, recipe.with_constants(layers=8), seed=2024, prefix="blocks.5", device="cpu")
    whole, part = net.get_parameter("blocks.5.out.weight"), stage.get_parameter("out.weight")
    print("a stage has the whole model's weights:", torch.equal(whole, part))

    audit = fastinit.audit(net, recipe, seed=2024)
    print("the audit:", audit)
    return net, stage, report


if __name__ == "__main__":
    main()
