"""What is installed and what was chosen: the facts a bug report needs."""

from __future__ import annotations

import platform
from typing import TypedDict

import torch

from fastinit import _native
from fastinit._version import __version__


class Info(TypedDict):
    """What :func:`info` returns."""

    fastinit: str
    stream: int
    torch: str
    torch_built: str
    python: str
    platform: str
    compiler: str
    isa_compiled: list[str]
    isa_supported: list[str]
    isa: str
    threads: int
    openmp_team: int
    huge_pages: bool
    cuda: str | None
    built: str


def info() -> Info:
    """Gather versions, instruction sets, threads and devices.

    The OpenMP team is measured by running a parallel region, so the first call starts torch's thread pool.

    Returns:
        A dictionary that :func:`json.dumps` takes. ``torch`` runs and ``torch_built`` is what the extension was
        compiled with; ``isa`` is the chosen one of ``isa_supported``; ``threads`` is ``torch.get_num_threads()``, which
        ``openmp_team`` equals in a sound build; ``huge_pages`` says whether large fills ask for them; ``cuda`` is the
        toolkit of the CUDA backend and what it was compiled for, None where it was not built; ``built`` says why.

    Example:
        >>> facts = info()
        >>> facts["isa"] in facts["isa_supported"]
        True
    """
    facts = _native.facts()
    return {
        "fastinit": __version__,
        "stream": facts["stream_version"],
        "torch": torch.__version__,
        "torch_built": facts["torch_version"],
        "python": platform.python_version(),
        "platform": platform.platform(),
        "compiler": facts["compiler"],
        "isa_compiled": facts["isa_compiled"],
        "isa_supported": facts["isa_supported"],
        "isa": facts["isa"],
        "threads": torch.get_num_threads(),
        "openmp_team": facts["openmp_team"],
        "huge_pages": facts["huge_pages"],
        "cuda": facts["cuda"],
        "built": facts["built"],
    }


def table(facts: Info) -> str:
    """Lay out the facts as aligned text, a line each.

    Example:
        >>> print(table(info()).splitlines()[1])
        stream            version 1
    """
    compiled, supported = ", ".join(facts["isa_compiled"]), ", ".join(facts["isa_supported"])
    rows = {
        "fastinit": facts["fastinit"],
        "stream": f"version {facts['stream']}",
        "torch": f"{facts['torch']} (built with {facts['torch_built']})",
        "python": f"{facts['python']} on {facts['platform']}",
        "compiler": facts["compiler"],
        "instruction sets": f"{compiled} compiled; {supported} supported by this CPU",
        "chosen": facts["isa"],
        "OpenMP team": f"{facts['openmp_team']} of {facts['threads']} threads",
        "huge pages": "asked for" if facts["huge_pages"] else "not asked for",
        "built": facts["built"],
    }
    return "\n".join(f"{name:<18}{value}" for name, value in rows.items())
