"""Names the machine and the versions behind a set of figures, and nothing that names its owner (no host, no path)."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

import numpy as np
import torch

from fastinit.info import info

Facts = dict[str, str | int | float | bool | None]


def describe() -> Facts:
    """The facts a reader needs before comparing two files of results."""
    built = info()
    return {
        "cpu": _cpu(),
        "architecture": platform.machine(),
        "cores": _cores(),
        "load_before": round(os.getloadavg()[0], 2),  # of other processes, where this is the first measurement
        "last_level_cache": _read("/sys/devices/system/cpu/cpu0/cache/index3/size"),
        "system": platform.system(),
        "kernel": _number(platform.release()),
        "huge_pages": _chosen(_read("/sys/kernel/mm/transparent_hugepage/enabled")),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "fastinit": built["fastinit"],
        "stream_version": built["stream"],
        "isa": built["isa"],
        "compiler": built["compiler"],
    }


def describe_gpu() -> Facts:
    """The same of the current CUDA device, with its driver and its clocks as found where ``nvidia-smi`` tells them."""
    device = torch.cuda.get_device_properties(torch.cuda.current_device())
    return {
        "gpu": device.name,
        "compute_capability": f"{device.major}.{device.minor}",
        "multiprocessors": device.multi_processor_count,
        "gpu_memory_gib": round(device.total_memory / 2**30, 1),
        "l2_cache_mib": round(device.L2_cache_size / 2**20, 1),
        "cuda": torch.version.cuda,
        "cuda_backend": info()["cuda"],
        **_nvidia_smi(str(device.uuid)),
    }


# Fields of nvidia-smi's query, and what they are called here.
_SMI = {
    "driver_version": "driver",
    "clocks.sm": "sm_clock_mhz",
    "clocks.max.sm": "sm_clock_max_mhz",
    "clocks.mem": "memory_clock_mhz",
    "power.limit": "power_limit_w",
    "temperature.gpu": "temperature_c",
}


def _nvidia_smi(uuid: str) -> Facts:
    command = ["nvidia-smi", f"--id=GPU-{uuid}", f"--query-gpu={','.join(_SMI)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return {}
    return smi_facts(done.stdout)


def smi_facts(line: str) -> Facts:
    """What a line of nvidia-smi's query says; a field that it does not know is left out.

    >>> smi_facts("580.65, 345, 1980, 3201, 700.00, [N/A]")["driver"]
    '580.65'
    """
    fields = zip(_SMI.values(), (field.strip() for field in line.split(",")), strict=False)
    return {name: field for name, field in fields if field and not field.startswith("[")}


def headline(facts: Facts) -> str:
    """One line of the above for the head of a table or a picture."""
    if "gpu" in facts:
        return f"{facts['gpu']}, {facts['multiprocessors']} SMs, CUDA {facts['cuda']}, torch {facts['torch']}"
    return f"{facts['cpu']}, {facts['cores']} cores, {facts['isa']}, torch {facts['torch']}"


def _cores() -> int:
    """Cores this process may use, which in a container is fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu() -> str:
    """The processor's marketing name, with family and model where a hypervisor has shortened it."""
    fields: dict[str, str] = {}
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    if "model name" not in fields:
        return platform.processor() or platform.machine()
    return f"{fields['model name']} (family {fields.get('cpu family', '?')}, model {fields.get('model', '?')})"


def _number(release: str) -> str:
    """The kernel's version without what a distributor or a cloud adds to it."""
    match = re.match(r"[0-9.]+", release)
    return match.group().rstrip(".") if match else release


def _chosen(setting: str | None) -> str | None:
    """``always [madvise] never`` -> ``madvise``."""
    match = re.search(r"\[(\w+)\]", setting or "")
    return match.group(1) if match else None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None
