"""Builds `fastinit._C`. All that can be said without code is in pyproject.toml.

torch's BuildExtension has one set of flags for an extension; this one needs several: the vector source is compiled
once per instruction set, and the files that include torch want another C++ standard than those that must not. So the
objects come from one ninja file (parallel, incremental, a line per object), and setuptools only links them.

CUDA is built too where torch has it and a toolkit is found; tools/cuda_toolkit.py decides. FORCE_CUDA (1: CUDA or
nothing, 0: no CUDA), TORCH_CUDA_ARCH_LIST, MAX_JOBS, CXX and CXXFLAGS mean what they mean to other builds.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NoReturn

import setuptools
from setuptools import Distribution, Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

sys.path.insert(0, str(Path(__file__).parent / "tools"))  # where pip runs this file, no source folder is on the path
import cuda_toolkit

OLDEST_TORCH = (2, 11)


def refuse(problem: str, mend: str) -> NoReturn:
    """End the build with one sentence that holds the command that mends it."""
    sys.exit(f"torch-fastinit cannot be built: {problem}; mend it with: {mend}")


# An older one stumbles over pyproject's licence. It can compile all the same, which is what a machine without a network
# needs that has no other: `python setup.py build_ext --inplace`.
OLD_SETUPTOOLS = int(setuptools.__version__.split(".")[0]) < 77
if OLD_SETUPTOOLS and "build_ext" not in sys.argv:
    refuse(f"setuptools {setuptools.__version__} is too old", "python -m pip install 'setuptools>=77'")
try:
    import torch

    # Its own guess where CUDA is, which is not used here and is often wrong, comes with a warning.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    from torch.utils.cpp_extension import CppExtension
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    # An isolated build ends here, before pip has fetched anything: a second torch is several GB, and the extension
    # would be built for that one and not for the one that it will run with.
    refuse(
        "this build sees no torch (a build that pip isolates never does, and no second torch is fetched for it)",
        "python -m pip install 'torch>=2.11' 'setuptools>=77' ninja && python -m pip install --no-build-isolation .",
    )
try:
    import ninja
except ModuleNotFoundError:
    refuse("ninja is missing", "python -m pip install ninja")

TORCH = tuple(int(part) for part in torch.__version__.split(".")[:2])
if TORCH < OLDEST_TORCH:
    refuse(f"it needs torch 2.11 or later and found {torch.__version__}", "python -m pip install 'torch>=2.11'")


def instruction_sets(machine: str) -> tuple[str, dict[str, list[str]]]:
    """The macro that names the CPU family, and the flags of each object made from the vector source."""
    if machine in ("x86_64", "amd64"):
        # g++ 12 warns of its own AVX-512 headers.
        v4 = ["-march=x86-64-v4", "-Wno-uninitialized", "-Wno-maybe-uninitialized"]
        return "FASTINIT_HAVE_X86", {"baseline": [], "v3": ["-march=x86-64-v3"], "v4": v4}
    if machine in ("aarch64", "arm64"):
        return "FASTINIT_HAVE_NEON", {"neon": []}
    return "FASTINIT_HAVE_GENERIC", {"baseline": []}


FAMILY, ISAS = instruction_sets(platform.machine().lower())
FLAGS = [
    *shlex.split(os.environ.get("CXXFLAGS", "")),
    *("-O3", "-DNDEBUG", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Icsrc", f"-D{FAMILY}=1"),
    # The same bits from every instruction set: no contraction into fma, nothing reassociated. The other two only drop
    # side effects that nothing here reads (errno, trapped exceptions), without which loops do not vectorise.
    *("-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"),
    # At compile time only: the GOMP symbols are those of the libgomp that torch brings and has loaded. Linking with
    # -fopenmp would add a second runtime beside it. Apple's clang has no OpenMP.
    *(["-fopenmp"] if sys.platform == "linux" else []),
]


def check_compiler(cxx: list[str]) -> None:
    """Refuse a compiler that is missing, too old, or (on Linux) not GNU's, before anything is compiled."""
    mend = "apt-get install g++ (or set CXX=/path/to/g++, version 11 or later)"
    march = [flag for flags in ISAS.values() for flag in flags]
    probe = [*cxx, "-std=c++20", *march, "-dM", "-E", "-x", "c++", os.devnull]
    try:
        done = subprocess.run(probe, capture_output=True, text=True, check=True)
    except OSError:
        refuse(f"the C++ compiler {shlex.join(cxx)!r} does not run", mend)
    except subprocess.CalledProcessError as error:
        refuse(f"{shlex.join(cxx)} refuses a flag that is needed ({error.stderr.strip().splitlines()[0]})", mend)
    if sys.platform == "linux" and "__clang__" in done.stdout:
        refuse(f"{shlex.join(cxx)} is clang, whose OpenMP runtime is not the GNU one that torch brings", mend)


def choose_cuda(cxx: list[str]) -> tuple[cuda_toolkit.Cuda | None, str]:
    """What CUDA is built with, None for a build without it, and the line that says so."""
    found = cuda_toolkit.Torch(
        version=torch.__version__,
        cuda=torch.version.cuda,
        # Not torch.cuda.get_arch_list(), which before 2.14 is empty on a machine without a GPU.
        architectures=torch._C._cuda_getArchFlags() or "" if torch.version.cuda else "",
        packages=Path(torch.__file__).parents[1],
        devices=lambda: [torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())],
    )
    try:
        cuda = cuda_toolkit.choose(found, cxx, os.environ)
        return cuda, f"with {cuda}"
    except cuda_toolkit.UnavailableError as reason:
        if cuda_toolkit.forced(os.environ):
            refuse(f"FORCE_CUDA=1, and {reason}", reason.mend)
        return None, f"without CUDA: {reason}"
    except ValueError as error:
        refuse(str(error), "unset FORCE_CUDA TORCH_CUDA_ARCH_LIST")


