"""Named recipes, each with its source: functions that give a `fastinit.Recipe`.

fastinit.initialize_(model, fastinit.recipes.torch_default(), seed=0)
"""

from fastinit.recipes.torch_default import torch_default

__all__ = ["torch_default"]
