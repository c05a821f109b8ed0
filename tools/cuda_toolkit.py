"""Whether the extension is built with CUDA: by which toolkit, for which GPUs, and why. setup.py acts on it.

What decides is torch and the toolkit, not the GPU: most builds for a GPU run where there is none. Neither torch nor
setuptools is imported here, so that tests can ask about any machine.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cuda_architectures import OLDEST, Architecture, of_torch, parse

FLAGS = [
    *("-std=c++17", "-O3", "-DNDEBUG", "-Icsrc"),
    # The bits of the CPU's kernels: an fma is where one is written, division and square root round correctly, subnormal
    # numbers stay. (The last three are what nvcc does by itself; values stand on them, so they are said.)
    *("--fmad=false", "-prec-div=true", "-prec-sqrt=true", "-ftz=false"),
    # The constexpr functions of csrc/stream, which knows no CUDA, run on the device too.
    "--expt-relaxed-constexpr",
    # As the other objects are. `#pragma unroll` is for nvcc, and unknown to the host compiler.
    *("-Xcompiler", "-fPIC,-fvisibility=hidden,-ffp-contract=off,-Wall,-Wextra,-Wno-unknown-pragmas"),
]


class UnavailableError(Exception):
    """CUDA cannot be built, though the rest can: what is wrong, and what mends it."""

    def __init__(self, problem: str, mend: str) -> None:
        super().__init__(problem)
        self.mend = mend


@dataclass(frozen=True)
class Torch:
    """The torch that the extension is built for, as far as it matters here."""

    version: str
    cuda: str | None  # torch.version.cuda
    architectures: str  # what it was built for itself: sm_80 sm_90 compute_90
    packages: Path  # the folder it is installed in
    devices: Callable[[], Collection[tuple[int, int]]]  # the compute capabilities of the GPUs here


@dataclass(frozen=True)
class Toolkit:
    """A CUDA toolkit on this machine: the headers and the runtime's library as much as nvcc."""

    root: Path
    release: tuple[int, int]
    include: Path
    runtime: Path

    @property
    def version(self) -> str:
        """As torch.version.cuda has it."""
        return "{}.{}".format(*self.release)

    @property
    def nvcc(self) -> str:
        """The compiler."""
        return str(self.root / "bin" / "nvcc")

    @property
    def include_flags(self) -> list[str]:
        """For the host compiler. It looks into /usr/include by itself, and loses its own headers if it is told to."""
        return [] if self.include == Path("/usr/include") else ["-isystem", str(self.include)]

    def command(self, cxx: Sequence[str], architectures: Iterable[Architecture]) -> list[str]:
        """How nvcc compiles the kernels, with ``cxx`` for the host's part."""
        host = [word for word in cxx if not word.startswith("-")][-1]  # of "ccache g++ -m64" nvcc takes "g++"
        pack = ["--compress-mode=size"] if self.release >= (12, 8) else []  # a sixth of the size
        return [self.nvcc, "-ccbin", host, *FLAGS, *pack, *(flag for each in architectures for flag in each.flags)]

    def known(self) -> set[int]:
        """The architectures that nvcc compiles for, from Turing on."""
        listed = subprocess.run([self.nvcc, "--list-gpu-arch"], capture_output=True, text=True, check=True).stdout
        return {number for number in map(int, re.findall(r"compute_(\d+)", listed)) if number >= OLDEST}


@dataclass(frozen=True)
class Cuda:
    """What the extension is built with."""

    toolkit: Toolkit
    architectures: list[Architecture]
    chosen_by: str

    def __str__(self) -> str:
        """The line that a build prints."""
        codes = " ".join(map(str, self.architectures))
        return f"CUDA {self.toolkit.version} from {self.toolkit.root} for {codes} ({self.chosen_by})"

    @property
    def fact(self) -> str:
        """What ``fastinit.info()`` tells: ``13.0 for sm_80, sm_90, PTX 9.0``."""
        machine_code = [each.codes[0] for each in self.architectures]
        ptx = [f"PTX {str(each).removesuffix('+PTX')}" for each in self.architectures if each.ptx]
        return f"{self.toolkit.version} for {', '.join(machine_code + ptx)}"


def forced(environment: Mapping[str, str]) -> bool | None:
    """What FORCE_CUDA says: CUDA or nothing (1), no CUDA (0), or CUDA where it can be (not set)."""
    given = environment.get("FORCE_CUDA", "")
    if given not in ("", "0", "1"):
        raise ValueError(f"FORCE_CUDA is 1, 0 or not set, but not {given!r}")
    return bool(int(given)) if given else None


