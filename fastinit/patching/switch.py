"""`fastinit.patch`: what turns the patch on and off."""

from __future__ import annotations

import threading
from contextlib import ContextDecorator
from types import TracebackType

from fastinit.patching import replacement, scopes
from fastinit.patching.counts import Counts

__all__ = ["Patch", "Scope"]


class Scope(ContextDecorator):
    """A block, or a decorated function, in which the patch is on for the calling thread or task.

    It does not change: one may be entered again, also while it is entered, and by several threads at once.
    """

    def __init__(self, defer: bool) -> None:
        self._defer = defer
        self._open: list[scopes.Entry] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Counts:
        replacement.hold()
        entry = scopes.enter(self._defer)
        with self._lock:
            self._open.append(entry)
        return entry.counts

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            entry = scopes.innermost(self._open)
            self._open.remove(entry)
        try:
            scopes.leave(entry)
        finally:
            replacement.release()


class Patch:
    """Make code that calls torch.nn.init faster without touching it.

    ``with fastinit.patch():`` fills what is built in the block by fastinit: whatever calls a function of torch.nn.init,
    under whatever name it was imported, ``Tensor.normal_``, ``Tensor.uniform_``, or timm's ``trunc_normal_``,
    ``trunc_normal_tf_``, ``variance_scaling_`` and ``lecun_normal_``; so the modules of torch.nn, torchvision,
    transformers and timm. Distributions, arguments, errors and return values are torch's; the numbers are fastinit's,
    those of fastinit's function of the same name, and follow `torch.manual_seed`. (One warning is missing: that of
    ``trunc_normal_`` about a mean far from the bounds, because its values are right there too.)

    The patch is on for the thread, or the asyncio task, that entered it, and for no thread that it starts; `install` is
    for all. Afterwards, also after an exception, everything is as it was: the very objects, in every module. Scopes
    nest. The scope object is a decorator too.

    What fastinit does not do just as torch does is left to torch, call by call: devices other than the CPU and CUDA
    (meta tensors stay untouched), tensor subclasses (fake and distributed tensors), sparse and quantised layouts, types
    that torch's function refuses, arguments that fastinit refuses, `torch.compile`, tracing, function transforms, torch
    function and dispatch modes other than ``torch.device``, and, for the two methods, what autograd would record. So
    `torch.nn.utils.skip_init`, transformers' ``no_init_weights`` and guards of loaded weights, and Lightning's and
    accelerate's empty initialisation do what they always do.

    Args:
        defer: whether fills of parameters on the CPU are put off until something in this thread looks at one of them,
            or until the end of the scope, and then done together. So a default initialisation that the model's own
            replaces is never done, nor one of a weight that is thrown away when two are tied, whose memory then is not
            even touched. The values are the same. Started threads, ``nn.Parameter(other)``, DLPack and `torch.compile`
            find them. Three readers do not, and may see memory that was never written, so this is not for code that
            has them look at a parameter before the scope ends: threads that were running when the scope was entered
            (or since), TorchScript (what ``torch.jit.script`` made), and C++ extensions. In the default, False, every
            fill is done at once.

    Yields:
        `Counts`: calls and elements that were accelerated, by function, and calls that were left to torch, by function
        and reason. A scope's tally has those of the scopes within it.

    Example:
        >>> import torch, fastinit
        >>> with fastinit.patch() as counts:
        ...     layer = torch.nn.TransformerEncoderLayer(64, 4)
        >>> counts.calls, counts.left
        (13, 0)
        >>> @fastinit.patch()
        ... def build() -> torch.nn.Module:
        ...     return torch.nn.Linear(64, 64)
    """

    def __init__(self) -> None:
        self._installed: Counts | None = None
        self._lock = threading.Lock()

    def __call__(self, *, defer: bool = False) -> Scope:
        """A context manager and decorator, see above."""
        return Scope(defer)

    def install(self) -> Counts:
        """Turn the patch on for all threads, until `uninstall`. Where it is installed nothing changes.

        Returns:
            The tally from here on, or from where it was installed.
        """
        with self._lock:
            if self._installed is None:
                replacement.hold()
                self._installed = Counts()
                scopes.everywhere(self._installed)
            return self._installed

    def uninstall(self) -> Counts | None:
        """Undo `install`. Scopes that are entered stay on.

        Returns:
            The tally, or None where the patch was not installed.
        """
        with self._lock:
            counts, self._installed = self._installed, None
            if counts is not None:
                scopes.everywhere(None)
                replacement.release()
            return counts

    @property
    def installed(self) -> bool:
        """Whether it is on for all threads."""
        return self._installed is not None

    def __repr__(self) -> str:
        return f"<fastinit.patch, {'installed' if self.installed else 'not installed'}>"
