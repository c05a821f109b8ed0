"""The kernels without torch: the same bits from all of them, whoever compiles them, and clean under the sanitizers.

tests/native holds a program that fills memory in some thousand ways and hashes it, the bytes around it included. It is
linked with the very objects of the extension, and built again by other means: with sanitizers, for no instruction set
in particular, by clang, for another processor; and with CUDA's kernels in place of the CPU's, which
tests/native/cuda_on_cpu runs here, thread by thread. All stays under build/: a second run compiles only what changed.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import ninja
import pytest
import torch

ROOT = Path(__file__).parents[1]
FOLDER = Path("build", "native-tests")
EXTENSION = Path("build", f"native-{sys.implementation.cache_tag}-torch{torch.__version__}")  # as setup.py names it

PROGRAM = [Path("tests", "native", name) for name in ("main.cpp", "cases.cpp", "orthogonal.cpp", "reading.cpp")]
CPU = Path("tests", "native", "engine_cpu.cpp")
CUDA = [
    Path("tests", "native", "engine_cuda.cpp"),
    Path("csrc", "cuda", "fill.cpp"),
    *sorted(Path("csrc/cuda").glob("*.cu")),
]
LANES = Path("tests", "native", "lanes.cpp")
ROOTS = Path("tests", "native", "roots.cpp")
KERNELS = Path("csrc", "cpu", "kernels.cpp")
REST = [Path("csrc", "cpu", name) for name in ("dispatch.cpp", "pattern.cpp", "sparse.cpp")]

# What setup.py compiles the kernels with, as far as values depend on it.
FLAGS = ["-std=c++17", "-w", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
# The kernels want every function inlined; where their speed does not count, let the compiler be fast.
QUICK = ["-O1", "-Dalways_inline=unused"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
CXX = shlex.split(os.environ.get("CXX", "c++"))
ARM = "aarch64-linux-gnu"


@dataclass(frozen=True)
class Family:
    """A family of processors: its macro, and the flags of its instruction sets."""

    macro: str
    isas: dict[str, list[str]]


X86 = Family("FASTINIT_HAVE_X86", {"baseline": [], "v3": ["-march=x86-64-v3"], "v4": ["-march=x86-64-v4"]})
NEON = Family("FASTINIT_HAVE_NEON", {"neon": []})
GENERIC = Family("FASTINIT_HAVE_GENERIC", {"baseline": []})
HOST = {"x86_64": X86, "amd64": X86, "aarch64": NEON, "arm64": NEON}.get(platform.machine().lower(), GENERIC)


@dataclass(frozen=True)
class Build:
    """One way to build the program, and what runs it."""

    compiler: list[str]
    flags: list[str]
    family: Family = HOST
    linker: list[str] = field(default_factory=list)  # where it is not the compiler
    runner: list[str] = field(default_factory=list)

    def missing(self) -> list[str]:
        """The tools that this machine lacks."""
        tools = [command[0] for command in (self.compiler, self.linker, self.runner) if command]
        return [tool for tool in tools if shutil.which(tool) is None]


OWN = Build(CXX, ["-O2"])  # linked with the kernels of the extension
OTHERS = {
    "sanitizers": Build(CXX, [*QUICK, "-fno-inline", "-g1", *SANITIZE], linker=[*CXX, *SANITIZE]),
    # Without the compiler's word for the vector unit, the source is that of a machine that has none we know.
    "generic": Build(CXX, [*QUICK, "-U__SSE2__", "-U__ARM_NEON"], GENERIC),
    "clang": Build(["clang++"], QUICK),
    "aarch64": Build([f"{ARM}-g++"], QUICK, NEON, [f"{ARM}-g++", "-static"], ["qemu-aarch64"]),
    # As near to a Mac as Linux comes.
    "aarch64-clang": Build(["clang++", f"--target={ARM}"], QUICK, NEON, [f"{ARM}-g++", "-static"], ["qemu-aarch64"]),
}
PORTS = [name for name in OTHERS if name != "sanitizers"]
# The real .cu files, as C++ over a runtime that is the CPU's. No instruction set is in question.
EMULATE = ["-I", str(Path("tests", "native", "cuda_on_cpu"))]
EMULATED = {
    "cuda": Build(CXX, [*QUICK, *EMULATE], GENERIC),
    "cuda-sanitizers": Build(CXX, [*QUICK, *EMULATE, "-fno-inline", "-g1", *SANITIZE], GENERIC, [*CXX, *SANITIZE]),
}


def describe(writer: ninja.Writer) -> None:
    """Write the rules that make every program."""
    writer.variable("builddir", str(FOLDER))
    writer.rule("cxx", "$tool -MMD -MF $out.d -c $in -o $out", depfile="$out.d", deps="gcc")
    writer.rule("link", "$tool $in -o $out")

    def make(rule: str, out: Path, inputs: list[Path], command: list[str]) -> Path:
        quoted = {"tool": ninja.escape(shlex.join(command))}
        writer.build([str(out)], rule, [str(path) for path in inputs], variables=quoted)
        return out

    def program(name: str, build: Build, sources: list[Path], per_isa: list[Path], objects: list[Path]) -> None:
        command = [*build.compiler, *FLAGS, *build.flags, f"-D{build.family.macro}=1"]
        for source in sources:
            objects.append(make("cxx", FOLDER / name / f"{source.name}.o", [source], [*command, "-x", "c++"]))
        for source in per_isa:
            for isa, march in build.family.isas.items():
                own = [*command, *march, f"-DFASTINIT_ISA_NAMESPACE=isa_{isa}"]
                objects.append(make("cxx", FOLDER / name / f"{source.stem}_{isa}.o", [source], own))
        make("link", executable(name), objects, build.linker or build.compiler)

    program("extension", OWN, [*PROGRAM, CPU], [LANES], shipped())
    for name, build in OTHERS.items():
        program(name, build, [*PROGRAM, CPU, *REST], [KERNELS, LANES], [])
    for name, build in EMULATED.items():
        program(name, build, [*PROGRAM, *CUDA], [], [])
    roots = make("cxx", FOLDER / "roots.o", [ROOTS], [*CXX, *FLAGS, "-O2"])
    make("link", executable("roots"), [roots], CXX)


def executable(name: str) -> Path:
    """The program of one build."""
    return FOLDER / name / "program"


def shipped() -> list[Path]:
    """The objects of the extension that know no torch."""
    stems = [*(f"kernels_{isa}" for isa in HOST.isas), *(f"cpu_{source.stem}" for source in REST)]
    return [EXTENSION / f"{stem}.o" for stem in stems]


def run_ninja(file: Path, *arguments: str | Path) -> None:
    """Bring targets up to date, by the ninja that builds the extension."""
    places = [ninja.BIN_DIR, str(Path(ninja.__file__).parents[4] / "bin"), *os.get_exec_path()]
    program = shutil.which("ninja", path=os.pathsep.join(filter(None, places)))
    assert program is not None
    jobs = os.environ.get("MAX_JOBS", str(os.cpu_count()))
    command = [program, "-f", file, "-j", jobs, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.fixture(scope="session")
def programs() -> None:
    """Every program that this machine can build, up to date."""
    assert (ROOT / EXTENSION).is_dir(), "build the extension first: python -m pip install --no-build-isolation -e ."
    (ROOT / FOLDER).mkdir(parents=True, exist_ok=True)
    rules = FOLDER / "build.ninja"
    wanted = ["extension", "roots", *EMULATED, *(name for name, build in OTHERS.items() if not build.missing())]
    with (ROOT / FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs of the tests do not build into each other
        with (ROOT / rules).open("w") as file:
            describe(ninja.Writer(file))  # type: ignore[arg-type] # any text file, whatever its stub says
        run_ninja(EXTENSION / "build.ninja", *shipped())
        run_ninja(rules, *(executable(name) for name in wanted))


def run(name: str, *arguments: str) -> str:
    """What a program prints, after a clean exit."""
    runner = OTHERS[name].runner if name in OTHERS else []
    # Leaks are not in question (the kernels allocate nothing), and looking for them needs a right to trace.
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    command = [*runner, str(ROOT / executable(name)), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    # ASan says of itself that it may see what is not there where contexts are switched by hand; it has not so far.
    assert [line for line in done.stderr.splitlines() if "makecontext/swapcontext" not in line] == []
    return done.stdout


def hashes(name: str, isa: str) -> dict[str, str]:
    """The hash of the memory after each case."""
    lines = (line.split("  ", 1) for line in run(name, "hashes", isa).splitlines())
    return {case: value for value, case in lines}


@pytest.fixture(scope="session")
def expected(programs: None) -> dict[str, str]:
    """The hashes of the least instruction set, which test_kernels_equal_the_scalar_reference holds to the reference."""
    found = hashes("extension", next(iter(HOST.isas)))
    assert len(found) > 1000
    return found


@pytest.mark.parametrize("isa", HOST.isas)
def test_kernels_equal_the_scalar_reference(programs: None, isa: str) -> None:
    if isa not in run("extension", "engines").split():
        pytest.skip(f"this processor cannot run {isa}")
    run("extension", "check", isa)


def test_every_instruction_set_gives_the_same_bits(expected: dict[str, str]) -> None:
    for isa in run("extension", "engines").split():
        assert hashes("extension", isa) == expected, isa


def test_kernels_are_clean_under_the_sanitizers(expected: dict[str, str]) -> None:
    for isa in run("sanitizers", "engines").split():
        assert hashes("sanitizers", isa) == expected, isa


@pytest.mark.parametrize("name", PORTS)
def test_other_compilers_and_processors_give_the_same_bits(expected: dict[str, str], name: str) -> None:
    if missing := OTHERS[name].missing():
        pytest.skip(f"not installed: {', '.join(missing)}")
    for isa in run(name, "engines").split():
        assert hashes(name, isa) == expected, isa


@pytest.mark.parametrize("engine", ["one", "many"])
def test_cuda_kernels_give_the_same_bits_as_the_cpu(expected: dict[str, str], engine: str) -> None:
    found = hashes("cuda", engine)
    assert found == {case: value for case, value in expected.items() if case in found}
    # The rest are readings, which CUDA has no kernel for, and matrices that do not fit into a block's shared memory.
    rest = [case for case in expected if case not in found and not case.startswith("reading")]
    sizes = {case.rsplit(" of ", 1)[1] for case in rest}
    assert sizes == {"64 x 64", "65 x 65", "128 x 70", "70 x 128"}
    assert any(case.startswith("orthogonal; complex float32") and case.endswith("64 x 64") for case in found)


def test_cuda_kernels_with_a_generator_in_memory_equal_the_scalar_reference(programs: None) -> None:
    # Keys that only a graph's replay knows; the values are other ones than above.
    run("cuda", "check", "captured")


def test_cuda_kernels_are_clean_under_the_sanitizers(programs: None) -> None:
    run("cuda-sanitizers", "check", "one")


def test_a_root_from_a_seed_is_the_rounded_root_for_all_seeds_but_two(programs: None) -> None:
    # The two are within the bound stated for rsqrt.approx, but not what the device gives: tests/test_cuda_code.py finds
    # the compiler's own square root to be the same operations, and tests/gpu tries every x.
    *exceptions, count = run("roots").splitlines()
    assert exceptions == ["0x1.f82294p+0 0x1.6cda12p-1", "0x1.dd26e4p+1 0x1.092fp-1"]
    assert int(count.removeprefix("2 of ")) > 2**25
