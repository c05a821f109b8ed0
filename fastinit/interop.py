"""Arrays of other libraries, seen as torch tensors over the same memory, so that a fill lands in the array itself.

Two ways in: NumPy arrays, and anything that exports CPU memory through the DLPack protocol
(https://dmlc.github.io/dlpack/latest/). Nothing here copies. Memory that must not be written is refused: arrays that
say so, and arrays of the libraries whose arrays are immutable by contract but may not say so.
"""

import ctypes
import sys
from typing import Any, Protocol

import torch
from torch import Tensor

__all__ = ["SupportsDLPack", "as_tensor"]


class SupportsDLPack(Protocol):
    """What the array API standard asks of an exporter (NumPy's arrays and torch's tensors included)."""

    def __dlpack__(self) -> Any: ...

    def __dlpack_device__(self) -> tuple[int, int]: ...


def as_tensor(array: Any) -> Tensor:
    """A tensor that shares ``array``'s memory, or ``array`` itself where it is a tensor.

    Raises:
        TypeError: neither a tensor nor a CPU array that can be exported; an element type torch lacks.
        ValueError: the array is read-only, or laid out in a way torch cannot address (negative strides, foreign
            byte order).
    """
    if isinstance(array, Tensor):
        return array
    numpy = sys.modules.get("numpy")  # whoever passes an array has imported it; fastinit need not
    if numpy is not None and isinstance(array, numpy.ndarray):
        return _from_numpy(array)
    if hasattr(array, "__dlpack__") and hasattr(array, "__dlpack_device__"):
        return _from_dlpack(array)
    raise TypeError(
        "expected a torch.Tensor, a fastinit.Shard, a NumPy array or a CPU array that supports DLPack, "
        f"but got {type(array).__name__}"
    )


def _from_numpy(array: Any) -> Tensor:
    if not array.flags.writeable:
        raise ValueError(_READ_ONLY)
    if any(stride < 0 for stride in array.strides):
        # torch would advise a copy, and the caller's array would stay as it was.
        raise ValueError("arrays with negative strides cannot be filled in place: pass the array they are a view of")
    tensor: Tensor = torch.from_numpy(array)
    return tensor


def _from_dlpack(array: Any) -> Tensor:
    device = array.__dlpack_device__()[0]
    if device != _DLPACK_CPU:
        raise TypeError(f"{type(array).__name__} is not in CPU memory (DLPack device type {int(device)})")
    if type(array).__module__.partition(".")[0] in _IMMUTABLE:
        raise ValueError(f"{_READ_ONLY}: {type(array).__module__} arrays are immutable")
    try:
        capsule = array.__dlpack__(max_version=(1, 0), copy=False)
    except TypeError:  # an exporter of before DLPack 1.0, which knows no keywords and must not export read-only memory
        capsule = array.__dlpack__()
    if _is_read_only(capsule):
        raise ValueError(_READ_ONLY)
    tensor: Tensor = torch.utils.dlpack.from_dlpack(capsule)
    return tensor


_READ_ONLY = "assignment destination is read-only"
_IMMUTABLE = frozenset({"jax", "jaxlib", "tensorflow"})
_DLPACK_CPU = 1  # kDLCPU


class _Versioned(ctypes.Structure):
    """The head of DLManagedTensorVersioned (dlpack.h, DLPack 1.0), up to its flags."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager_ctx", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
    )


_READ_ONLY_FLAG = 1  # DLPACK_FLAG_BITMASK_READ_ONLY


def _is_read_only(capsule: Any) -> bool:
    """The capsule's own word on it, which torch.from_dlpack leaves unread."""
    name = b"dltensor_versioned"
    python = ctypes.pythonapi
    if not python.PyCapsule_IsValid(ctypes.py_object(capsule), name):
        return False
    get_pointer = python.PyCapsule_GetPointer
    get_pointer.restype = ctypes.c_void_p
    head = ctypes.cast(get_pointer(ctypes.py_object(capsule), name), ctypes.POINTER(_Versioned)).contents
    return bool(head.flags & _READ_ONLY_FLAG)
