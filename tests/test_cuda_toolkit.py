"""Whether a build has CUDA, by which toolkit and for which GPUs: asked about machines made of folders and scripts.

The toolkits here are of a CUDA 99, so that none of this machine's is taken for one of them.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

import cuda_architectures
import cuda_toolkit
from cuda_architectures import Architecture
from cuda_toolkit import Torch, UnavailableError

CXX = ["g++"]
NO_GPU: list[tuple[int, int]] = []


def compiler(at: Path, release: str = "99.1", known: str = "75 80 86 90 100 120", says: str = "") -> Path:
    """A script that answers as nvcc does; what it `says` about a source is an error."""
    at.parent.mkdir(parents=True, exist_ok=True)
    lines = "\\n".join(f"compute_{number}" for number in known.split())
    at.write_text(
        f"#!/bin/sh\ncase $1 in\n--version) echo 'Cuda compilation tools, release {release}, V{release}.7' ;;\n"
        f"--list-gpu-arch) printf '{lines}\\n' ;;\n*) echo '{says}' >&2; test -z '{says}' ;;\nesac\n"
    )
    at.chmod(0o755)
    return at


def toolkit(
    root: Path, release: str = "99.1", include: str = "include", library: str = "lib64/libcudart.so", says: str = ""
) -> Path:
    """A folder that holds a toolkit, which is laid out as NVIDIA's installer does unless told otherwise."""
    compiler(root / "bin" / "nvcc", release, says=says)
    for file in (root / include / "cuda_runtime.h", root / library):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return root


@pytest.fixture
def torch_99(tmp_path: Path) -> Torch:
    """A torch with CUDA 99, in an environment without pip's toolkit, on a machine without a GPU."""
    return Torch("9.9.0+cu990", "99.0", "sm_50 sm_80 sm_90a sm_120 compute_120", tmp_path / "packages", lambda: NO_GPU)


def chosen(torch: Torch, **environment: str | Path) -> cuda_toolkit.Cuda:
    """What a build with these environment variables, and no others, is built with."""
    return cuda_toolkit.choose(torch, CXX, {"PATH": "/nowhere", **{k: str(v) for k, v in environment.items()}})


def reason(torch: Torch, **environment: str | Path) -> str:
    """Why it has no CUDA."""
    with pytest.raises(UnavailableError) as caught:
        chosen(torch, **environment)
    return str(caught.value)


# Where a toolkit is found


def test_the_places_of_a_toolkit_in_order(torch_99: Torch, tmp_path: Path) -> None:
    on_path = toolkit(tmp_path / "on-path")
    of_pip = toolkit(torch_99.packages / "nvidia" / "cu99")
    environment = {
        "CUDA_HOME": str(tmp_path / "home"),
        "CUDA_PATH": str(tmp_path / "path"),
        "PATH": f"/nowhere:{on_path}/bin",
    }
    assert [*cuda_toolkit.candidates(environment, torch_99.packages)] == [
        *(tmp_path / "home", tmp_path / "path", on_path, Path("/usr/local/cuda"), of_pip),
    ]


def test_a_variable_that_names_no_toolkit_is_passed_over(torch_99: Torch, tmp_path: Path) -> None:
    cuda = chosen(torch_99, CUDA_HOME=tmp_path / "missing", CUDA_PATH=toolkit(tmp_path / "cuda"))
    assert cuda.toolkit.root == tmp_path / "cuda"


def test_a_script_that_calls_nvcc_is_no_toolkit(torch_99: Torch, tmp_path: Path) -> None:
    wrapper = compiler(tmp_path / "local" / "bin" / "nvcc")
    assert cuda_toolkit.look_at(tmp_path / "local") is None
    toolkit(tmp_path / "cuda")
    assert chosen(torch_99, PATH=f"{wrapper.parent}:{tmp_path}/cuda/bin").toolkit.root == tmp_path / "cuda"


