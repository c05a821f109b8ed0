"""fastinit: torch.nn.init, in parallel, reproducible wherever it runs.

The first block below is torch.nn.init's surface, name for name: ``import fastinit as init`` is the whole migration.
The second goes beyond it. Values are a fixed function of key and index: docs/stream.md is the contract.
"""

from fastinit._native import STREAM_VERSION  # first: its errors say what is missing

# isort: split
from fastinit import foreach, recipes
from fastinit._version import __version__
from fastinit.auditing.audit import audit
from fastinit.auditing.report import Audit, AuditError
from fastinit.fans import Fans, fans
from fastinit.init import (
    _calculate_correct_fan,
    _calculate_fan_in_and_fan_out,
    calculate_gain,
    constant,
    constant_,
    dirac,
    dirac_,
    eye,
    eye_,
    kaiming_normal,
    kaiming_normal_,
    kaiming_uniform,
    kaiming_uniform_,
    normal,
    normal_,
    ones_,
    orthogonal,
    orthogonal_,
    sparse,
    sparse_,
    trunc_normal_,
    uniform,
    uniform_,
    xavier_normal,
    xavier_normal_,
    xavier_uniform,
    xavier_uniform_,
    zeros_,
)
from fastinit.keys import Key
from fastinit.models.elementary import Constant, Normal, TruncNormal, Uniform
from fastinit.models.entries import Entry
from fastinit.models.initialize import Report, initialize_
from fastinit.models.initializer import Initializer
from fastinit.models.initializers import (
    Custom,
    DeltaOrthogonal,
    Dirac,
    Eye,
    KaimingNormal,
    KaimingUniform,
    Leave,
    LecunNormal,
    LecunUniform,
    Ones,
    Orthogonal,
    Sparse,
    SpecialOrthogonal,
    TruncNormalTF,
    VarianceScaling,
    XavierNormal,
    XavierUniform,
    Zeros,
)
from fastinit.models.layouts import Layout
from fastinit.models.materialise import meta_parameters
from fastinit.models.plan import Plan, plan
from fastinit.models.rules import Recipe, Rule
from fastinit.models.sites import Site
from fastinit.orthogonal import block_orthogonal_, delta_orthogonal_, special_orthogonal_
from fastinit.patching import patch
from fastinit.probing.probe import probe
from fastinit.probing.report import Probe
from fastinit.scaling import lecun_normal_, lecun_uniform_, trunc_normal_tf_, variance_scaling_
from fastinit.shards import Shard, shard

__all__ = [
    # torch.nn.init's
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
    "_calculate_correct_fan",
    "_calculate_fan_in_and_fan_out",
    # and beyond
    "Audit",
    "AuditError",
    "Fans",
    "Key",
    "STREAM_VERSION",
    "Shard",
    "__version__",
    "audit",
    "block_orthogonal_",
    "delta_orthogonal_",
    "fans",
    "foreach",
    "lecun_normal_",
    "lecun_uniform_",
    "patch",
    "shard",
    "special_orthogonal_",
    "trunc_normal_tf_",
    "variance_scaling_",
    # whole models
    "Entry",
    "Initializer",
    "Layout",
    "Plan",
    "Probe",
    "Recipe",
    "Report",
    "Rule",
    "Site",
    "initialize_",
    "meta_parameters",
    "plan",
    "probe",
    "recipes",
    # initializers as values, for rules
    "Constant",
    "Custom",
    "DeltaOrthogonal",
    "Dirac",
    "Eye",
    "KaimingNormal",
    "KaimingUniform",
    "LecunNormal",
    "LecunUniform",
    "Leave",
    "Normal",
    "Ones",
    "Orthogonal",
    "Sparse",
    "SpecialOrthogonal",
    "TruncNormal",
    "TruncNormalTF",
    "Uniform",
    "VarianceScaling",
    "XavierNormal",
    "XavierUniform",
    "Zeros",
]
