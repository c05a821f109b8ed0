"""cuRAND's Philox generator as a rival, called in the library itself.

Every CUDA build of torch brings ``libcurand``, so no other package is needed; CuPy's generators call the same library.
Its numbers are not fastinit's: only the speed is compared.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

import torch
from torch import Tensor

from .fills import Fill
from .timing import Run

# curand.h: curandRngType, and the library's version in its file name.
PHILOX4_32_10: Final = 161
LIBRARY: Final = "libcurand.so.10"

# By distribution and type: the function, and what it takes after the number of elements.
_FILLS: Final[dict[tuple[str, torch.dtype], tuple[str, tuple[Any, ...]]]] = {
    ("uniform", torch.float32): ("curandGenerateUniform", ()),
    ("uniform", torch.float64): ("curandGenerateUniformDouble", ()),
    ("normal", torch.float32): ("curandGenerateNormal", (ctypes.c_float(0.0), ctypes.c_float(1.0))),
    ("normal", torch.float64): ("curandGenerateNormalDouble", (ctypes.c_double(0.0), ctypes.c_double(1.0))),
}


class Curand:
    """One generator of the library, on the device that is current when it is made (or on the host)."""

    def __init__(self, library: ctypes.CDLL, *, host: bool = False) -> None:
        self._library = library
        self._generator = ctypes.c_void_p()
        create = library.curandCreateGeneratorHost if host else library.curandCreateGenerator
        _check(create(ctypes.byref(self._generator), ctypes.c_int(PHILOX4_32_10)))
        _check(library.curandSetPseudoRandomGeneratorSeed(self._generator, ctypes.c_ulonglong(1)))

    @classmethod
    def on_current_stream(cls) -> Curand | None:
        """One that works on torch's current stream; None where there is no such library."""
        try:
            library = ctypes.CDLL(LIBRARY)
        except OSError:
            return None
        made = cls(library)
        _check(library.curandSetStream(made._generator, ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)))
        return made

    def run(self, fill: Fill, tensor: Tensor) -> Run | None:
        """The same fill of the same memory; None where the library has none for this distribution, type or layout."""
        if fill.standard is None or (fill.standard, tensor.dtype) not in _FILLS or not tensor.is_contiguous():
            return None
        name, parameters = _FILLS[fill.standard, tensor.dtype]
        function = getattr(self._library, name)
        arguments = (self._generator, ctypes.c_void_p(tensor.data_ptr()), ctypes.c_size_t(tensor.numel()), *parameters)
        return lambda: _check(function(*arguments))


def _check(status: int) -> None:
    if status != 0:
        raise RuntimeError(f"cuRAND failed with curandStatus {status}")
