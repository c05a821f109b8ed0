"""Named recipes, each with its source: functions that give a `fastinit.Recipe`.

fastinit.initialize_(model, fastinit.recipes.gpt2(), seed=0)

`names` lists them, and `named` gives one by its name, for configuration files. `lsuv_` stands apart: it needs data.
"""

from fastinit.recipes.catalogue import named, names
from fastinit.recipes.data import LsuvLayer, LsuvReport, lsuv_
from fastinit.recipes.depth import deepnorm, fixup, t_fixup
from fastinit.recipes.fields import siren
from fastinit.recipes.frameworks import flax, keras
from fastinit.recipes.language import bert, gpt2, llama, neox, olmo, olmo2, small_init, t5
from fastinit.recipes.torch_default import torch_default
from fastinit.recipes.vision import resnet, vit
from fastinit.recipes.width import mup, mup_rates

__all__ = [
    "LsuvLayer",
    "LsuvReport",
    "bert",
    "deepnorm",
    "fixup",
    "flax",
    "gpt2",
    "keras",
    "llama",
    "lsuv_",
    "mup",
    "mup_rates",
    "named",
    "names",
    "neox",
    "olmo",
    "olmo2",
    "resnet",
    "siren",
    "small_init",
    "t5",
    "t_fixup",
    "torch_default",
    "vit",
]
