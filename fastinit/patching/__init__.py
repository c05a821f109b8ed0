"""Acceleration of code that calls torch.nn.init: `fastinit.patch`.

A call of a replaced function goes: its own object with other code (init_names.py, timm_names.py, put there by
replacement.py), or a method (methods.py); then routes.py, which asks scopes.py whether the caller is in a scope, and
guards.py whether fastinit does just what torch would; then to torch, or to fastinit, at once or when it is needed
(deferral.py, detours.py). switch.py is what a user holds.
"""

from fastinit.patching.counts import Counts
from fastinit.patching.switch import Patch

__all__ = ["Counts", "Patch", "patch"]

patch = Patch()
