"""What the GPU really executes: instructions a value, read from the compiled code of the extension's kernels.

A rate says how fast a kernel was on one machine in one run; the instructions of its inner loop say why, hold for every
card of an architecture, and can be read without a card.  The tools that disassemble (``cuobjdump`` and ``nvdisasm``)
come with the CUDA toolkit, and with Triton, which every CUDA build of torch brings.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import importlib.util
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_FUNCTION = re.compile(r"^\s*Function : (\S+)")
# An address, a guard such as @!P0 or @UP1, the opcode with its modifiers, the operands.
_INSTRUCTION = re.compile(r"^\s*/\*([0-9a-f]+)\*/\s+(@!?U?P\w+\s+)?([A-Z][\w.]*)([^;]*);")
_ADDRESS = re.compile(r"\s*0x([0-9a-f]+)\s*")
_TARGET = re.compile(r"\b0x([0-9a-f]+)\s*$")
_ELF = re.compile(r"^ELF file\s+\d+: .*\.(sm_\w+)\.cubin$", re.MULTILINE)


class MissingToolError(RuntimeError):
    """``cuobjdump`` and ``nvdisasm`` were found nowhere."""


@dataclass(frozen=True)
class Instruction:
    """One machine instruction: its place in the function, whether a predicate guards it, its opcode and operands."""

    address: int
    guarded: bool
    opcode: str
    operands: str

    @property
    def name(self) -> str:
        """The opcode without its modifiers."""
        return self.opcode.split(".")[0]

    @property
    def stores_16_bytes(self) -> bool:
        """Whether it writes 16 bytes a thread to global memory, under whatever cache policy."""
        return self.name in ("STG", "ST") and self.opcode.endswith(".128")

    @property
    def target(self) -> int | None:
        """The address a branch goes to; None for any other instruction."""
        found = _TARGET.search(self.operands) if self.name == "BRA" else None
        return int(found.group(1), 16) if found else None

    @property
    def goes_on(self) -> bool:
        """Whether the instruction after it can be the next."""
        if self.name == "BRA":  # conditions may also stand among the operands: BRA.U UP0, 0x80
            return self.guarded or _ADDRESS.fullmatch(self.operands) is None
        return self.guarded or self.name not in ("EXIT", "RET")


@dataclass(frozen=True)
class Loop:
    """An innermost loop that writes 16 bytes at a time, as a fill's loop over full tiles does.

    ``kernel`` is its function's name, demangled.  ``instructions`` is how many an iteration executes at most: those on
    the longest way through the loop, of several that a branch leaves open.  ``stores_128`` and ``histogram`` (by opcode
    without modifiers, commonest first) are of that way too.  What it calls, ``CALL`` in the histogram, is not counted.
    """

    kernel: str
    instructions: int
    stores_128: int
    histogram: dict[str, int]

    def per_value(self, item_size: int) -> float:
        """Instructions a value, of a tensor whose elements have so many bytes."""
        return self.instructions * item_size / (16 * self.stores_128)


def loops(binary: Path, arch: str) -> list[Loop]:
    """The filling loops of every kernel in a binary, in the order in which they lie there.

    Args:
        binary: a ``.cubin``, or an object file or shared library that embeds device code.
        arch: the architecture whose code is read, such as ``sm_90``; a binary may hold several.

    Raises:
        MissingToolError: there is no disassembler here.
        ValueError: the binary holds no code for that architecture.
    """
    return [
        loop for name, instructions in functions(binary, arch) for loop in filling_loops(demangle(name), instructions)
    ]


def functions(binary: Path, arch: str) -> Iterator[tuple[str, list[Instruction]]]:
    """Every function of a binary, by its mangled name; arguments and errors as for `loops`."""
    if arch not in architectures(binary):
        raise ValueError(f"{binary.name} has code for {architectures(binary) or 'no GPU'}, not for {arch}")
    return parse(_cuobjdump("-sass", "-arch", arch, str(binary)).splitlines())


def architectures(binary: Path) -> list[str]:
    """The architectures a binary holds machine code for, such as ``["sm_80", "sm_90"]``."""
    return sorted(set(_ELF.findall(_cuobjdump("-lelf", str(binary)))))


def runs_on(arches: Sequence[str], capability: tuple[int, int]) -> str | None:
    """Which architecture's code a card of that compute capability runs; None where none fits.

    Code runs on its own major version, from its minor version up; that of an ``a`` architecture on the very same only.

    >>> runs_on(["sm_80", "sm_86", "sm_90a"], (8, 9)), runs_on(["sm_80", "sm_90a"], (9, 0)), runs_on(["sm_90"], (8, 0))
    ('sm_86', 'sm_90a', None)
    """
    fitting: list[tuple[int, bool, str]] = []
    for arch in arches:
        found = re.fullmatch(r"sm_(\d+)(\d)([af]?)", arch)
        if found is None or int(found.group(1)) != capability[0]:
            continue
        minor, special = int(found.group(2)), found.group(3) == "a"
        if minor == capability[1] or (minor < capability[1] and not special):
            fitting.append((minor, special, arch))
    return max(fitting)[2] if fitting else None


def parse(lines: Iterable[str]) -> Iterator[tuple[str, list[Instruction]]]:
    """The functions in a listing of ``cuobjdump -sass``: their mangled names and their instructions."""
    name, instructions = "", list[Instruction]()
    for line in lines:
        if heading := _FUNCTION.match(line):
            if name:
                yield name, instructions
            name, instructions = heading.group(1), []
        elif found := _INSTRUCTION.match(line):
            address, guard, opcode, operands = found.groups()
            instructions.append(Instruction(int(address, 16), guard is not None, opcode, operands))
    if name:
        yield name, instructions


def filling_loops(kernel: str, instructions: Sequence[Instruction]) -> list[Loop]:
    """The loops with a 16-byte store that hold no smaller such loop, each the span of a branch backwards."""
    place = {instruction.address: at for at, instruction in enumerate(instructions)}
    # Several branches may go back to one place (a `continue`): the last of them closes the loop.
    ends: dict[int, int] = {}
    for at, instruction in enumerate(instructions):
        target = instruction.target
        if target is not None and target <= instruction.address and target in place:
            ends[place[target]] = at
    spans = {
        (start, end)
        for start, end in ends.items()
        if any(instruction.stores_16_bytes for instruction in instructions[start : end + 1])
    }
    innermost = [
        span
        for span in spans
        if not any(other != span and span[0] <= other[0] and other[1] <= span[1] for other in spans)
    ]
    ways = (_longest_way(instructions[start : end + 1]) for start, end in sorted(innermost))
    return [_loop(kernel, way) for way in ways if any(instruction.stores_16_bytes for instruction in way)]


def _longest_way(body: Sequence[Instruction]) -> list[Instruction]:
    """The longest sequence of instructions from the first to the last that goes only forwards."""
    place = {instruction.address: at for at, instruction in enumerate(body)}
    last = len(body) - 1
    length, following = [0] * last + [1], list(range(1, len(body) + 1))
    for at in range(last - 1, -1, -1):
        successors = [at + 1] if body[at].goes_on else []
        target = body[at].target
        if target is not None and place.get(target, -1) > at:
            successors.append(place[target])
        following[at] = max(successors, key=length.__getitem__, default=last)
        # 0 where no way leads to the end of the loop: it leaves the function, or the loop, from there.
        length[at] = length[following[at]] + 1 if successors and length[following[at]] else 0
    way = [0]
    while way[-1] != last:
        way.append(following[way[-1]])
    return [body[at] for at in way]


def _loop(kernel: str, way: Sequence[Instruction]) -> Loop:
    histogram = Counter(instruction.name for instruction in way)
    stores = sum(instruction.stores_16_bytes for instruction in way)
    return Loop(kernel, len(way), stores, dict(histogram.most_common()))


def demangle(name: str) -> str:
    """A C++ name as it was written; any other as it is.

    >>> demangle("_ZN8fastinit4cuda4fillIfEEvPT_l")
    'void fastinit::cuda::fill<float>(float*, long)'
    """
    runtime = _cxx_runtime()
    if runtime is None:
        return name
    status = ctypes.c_int()
    text = runtime.__cxa_demangle(name.encode(), None, None, ctypes.byref(status))
    if not text:
        return name
    try:
        return ctypes.string_at(text).decode()
    finally:
        ctypes.CDLL(None).free(ctypes.c_void_p(text))


@functools.cache
def _cxx_runtime() -> ctypes.CDLL | None:
    found = ctypes.util.find_library("stdc++") or ctypes.util.find_library("c++abi")
    if found is None:
        return None
    runtime = ctypes.CDLL(found)
    runtime.__cxa_demangle.restype = ctypes.c_void_p  # not c_char_p, which would lose the pointer that must be freed
    return runtime


def _cuobjdump(*arguments: str) -> str:
    folder = tools()
    environment = {**os.environ, "NVDISASM_PATH": str(folder), "PATH": os.pathsep.join((str(folder), os.defpath))}
    done = subprocess.run(
        [str(folder / "cuobjdump"), *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0 and "does not contain device code" not in done.stdout + done.stderr:
        raise RuntimeError(f"cuobjdump failed ({done.returncode}): {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


@functools.cache
def tools() -> Path:
    """The first folder that has both ``cuobjdump`` and ``nvdisasm``, which the former calls."""
    for folder in _folders():
        if all(shutil.which(tool, path=str(folder)) for tool in ("cuobjdump", "nvdisasm")):
            return folder
    raise MissingToolError(
        "cuobjdump and nvdisasm were not found on PATH, in CUDA_HOME/bin, or in the triton or nvidia packages"
    )


def _folders() -> Iterator[Path]:
    yield from map(Path, filter(None, os.get_exec_path()))
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if variable in os.environ:
            yield Path(os.environ[variable], "bin")
    for package, below in (("triton", ("backends", "nvidia", "bin")), ("nvidia", ("cu13", "bin"))):
        found = importlib.util.find_spec(package)
        for root in (found.submodule_search_locations or ()) if found else ():
            yield Path(root, *below)