def choose(torch: Torch, cxx: Sequence[str], environment: Mapping[str, str]) -> Cuda:
    """Find a toolkit that fits torch and works, and the architectures to compile for.

    Raises:
        UnavailableError: there is none. Unless FORCE_CUDA=1, that is a reason to build for the CPU alone.
        ValueError: an environment variable holds what it cannot.
    """
    if forced(environment) is False:
        raise UnavailableError("FORCE_CUDA=0", "unset FORCE_CUDA")
    if torch.cuda is None:
        mend = "installing a build of torch with CUDA (pytorch.org/get-started has the command)"
        raise UnavailableError(f"torch {torch.version} has none", mend)
    toolkit = find(torch.cuda, candidates(environment, torch.packages))
    known = toolkit.known()
    text = environment.get("TORCH_CUDA_ARCH_LIST", "").strip("; \t\n")
    wanted = parse(text, torch.devices) if text else of_torch(torch.architectures, known)
    kept = [architecture for architecture in wanted if architecture.number in known]
    chosen_by = f"TORCH_CUDA_ARCH_LIST={text}" if text else "those of torch"
    if len(kept) < len(wanted):
        chosen_by += f", of which nvcc {toolkit.version} or fastinit knows no other"
    if not kept:
        mend = f"export TORCH_CUDA_ARCH_LIST='{' '.join(str(Architecture(number)) for number in sorted(known))}'"
        raise UnavailableError(f"there is no architecture to compile for ({chosen_by})", mend)
    try_out(toolkit, cxx, kept)
    return Cuda(toolkit, kept, chosen_by)


def candidates(environment: Mapping[str, str], packages: Path) -> Iterator[Path]:
    """Where a toolkit may be, the likeliest first; ``packages`` is the folder that torch is installed in."""
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if environment.get(variable):
            yield Path(environment[variable])
    for folder in os.get_exec_path(dict(environment)):
        if (compiler := Path(folder, "nvcc")).exists():
            yield compiler.resolve().parents[1]
    yield Path("/usr/local/cuda")
    yield from sorted((packages / "nvidia").glob("cu*"))  # pip's


def look_at(root: Path) -> Toolkit | None:
    """The toolkit in this folder, if it is one.

    Its headers tell, not its nvcc: /usr/local/bin/nvcc is often a script that calls another, and /usr/local no toolkit.
    """
    machine = platform.machine()
    target = root / "targets" / ("sbsa-linux" if machine == "aarch64" else f"{machine}-linux")  # all that conda has
    include = next((at for at in (root / "include", target / "include") if (at / "cuda_runtime.h").is_file()), None)
    if include is None:
        return None
    try:
        printed = subprocess.run(
            [root / "bin" / "nvcc", "--version"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    release = re.search(r"release (\d+)\.(\d+)", printed)
    if release is None:
        return None
    libraries = [root / "lib64", target / "lib", root / "lib", root / "lib" / f"{machine}-linux-gnu"]
    names = ["libcudart.so", f"libcudart.so.{release[1]}"]  # pip has only the second
    runtime = next((at / name for at in libraries for name in names if (at / name).is_file()), None)
    return Toolkit(root, (int(release[1]), int(release[2])), include, runtime) if runtime else None


def find(cuda: str, roots: Iterable[Path]) -> Toolkit:
    """The first toolkit of the major version that torch has: within one, CUDA is compatible in both directions."""
    major, minor = map(int, cuda.split(".")[:2])
    others = []
    for toolkit in filter(None, map(look_at, roots)):
        if toolkit.release[0] == major:
            return toolkit
        others.append(f"CUDA {toolkit.version} in {toolkit.root}")
    seen = f"there is only {', '.join(dict.fromkeys(others))}" if others else "there is none"
    mend = f"export CUDA_HOME=/path/to/cuda-{major}"
    if (
        major >= 13
    ):  # before, pip's has no nvcc. Of three packages: left alone, the other two would be of a later release.
        packages = ("nvidia-cuda-nvcc", "nvidia-nvvm", "nvidia-cuda-crt")
        mend = "python -m pip install " + " ".join(f"'{package}=={major}.{minor}.*'" for package in packages)
    raise UnavailableError(f"torch has CUDA {cuda}, which needs a toolkit of CUDA {major}, and {seen}", mend)


def try_out(toolkit: Toolkit, cxx: Sequence[str], architectures: Sequence[Architecture]) -> None:
    """Compile an empty kernel: a host compiler too new for nvcc, or parts of different releases, show only then."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "empty.cu")
        source.write_text("__global__ void empty() {}\n")
        command = [*toolkit.command(cxx, architectures[-1:]), "-c", str(source), "-o", str(source.with_suffix(".o"))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr + done.stdout).strip().splitlines() or [f"status {done.returncode}"]
        told = next((line for line in said if re.search(r"error|fatal", line)), said[0])
        mend = f"export CXX=/path/to/older/g++ CUDA_HOME=/path/to/cuda-{toolkit.version} (whichever it is)"
        raise UnavailableError(f"the toolkit in {toolkit.root} does not compile ({told})", mend)
