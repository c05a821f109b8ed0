"""Which compiled kernel a fill runs on a GPU, so that its instructions a value can stand beside its figures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import torch

from .sass import Loop

# The form of docs/stream.md, section 4, that serves each op as it is timed: in float32, and in float64.
FORMS: Final = {
    "uniform_": ("Uniform", "Uniform"),
    "normal_": ("Normal", "Normal"),
    "trunc_normal_ [-2, 2]": ("Central", "Full"),
    "trunc_normal_ [-3, 3]": ("Full", "Full"),
    "trunc_normal_ [-100, 100]": ("Normal", "Normal"),
    "trunc_normal_ [2, 4]": ("Tail", "Tail"),
    "trunc_normal_ [8, 9]": ("Tail", "Tail"),
    "kaiming_uniform_": ("Uniform", "Uniform"),
    "kaiming_normal_": ("Normal", "Normal"),
    "xavier_uniform_": ("Uniform", "Uniform"),
    "xavier_normal_": ("Normal", "Normal"),
}
CONSTANTS: Final = ("constant_", "zeros_", "ones_")

_OUTPUTS: Final = {
    torch.float32: "OutF32",
    torch.float64: "OutF64",
    torch.bfloat16: "OutBF16",
    torch.float16: "OutF16",
    torch.complex64: "OutF32",
    torch.complex128: "OutF64",
}


def kernel_of(op: str, dtype: torch.dtype) -> re.Pattern[str] | None:
    """What the name of the kernel matches that fills a contiguous tensor; None for ops that are more than one fill."""
    if op in CONSTANTS:
        return re.compile(r"\bflat_one<.*\bRepeat\b")
    if op not in FORMS:
        return None
    output = _OUTPUTS.get(dtype, "OutF8")
    wide = output == "OutF64"
    working = "double" if wide else "float"
    return re.compile(rf"\bflat_one<.*\b{FORMS[op][wide]}<{working}>.*\b{output}\b")


def instructions_a_value(loops: Sequence[Loop], op: str, dtype: torch.dtype) -> float | None:
    """Instructions that one element takes; None where no such kernel, or more than one, was found."""
    pattern = kernel_of(op, dtype)
    found = {loop.per_value(dtype.itemsize) for loop in loops if pattern is not None and pattern.search(loop.kernel)}
    return found.pop() if len(found) == 1 else None
