"""Instructions a value: the reader of compiled kernels finds the loop that fills, and counts what it executes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fastinit.bench import sass


def listing(*lines: str, name: str = "kernel") -> list[str]:
    """Instructions at consecutive addresses in the form that cuobjdump prints; blank lines stand for encodings."""
    body = [f"        /*{16 * at:04x}*/    {line} ;    /* 0x000fe200 */" for at, line in enumerate(lines)]
    return [
        f"\t\tFunction : {name}",
        '\t.headerflags\t@"EF_CUDA_SM90"',
        *(f"{line}\n        /* 0x0 */" for line in body),
    ]


def found(*lines: str) -> list[sass.Loop]:
    [(name, instructions)] = sass.parse("\n".join(listing(*lines)).splitlines())
    return sass.filling_loops(name, instructions)


STORE = "STG.E.128 desc[UR8][R44.64], R12"


def test_the_loop_is_the_innermost_that_stores_sixteen_bytes() -> None:
    [loop] = found(
        "S2R R5, SR_CTAID.X",
        "IADD3 R1, R1, 0x1, RZ",  # 0x10, the head of the outer loop
        "FFMA R1, R2, R3, R4",  # 0x20, the head of the inner
        STORE,
        "@!P0 BRA 0x20",
        "STG.E desc[UR8][R4.64], R9",
        "@P1 BRA 0x10",
        "EXIT",
        "BRA 0x80",  # what follows every function
    )
    assert loop == sass.Loop("kernel", 3, 1, {"FFMA": 1, "STG": 1, "BRA": 1})
    assert [loop.per_value(size) for size in (1, 4, 8)] == [3 / 16, 3 / 4, 3 / 2]


def test_stores_of_other_sizes_make_no_filling_loop() -> None:
    assert found("STG.E desc[UR8][R4.64], R9", "STG.E.64 desc[UR8][R4.64], R8", "@P1 BRA 0x0", "EXIT") == []
    assert found(STORE, "EXIT", "BRA 0x20") == []


def test_stores_around_the_cache_count_and_loads_do_not() -> None:
    [loop] = found("LDG.E.128 R4, desc[UR8][R4.64]", "STG.E.EF.128 desc[UR8][R4.64], R8", STORE, "@P1 BRA 0x0", "EXIT")
    assert (loop.instructions, loop.stores_128) == (4, 2)


def test_of_several_ways_through_a_loop_the_longest_counts() -> None:
    """A switch over formats inside the loop costs one of its cases, not their sum."""
    [loop] = found(
        "ISETP.EQ P0, PT, R1, 0x1, PT",
        "@P0 BRA 0x60",
        "MOV R1, R2",  # one case: four instructions and a jump
        "MOV R1, R2",
        "MOV R1, R2",
        "BRA 0x80",
        "LOP3 R1, R2, R3, R4, 0x96, !PT",  # 0x60, the other: two
        "LOP3 R1, R2, R3, R4, 0x96, !PT",
        STORE,  # 0x80
        "BRA.U UP0, 0x0",
        "EXIT",
    )
    assert loop.histogram == {"MOV": 3, "BRA": 3, "ISETP": 1, "STG": 1}
    assert loop.instructions == 8


def test_a_way_that_leaves_the_loop_is_not_a_way_through_it() -> None:
    [loop] = found("@P0 BRA 0x40", STORE, "@P1 BRA 0x0", "EXIT", "MOV R1, R2", "MOV R1, R2", "EXIT")
    assert loop.instructions == 3
    [loop] = found("@P0 BRA 0x40", "MOV R1, R2", "MOV R1, R2", "EXIT", STORE, "@P1 BRA 0x0", "EXIT")
    assert loop.histogram == {"BRA": 2, "STG": 1}


def test_a_loop_closed_in_several_places_is_one_loop() -> None:
    [loop] = found("MOV R1, R2", "@P0 BRA 0x0", STORE, "@P1 BRA 0x0", "EXIT")
    assert loop.instructions == 4


def test_names_are_read_as_they_were_written() -> None:
    assert sass.demangle("_ZN8fastinit4cuda4flatIfLi2EEEvPT_lmff").startswith("void fastinit::cuda::flat<float, 2>(")
    assert sass.demangle("main") == "main"


def test_code_runs_on_its_major_version() -> None:
    built = ["sm_80", "sm_86", "sm_90a", "sm_100", "sm_120f"]
    cards = [(7, 5), (8, 0), (8, 9), (9, 0), (10, 0), (10, 3), (12, 0), (12, 1)]
    runs = [None, "sm_80", "sm_86", "sm_90a", "sm_100", "sm_100", "sm_120f", "sm_120f"]
    assert [sass.runs_on(built, card) for card in cards] == runs
    assert sass.runs_on(["sm_100a"], (10, 3)) is None


# Real code

SOURCE = """
// Every value takes three multiplications that no compiler can drop or merge.
template <class T, int Stores>
__global__ void fill(T* out, long tiles, unsigned a) {
  unsigned v = a + threadIdx.x;
  #pragma unroll 1
  for (long t = threadIdx.x; t < tiles; t += blockDim.x) {
    #pragma unroll
    for (int s = 0; s < Stores; ++s) {
      uint4 bits = {v, v, v, v};
      #pragma unroll
      for (int i = 0; i < 16 / (int)sizeof(T); ++i) {
        for (int k = 0; k < 3; ++k) asm volatile("mul.lo.u32 %0, %0, %1;" : "+r"(v) : "r"(a));
        bits.x ^= v;
      }
      reinterpret_cast<uint4*>(out)[t * Stores + s] = bits;
    }
  }
  for (long i = tiles * Stores * 16 / sizeof(T) + threadIdx.x; i < tiles * 100; i += blockDim.x) out[i] = T(a);
}
template __global__ void fill<float, 1>(float*, long, unsigned);
template __global__ void fill<float, 4>(float*, long, unsigned);
template __global__ void fill<double, 2>(double*, long, unsigned);
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The source above as a cubin, an object and a shared library of two architectures."""
    homes = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if name in os.environ]
    places = os.pathsep.join([*(f"{home}/bin" for home in homes), os.environ["PATH"]])
    nvcc = shutil.which("nvcc", path=places)
    if nvcc is None:
        pytest.skip("nvcc was not found")
    try:
        sass.tools()
    except sass.MissingToolError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("sass")
    (folder / "fill.cu").write_text(SOURCE)
    both = [f"-gencode=arch=compute_{n},code=sm_{n}" for n in (80, 90)]
    shared = ["-shared", "-Xcompiler", "-fPIC", "-cudart", "none"]
    flags = {"cubin": ["-arch=sm_90", "-cubin"], "o": [*both, "-c"], "so": [*both, *shared]}
    for suffix, how in flags.items():
        command = [nvcc, "-O3", *how, "fill.cu", "-o", f"fill.{suffix}"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return {suffix: folder / f"fill.{suffix}" for suffix in flags}


@pytest.mark.parametrize("suffix", ["cubin", "o", "so"])
def test_compiled_kernels_execute_what_their_source_says(compiled: dict[str, Path], suffix: str) -> None:
    found = {loop.kernel.split("(")[0]: loop for loop in sass.loops(compiled[suffix], "sm_90")}
    assert set(found) == {f"void fill<{args}>" for args in ("float, 1", "float, 4", "double, 2")}
    for kernel, item, stores in (("float, 1", 4, 1), ("float, 4", 4, 4), ("double, 2", 8, 2)):
        loop = found[f"void fill<{kernel}>"]
        values = stores * 16 // item
        assert loop.stores_128 == stores
        assert loop.histogram["STG"] == stores
        assert loop.histogram["IMAD"] >= 3 * values
        # A multiplication that is neither in the source nor needed for an address would be the tail loop's.
        assert 3 + 1 / values < loop.per_value(item) < 3 + 1 + 16 / values
        assert sum(loop.histogram.values()) == loop.instructions


def test_each_architecture_has_its_own_code(compiled: dict[str, Path]) -> None:
    assert sass.architectures(compiled["so"]) == ["sm_80", "sm_90"]
    assert len(sass.loops(compiled["so"], "sm_80")) == 3
    assert sass.architectures(compiled["cubin"]) == ["sm_90"]
    with pytest.raises(ValueError, match=r"fill\.cubin has code for \['sm_90'\], not for sm_80"):
        sass.loops(compiled["cubin"], "sm_80")


@pytest.mark.usefixtures("compiled")  # where there is no tool, this has nothing to say either
def test_a_binary_without_device_code_has_no_architecture() -> None:
    assert sass.architectures(Path(sys.executable)) == []
    with pytest.raises(ValueError, match="has code for no GPU, not for sm_90"):
        sass.loops(Path(sys.executable), "sm_90")


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sass, "_folders", lambda: iter([Path("nowhere")]))
    sass.tools.cache_clear()
    try:
        with pytest.raises(sass.MissingToolError, match="cuobjdump and nvdisasm"):
            sass.loops(Path("any.so"), "sm_90")
    finally:
        sass.tools.cache_clear()
