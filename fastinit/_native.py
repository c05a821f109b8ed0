"""Loads the compiled extension, says how to mend it where it cannot be loaded, and binds its functions once.

Importing this module registers ``torch.ops.fastinit``. The functions below are the same ops called by position, which
costs less than ``torch.ops`` does; Dynamo cannot trace them, so code under ``torch.compiler.is_compiling()`` calls
``torch.ops.fastinit`` instead.
"""

from __future__ import annotations

import sys
from pathlib import Path

try:
    import torch  # before the extension, whose symbols are found in torch's libraries
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ImportError("fastinit needs torch 2.11 or later; install it with: python -m pip install torch") from error


def _rebuild() -> str:
    """The command that builds the extension for the torch and the Python that run now."""
    root = Path(__file__).resolve().parents[1]
    what = f"--editable {root}" if (root / "setup.py").exists() else "--force-reinstall --no-cache-dir torch-fastinit"
    return f"{sys.executable} -m pip install --no-build-isolation --no-deps {what}"


try:
    from fastinit import _C
except ImportError as error:
    if str(error).startswith("fastinit: "):  # the extension's own refusal, of a wrong FASTINIT_ISA: no build mends that
        raise
    # From the package, so a missing file is "cannot import name"; a file that does not load brings the loader's words.
    if error.name == "fastinit":
        python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
        reason = f"has no compiled extension for {python} in {Path(__file__).parent}"
    elif "undefined symbol" in str(error) or "Symbol not found" in str(error):  # glibc's words, then dyld's
        reason = f"was built for another torch than the {torch.__version__} that runs"
    else:
        reason = f"has an extension that does not load ({error})"
    raise ImportError(f"fastinit {reason}; build it with: {_rebuild()}") from error

# torch promises no stable C++ interface from one minor version to the next.
if _C.torch_version.split(".")[:2] != torch.__version__.split(".")[:2]:
    reason = f"was built for torch {_C.torch_version} and torch {torch.__version__} runs"
    raise ImportError(f"fastinit {reason}; build it with: {_rebuild()}")

uniform_ = _C.uniform_
normal_ = _C.normal_
trunc_normal_ = _C.trunc_normal_
sparse_ = _C.sparse_
orthogonal_ = _C.orthogonal_
constant_ = _C.constant_
eye_ = _C.eye_
dirac_ = _C.dirac_
fill_many_ = _C.fill_many_
fold_in = _C.fold_in
fold_in_each = _C.fold_in_each
facts = _C.facts
force_isa = _C.force_isa
STREAM_VERSION = _C.stream_version