def test_a_link_to_nvcc_leads_to_its_toolkit(torch_99: Torch, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nvcc").symlink_to(toolkit(tmp_path / "cuda-99.1") / "bin" / "nvcc")
    assert chosen(torch_99, PATH=tmp_path / "bin").toolkit.root == tmp_path / "cuda-99.1"


TARGET = f"targets/{'sbsa' if platform.machine() == 'aarch64' else platform.machine()}-linux"
LAYOUTS = {
    "NVIDIA's": ("include", "lib64/libcudart.so"),
    "conda's": (f"{TARGET}/include", f"{TARGET}/lib/libcudart.so"),
    "pip's": ("include", "lib/libcudart.so.99"),
    "Debian's": ("include", f"lib/{platform.machine()}-linux-gnu/libcudart.so"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_a_toolkit(tmp_path: Path, layout: str) -> None:
    include, library = LAYOUTS[layout]
    found = cuda_toolkit.look_at(toolkit(tmp_path, include=include, library=library))
    assert found == cuda_toolkit.Toolkit(tmp_path, (99, 1), tmp_path / include, tmp_path / library)


@pytest.mark.parametrize("lacking", ["bin/nvcc", "include/cuda_runtime.h", "lib64/libcudart.so"])
def test_a_part_of_a_toolkit_is_none(tmp_path: Path, lacking: str) -> None:
    (toolkit(tmp_path) / lacking).unlink()
    assert cuda_toolkit.look_at(tmp_path) is None


def test_an_nvcc_that_does_not_run_is_none(tmp_path: Path) -> None:
    (toolkit(tmp_path) / "bin" / "nvcc").write_text("#!/bin/sh\nexit 1\n")
    assert cuda_toolkit.look_at(tmp_path) is None


# Which one fits


def test_another_major_version_is_passed_over_for_one_that_fits(torch_99: Torch, tmp_path: Path) -> None:
    old, new = toolkit(tmp_path / "old", "98.3"), toolkit(tmp_path / "new", "99.4")
    assert chosen(torch_99, CUDA_HOME=old, PATH=new / "bin").toolkit.root == new


def test_another_major_version_alone_is_told(torch_99: Torch, tmp_path: Path) -> None:
    told = reason(torch_99, CUDA_HOME=toolkit(tmp_path / "old", "98.3"))
    assert told.startswith("torch has CUDA 99.0, which needs a toolkit of CUDA 99, and there is only CUDA 98.3 in ")
    assert f"{tmp_path}/old" in told


def test_the_command_that_mends_a_missing_toolkit_names_parts_of_one_release() -> None:
    with pytest.raises(UnavailableError, match="and there is none") as caught:
        cuda_toolkit.find("13.0", [])
    names = re.findall(r"'([\w-]+)==13\.0\.\*'", caught.value.mend)
    assert names == ["nvidia-cuda-nvcc", "nvidia-nvvm", "nvidia-cuda-crt"]
    with pytest.raises(UnavailableError) as caught:
        cuda_toolkit.find("12.8", [])
    assert caught.value.mend == "export CUDA_HOME=/path/to/cuda-12"


def test_a_toolkit_that_does_not_compile_is_told_with_its_error(torch_99: Torch, tmp_path: Path) -> None:
    broken = toolkit(tmp_path, says="error: unsupported GNU version!")
    assert reason(torch_99, CUDA_HOME=broken).endswith("does not compile (error: unsupported GNU version!)")


def test_a_torch_without_cuda_is_told(torch_99: Torch, tmp_path: Path) -> None:
    cpu = replace(torch_99, version="9.9.0+cpu", cuda=None)
    assert reason(cpu, CUDA_HOME=toolkit(tmp_path)) == "torch 9.9.0+cpu has none"


def test_force_cuda(torch_99: Torch, tmp_path: Path) -> None:
    assert [cuda_toolkit.forced({"FORCE_CUDA": given}) for given in ("1", "0", "")] == [True, False, None]
    assert reason(torch_99, CUDA_HOME=toolkit(tmp_path), FORCE_CUDA="0") == "FORCE_CUDA=0"
    assert chosen(torch_99, CUDA_HOME=tmp_path, FORCE_CUDA="1").toolkit.root == tmp_path
    with pytest.raises(ValueError, match="FORCE_CUDA is 1, 0 or not set, but not 'maybe'"):
        chosen(torch_99, CUDA_HOME=tmp_path, FORCE_CUDA="maybe")


# For which architectures


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        "8.0": "8.0",
        "8.0;9.0+PTX": "8.0 9.0+PTX",
        " 9.0+PTX  8.0;; ": "8.0 9.0+PTX",
        "9.0;9.0+PTX;9.0": "9.0+PTX",
        "12.0;9.0a;9.0": "9.0 9.0a 12.0",
        "Hopper;Turing": "7.5+PTX 9.0+PTX",
        "Ampere+Tegra Blackwell": "8.7 10.0 10.3 12.0 12.1+PTX",
        "native": "8.0 8.9+PTX",
        "9.0;native": "8.0 8.9+PTX 9.0",
    }.items(),
)
def test_lists_in_the_syntax_of_torch(text: str, expected: str) -> None:
    parsed = cuda_architectures.parse(text, lambda: [(8, 9), (8, 0), (8, 9)])
    assert " ".join(map(str, parsed)) == expected


def test_native_is_nothing_without_a_gpu() -> None:
    assert cuda_architectures.parse("native", lambda: NO_GPU) == []
    assert cuda_architectures.parse("8.0;native", lambda: NO_GPU) == [Architecture(80)]


@pytest.mark.parametrize("text", ["sm_80", "80", "8.0+SASS", "8.0,9.0", "Kepler", "9.0b"])
def test_what_is_no_architecture_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        cuda_architectures.parse(f"7.5;{text}", lambda: NO_GPU)


def test_what_nvcc_is_told() -> None:
    assert Architecture(80).flags == ["-gencode=arch=compute_80,code=sm_80"]
    assert Architecture(90, "a", ptx=True).flags == [
        "-gencode=arch=compute_90a,code=sm_90a",
        "-gencode=arch=compute_90a,code=compute_90a",
    ]


def test_by_default_those_of_torch_that_nvcc_knows_and_ptx_of_the_greatest(torch_99: Torch, tmp_path: Path) -> None:
    cuda = chosen(torch_99, CUDA_HOME=toolkit(tmp_path))
    assert cuda.fact == "99.1 for sm_80, sm_90, sm_120, PTX 12.0"
    assert str(cuda) == f"CUDA 99.1 from {tmp_path} for 8.0 9.0 12.0+PTX (those of torch)"
    compiler(tmp_path / "bin" / "nvcc", known="50 80 90")
    assert chosen(torch_99, CUDA_HOME=tmp_path).fact == "99.1 for sm_80, sm_90, PTX 9.0"


def test_a_list_of_the_users_loses_what_cannot_be_compiled_and_says_so(torch_99: Torch, tmp_path: Path) -> None:
    cuda = chosen(torch_99, CUDA_HOME=toolkit(tmp_path), TORCH_CUDA_ARCH_LIST="7.0;9.0;13.0+PTX")
    assert cuda.fact == "99.1 for sm_90"
    assert str(cuda).endswith("(TORCH_CUDA_ARCH_LIST=7.0;9.0;13.0+PTX, of which nvcc 99.1 or fastinit knows no other)")


@pytest.mark.parametrize("text", ["7.0", "native"])
def test_a_list_of_nothing_that_can_be_compiled_is_told(torch_99: Torch, tmp_path: Path, text: str) -> None:
    told = reason(torch_99, CUDA_HOME=toolkit(tmp_path), TORCH_CUDA_ARCH_LIST=text)
    assert told.startswith(f"there is no architecture to compile for (TORCH_CUDA_ARCH_LIST={text}")


# What nvcc is called with


@pytest.mark.parametrize(
    ("cxx", "host"), {"g++-14": "g++-14", "ccache g++": "g++", "/opt/bin/c++ -m64": "/opt/bin/c++"}.items()
)
def test_the_host_compiler_is_that_of_the_rest(tmp_path: Path, cxx: str, host: str) -> None:
    found = cuda_toolkit.look_at(toolkit(tmp_path))
    assert found is not None
    command = found.command(cxx.split(), [Architecture(90)])
    assert command[:3] == [f"{tmp_path}/bin/nvcc", "-ccbin", host]
    assert command[-1] == "-gencode=arch=compute_90,code=sm_90"


def test_an_option_that_older_releases_lack_is_for_newer_ones(tmp_path: Path) -> None:
    option: Mapping[str, bool] = {"12.6": False, "12.8": True, "13.0": True}
    for release, there in option.items():
        found = cuda_toolkit.look_at(toolkit(tmp_path, release))
        assert found is not None
        assert ("--compress-mode=size" in found.command(CXX, [])) is there


def test_the_systems_own_headers_are_not_named(tmp_path: Path) -> None:
    found = cuda_toolkit.look_at(toolkit(tmp_path))
    assert found is not None
    assert found.include_flags == ["-isystem", f"{tmp_path}/include"]
    assert replace(found, include=Path("/usr/include")).include_flags == []
