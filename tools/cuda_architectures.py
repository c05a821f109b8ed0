"""The GPU architectures to compile for: the lists in which users and torch name them, and what nvcc is told."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

OLDEST = 75  # Turing

# What torch's own extension builds understand besides numbers, of the generations that this one supports.
NAMES = {
    "Turing": "7.5+PTX",
    "Ampere": "8.0;8.6+PTX",
    "Ampere+Tegra": "8.7",
    "Ada": "8.9+PTX",
    "Hopper": "9.0+PTX",
    "Blackwell": "10.0;10.3;12.0;12.1+PTX",
    "Blackwell+Tegra": "11.0",
}


@dataclass(frozen=True, order=True)
class Architecture:
    """One architecture: machine code for it and, with ``ptx``, code that the driver translates for later ones."""

    number: int
    suffix: str = ""  # "a" or "f": code that may use what only this architecture, or its family, has
    ptx: bool = False

    def __str__(self) -> str:
        """As in TORCH_CUDA_ARCH_LIST: ``9.0a+PTX``."""
        return f"{self.number // 10}.{self.number % 10}{self.suffix}{'+PTX' if self.ptx else ''}"

    @property
    def codes(self) -> list[str]:
        """As nvcc names what it makes: ``sm_90``, ``compute_90``."""
        return [f"{kind}_{self.number}{self.suffix}" for kind in ("sm", "compute") if kind == "sm" or self.ptx]

    @property
    def flags(self) -> list[str]:
        """As nvcc is told."""
        return [f"-gencode=arch=compute_{self.number}{self.suffix},code={code}" for code in self.codes]


def parse(text: str, devices: Callable[[], Collection[tuple[int, int]]]) -> list[Architecture]:
    """Read a list in torch's syntax: ``8.0;9.0+PTX``, also with spaces, names of generations, and ``native``.

    ``native`` is every GPU of this machine, with PTX for the greatest. In torch's builds it stands alone; here it may
    stand beside others, and is nothing where there is no GPU. ``devices`` gives their compute capabilities.

    Raises:
        ValueError: it holds what is no architecture.
    """
    found: dict[tuple[int, str], bool] = {}
    for name in re.split(r"[;\s]+", text.strip("; \t\n")):
        for item in native(devices()) if name == "native" else map(one, NAMES.get(name, name).split(";")):
            found[item.number, item.suffix] = item.ptx or found.get((item.number, item.suffix), False)
    return sorted(Architecture(number, suffix, ptx) for (number, suffix), ptx in found.items())


def one(item: str) -> Architecture:
    """Read one item: ``9.0``, ``9.0a``, ``9.0+PTX``."""
    read = re.fullmatch(r"(\d+)\.(\d)([af]?)(\+PTX)?", item)
    if read is None:
        names = ", ".join(NAMES)
        raise ValueError(f"TORCH_CUDA_ARCH_LIST is like '8.0;9.0+PTX', or holds {names} or native, but not {item!r}")
    return Architecture(10 * int(read[1]) + int(read[2]), read[3], read[4] is not None)


def native(devices: Collection[tuple[int, int]]) -> list[Architecture]:
    """Those of the GPUs with these compute capabilities."""
    return with_ptx({10 * major + minor for major, minor in devices})


def of_torch(flags: str, known: Collection[int]) -> list[Architecture]:
    """What torch was built for itself (``sm_80 sm_90 compute_90``), as far as nvcc knows it.

    Without the letter of ``sm_90a``: nothing here needs what it stands for, and such code runs nowhere else.
    """
    return with_ptx({int(number) for number in re.findall(r"\bsm_(\d+)", flags)} & set(known))


def with_ptx(numbers: Collection[int]) -> list[Architecture]:
    """Machine code for each, and PTX of the greatest for what comes after it."""
    return [Architecture(number, ptx=number == max(numbers)) for number in sorted(numbers)]