def objects_of(torch_flags: list[str], toolkit: cuda_toolkit.Toolkit | None) -> dict[str, tuple[Path, list[str]]]:
    """Every object of the extension: its source, and the flags it has beyond those of its compiler."""
    vector_source = Path("csrc/cpu/kernels.cpp")
    # The vector source first: it takes longest. Its baseline before v3 and v4: of an inline function that several had,
    # the linker would keep the first, which runs everywhere.
    objects = {
        f"kernels_{isa}": (vector_source, ["-std=c++17", *march, f"-DFASTINIT_ISA_NAMESPACE=isa_{isa}"])
        for isa, march in ISAS.items()
    }
    cuda_ops = Path("csrc/ops_cuda.cpp")
    for path in sorted(set(Path("csrc").glob("*.cpp")) - {cuda_ops}):
        objects[path.stem] = (path, [*torch_flags])
    for path in sorted(set(Path("csrc/cpu").glob("*.cpp")) - {vector_source}):
        objects[f"cpu_{path.stem}"] = (path, ["-std=c++17"])
    if toolkit:
        objects["ops_cuda"] = (cuda_ops, [*torch_flags, *toolkit.include_flags])
        for path in sorted(Path("csrc/cuda").glob("*.c*")):
            flags = [] if path.suffix == ".cu" else ["-std=c++17", *toolkit.include_flags]
            objects[f"cuda_{path.stem}"] = (path, flags)
    return objects


class NinjaBuild(build_ext):
    """Compile with ninja, link with setuptools."""

    def build_extension(self, ext: Extension) -> None:
        """Bring every object up to date, then link them."""
        cxx = shlex.split(os.environ.get("CXX", "c++"))
        check_compiler(cxx)
        cuda, built = choose_cuda(cxx)
        print(f"fastinit: {built}", flush=True)
        # The standard that this torch's own extension builds use: from 2.14 on its headers refuse an older one.
        torch_flags = [f"-std=c++{20 if TORCH >= (2, 13) else 17}", "-DTORCH_EXTENSION_NAME=_C"]
        for include in (*ext.include_dirs, sysconfig.get_path("include")):
            torch_flags += ["-isystem", include]
        commands = {".cpp": [*cxx, *FLAGS]}
        facts = {"FASTINIT_BUILT": built}  # kept, because pip shows what a build prints only with -v
        if cuda:
            commands[".cu"] = cuda.toolkit.command(cxx, cuda.architectures)
            facts["FASTINIT_CUDA"] = cuda.fact
        objects = objects_of(torch_flags, cuda.toolkit if cuda else None)
        objects["bindings"][1].extend(f"-D{name}={json.dumps(text)}" for name, text in facts.items())
        # Not setuptools' build_temp, which an editable install throws away; named for what the objects depend on. The
        # rest is in the commands, and ninja compiles again what another command has made.
        folder = Path("build", f"native-{sys.implementation.cache_tag}-torch{torch.__version__}")
        ext.extra_objects += compile_with_ninja(folder, commands, objects)
        ext.depends = list(ext.extra_objects)
        if cuda:
            # torch has loaded all three before the extension is: one CUDA runtime for both.
            ext.extra_objects.append(str(cuda.toolkit.runtime))
            ext.libraries += ["c10_cuda", "torch_cuda"]
        super().build_extension(ext)


def compile_with_ninja(
    folder: Path, commands: dict[str, list[str]], objects: dict[str, tuple[Path, list[str]]]
) -> list[str]:
    """Bring objects up to date, each with the command for its source's suffix and its own flags; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    with (folder / "build.ninja").open("w") as file:
        writer = ninja.Writer(file)  # type: ignore[arg-type] # any text file, whatever its stub says
        writer.variable("builddir", str(folder))
        for suffix, command in commands.items():
            line = ninja.escape(shlex.join(command)) + " $flags -MMD -MF $out.d -c $in -o $out"
            writer.rule(suffix[1:], line, description="compile $out", depfile="$out.d", deps="gcc")
        for name, (source, flags) in objects.items():
            made.append(str(folder / f"{name}.o"))
            quoted = {"flags": ninja.escape(shlex.join(flags))}
            writer.build([made[-1]], source.suffix[1:], [str(source)], variables=quoted)
    # Beside Python or, where that borrows the packages of another environment, above the package.
    places = [ninja.BIN_DIR, str(Path(ninja.__file__).parents[4] / "bin"), *os.get_exec_path()]
    program = shutil.which("ninja", path=os.pathsep.join(filter(None, places)))
    jobs = ["-j", os.environ["MAX_JOBS"]] if "MAX_JOBS" in os.environ else []
    if program is None:
        refuse("ninja's program is missing", "python -m pip install --force-reinstall ninja")
    try:
        subprocess.run([program, "-f", str(folder / "build.ninja"), *jobs], check=True)
    except subprocess.CalledProcessError:
        raise CompileError("a file did not compile: the compiler's message stands above") from None
    return made


class InPlace(Distribution):
    """For an older setuptools, which would refuse pyproject.toml: `build_ext --inplace` needs nothing of it."""

    def parse_config_files(self, *args: object, **kwargs: object) -> None:
        """Read no file."""


extension = CppExtension("fastinit._C", [])  # type: ignore[no-untyped-call]
setup(
    ext_modules=[extension],
    cmdclass={"build_ext": NinjaBuild},
    distclass=InPlace if OLD_SETUPTOOLS else Distribution,
)
