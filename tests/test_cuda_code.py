"""What the compiler made of the CUDA kernels: their arithmetic is the stream's, and there is no more of it than before.

No GPU is needed to read compiled code. Where nvcc or the disassembler is missing, the tests that need it are skipped.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import cuda_toolkit
from cuda_compiler import toolkit
from fastinit.bench import sass

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "csrc" / "cuda").glob("*.cu"))
ARCHITECTURES = ("sm_80", "sm_90")


def nvcc(output: Path, source: Path, *flags: str) -> Path:
    """Compile one file as a build does, to whatever `flags` ask for."""
    compiler = toolkit().nvcc
    output.parent.mkdir(parents=True, exist_ok=True)
    command = [compiler, *cuda_toolkit.FLAGS, "-Werror", "all-warnings", *flags, "-o", str(output), str(source)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="session")
def tools() -> None:
    """The disassembler."""
    try:
        sass.tools()
    except sass.MissingToolError as error:
        pytest.skip(str(error))


def has_both(binary: Path) -> bool:
    """Whether a binary has code for both architectures."""
    return set(ARCHITECTURES) <= set(sass.architectures(binary))


@pytest.fixture(scope="session")
def code(tools: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Machine code for both, by source: the extension's own objects, where it was built with CUDA and for these."""
    built = f"build/native-{sys.implementation.cache_tag}-torch{torch.__version__}*/cuda_"
    objects = [path for source in SOURCES for path in ROOT.glob(f"{built}{source.stem}.o") if has_both(path)]
    if len(objects) != len(SOURCES):
        folder = tmp_path_factory.mktemp("code")
        generate = [f"-gencode=arch=compute_{arch[3:]},code={arch}" for arch in ARCHITECTURES]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(lambda s: nvcc(folder / f"{s.stem}.o", s, "-c", *generate), SOURCES))
    return {source.stem: path for source, path in zip(SOURCES, objects, strict=True)}


def test_every_source_compiles_for_both_architectures(code: dict[str, Path]) -> None:
    assert set(code) > {"normal", "repeat", "sparse"}
    assert all(has_both(binary) for binary in code.values())


# Arithmetic

# In PTX an operation without its rounding may be contracted; `div.full`, `.approx` and `.ftz` are less than IEEE.
LOOSE = re.compile(r"\b(?:add|sub|mul|mad)\.(?:ftz\.)?f(?:32|64)\b|\bdiv\.full\b|\.approx\b|\.ftz\b")
SEED = "rsqrt.approx.ftz.f32"  # of the square root (csrc/cuda/lane.h)


def loose_operations(ptx: Path) -> set[str]:
    """The instructions of a PTX file that are no single IEEE operation."""
    words = (line.split()[0] for line in ptx.read_text().splitlines() if LOOSE.search(line))
    return set(words)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_every_float_operation_is_a_single_rounded_one(source: Path, tmp_path: Path) -> None:
    found = loose_operations(nvcc(tmp_path / "kernels.ptx", source, "-ptx", "-arch=compute_80"))
    assert found <= {SEED}
    assert (SEED in found) == (source.stem in ("normal", "full"))


def test_contraction_would_be_found(tmp_path: Path) -> None:
    ptx = nvcc(
        tmp_path / "kernels.ptx", ROOT / "csrc" / "cuda" / "uniform.cu", "-ptx", "-arch=compute_80", "--fmad=true"
    )
    assert loose_operations(ptx)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_compiled_code_approximates_nothing_and_keeps_to_registers(code: dict[str, Path], arch: str) -> None:
    # MUFU is the unit of approximations: seeds of roots and of divisions, which are refined to the rounded result.
    seeds = {"MUFU.RSQ", "MUFU.RCP", "MUFU.RCP64H", "MUFU.RSQ64H"}
    for binary in code.values():
        names = set()
        for name, instructions in sass.functions(binary, arch):
            names.add(name)
            opcodes = {instruction.opcode for instruction in instructions}
            assert {opcode for opcode in opcodes if opcode.startswith("MUFU")} <= seeds, name
            # Local memory: spilled registers, arrays that are indexed at run time, copies of parameters.
            assert not {opcode.split(".")[0] for opcode in opcodes} & {"LDL", "STL"}, name
        assert names, binary


# Instructions a value in the loop over whole tiles, on the longest way through it: a little above what they were when
# this was written (DEVNOTES.md has the table), so that a change for the worse shows. The longest way of "full" takes in
# its far tail.
BUDGET = [
    ("uniform", "OutF32", 4, 17.0),
    ("uniform", "OutBF16", 2, 17.0),
    ("normal", "OutF32", 4, 36.0),
    ("normal", "OutBF16", 2, 36.0),
    ("central", "OutF32", 4, 44.0),
    ("narrow", "OutF32", 4, 25.0),
    ("tail", "OutF32", 4, 46.0),
    ("full", "OutF32", 4, 75.0),
]


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize(("source", "output", "item", "most"), BUDGET)
def test_a_value_takes_no_more_instructions_than_budgeted(
    code: dict[str, Path], arch: str, source: str, output: str, item: int, most: float
) -> None:
    loops = [loop for loop in sass.loops(code[source], arch) if "flat_one" in loop.kernel and output in loop.kernel]
    assert loops
    assert max(loop.per_value(item) for loop in loops) <= most


# The square root


def expression(instructions: Sequence[sass.Instruction]) -> str:
    """What a straight piece of code computes last, over the seed `y` that it starts from and what it loaded, `x`."""
    values: dict[str, str] = {}

    def value(operand: str) -> str:
        negative, name = operand.startswith("-"), operand.lstrip("-").removesuffix(".reuse")
        term = values.get(name, "x" if name.startswith("R") else name)
        return f"-{term}" if negative else term

    result = ""
    for at, instruction in enumerate(instructions):
        operands = [operand.strip() for operand in instruction.operands.split(",")]
        target, arguments = operands[0], [value(operand) for operand in operands[1:]]
        if at == 0:
            values[target] = "y"
            continue
        factors = sorted(arguments[:2], key=lambda term: (term.lstrip("-"), term))
        result = f"{instruction.name}({', '.join([*factors, *arguments[2:]])})"
        values[target] = result
    return result


ROOT_KERNEL = """
#include "cuda/lane.h"
__global__ void kernel(float* x) {{ *x = {root}; }}
"""


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"])
def test_the_square_root_is_the_compilers_own_within_its_fast_range(tools: None, arch: str, tmp_path: Path) -> None:
    terms = set()
    for name, root in (("ours", "fastinit::cuda::LaneF32::sqrt(*x)"), ("compiler", "sqrtf(*x)")):
        source = tmp_path / f"{name}.cu"
        source.write_text(ROOT_KERNEL.format(root=root))
        cubin = nvcc(tmp_path / f"{name}.cubin", source, "-cubin", f"-arch={arch}")
        kernel = next(iter(sass.functions(cubin, arch)))[1]
        start = next(at for at, instruction in enumerate(kernel) if instruction.opcode.startswith("MUFU.RSQ"))
        steps = [i for i in kernel[start:] if i.name in ("MUFU", "FMUL", "FFMA") and not i.guarded][:5]
        terms.add(expression(steps))
    assert terms == {"FFMA(FFMA(-FMUL(x, y), FMUL(x, y), x), FMUL(0.5, y), FMUL(x, y))"}
