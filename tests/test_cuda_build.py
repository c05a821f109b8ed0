"""The extension as built with CUDA, on a machine that need not have a GPU: what it holds, loads and registers."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import fastinit
from cuda_compiler import toolkit
from fastinit import _C, Key
from fastinit.bench import sass
from initializers import ALL, Initializer

ROOT = Path(__file__).parents[1]
CXX = shlex.split(os.environ.get("CXX", "c++"))
BUILT = _C.facts()["cuda"]

with_cuda = pytest.mark.skipif(BUILT is None, reason=f"this extension was built {_C.facts()['built']}")


# What was built


def test_the_extension_has_cuda_wherever_torch_and_a_toolkit_have() -> None:
    built = _C.facts()["built"]
    if torch.version.cuda is None:
        assert built == f"without CUDA: torch {torch.__version__} has none"
        assert BUILT is None
    elif "FORCE_CUDA=0" not in built:
        assert built.startswith(f"with CUDA {toolkit().version} from ")
        assert BUILT is not None


def needed_libraries() -> set[str]:
    """The shared libraries that the extension asks for, without their versions."""
    listed = subprocess.run(["readelf", "-d", _C.__file__], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"\(NEEDED\).*\[lib([\w+-]+)\.so", listed))


def test_of_cuda_the_extension_needs_what_torch_has_loaded() -> None:
    of_cuda = {name for name in needed_libraries() if "cu" in name}
    assert of_cuda == (set() if BUILT is None else {"cudart", "c10_cuda", "torch_cuda"})


@with_cuda
def test_there_is_machine_code_for_what_the_facts_tell() -> None:
    assert BUILT is not None
    try:
        assert sass.architectures(Path(_C.__file__)) == sorted(re.findall(r"sm_\w+", BUILT))
    except sass.MissingToolError as error:
        pytest.skip(str(error))


@with_cuda
def test_an_import_brings_no_second_cuda_runtime_and_needs_no_gpu() -> None:
    script = (
        "import torch, fastinit; maps = open('/proc/self/maps').read().split();"
        "runtimes = {word for word in maps if 'libcudart' in word};"
        "assert len(runtimes) == 1, runtimes;"
        "assert not torch.cuda.is_initialized()"
    )
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@with_cuda
def test_every_operator_of_the_cpu_that_writes_is_one_of_cuda() -> None:
    names = [name for name in torch._C._dispatch_get_all_op_names() if name.startswith("fastinit::")]
    cpu, cuda = ({n for n in names if torch._C._dispatch_has_kernel_for_dispatch_key(n, k)} for k in ("CPU", "CUDA"))
    reads = {"fastinit::statistics"}  # on other devices torch's operators do it (fastinit/auditing/statistics.py)
    assert cpu - reads == cuda
    assert "fastinit::normal_" in cuda


# Where it was not built, the file that knows torch and CUDA still compiles


def test_the_cuda_operators_compile_against_this_torch(tmp_path: Path) -> None:
    # A build of torch without CUDA has all the headers but one, which says how torch itself was configured.
    configured = tmp_path / "c10" / "cuda" / "impl" / "cuda_cmake_macros.h"
    configured.parent.mkdir(parents=True)
    configured.write_text("#pragma once\n#define C10_CUDA_BUILD_SHARED_LIBS\n")
    include = Path(torch.__file__).parent / "include"
    headers = [include, include / "torch" / "csrc" / "api" / "include", Path(sysconfig.get_path("include")), tmp_path]
    standard = "c++20" if torch.__version__ >= "2.13" else "c++17"  # as setup.py
    flags = ["-fsyntax-only", "-Wall", "-Wextra", "-Werror", f"-std={standard}", "-Icsrc", *toolkit().include_flags]
    command = [*CXX, *flags, *(word for folder in headers for word in ("-isystem", folder)), "csrc/ops_cuda.cpp"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# Fake tensors: a graph for a GPU can be traced where there is none


@with_cuda
@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_fake_tensors_on_a_gpu_are_filled_in_name_only(initializer: Initializer) -> None:
    states = [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]
    with FakeTensorMode():
        tensor = torch.empty(initializer.shape, device="cuda")
        version = tensor._version
        for source in (None, Key(1)):
            assert initializer(tensor, source) is tensor
            assert tensor._version > version
            version = tensor._version
        assert tensor.device.type == "cuda"
        assert tensor.shape == initializer.shape
    assert all(map(torch.equal, [torch.get_rng_state(), *torch.cuda.get_rng_state_all()], states))


@with_cuda
def test_fake_tensors_on_a_gpu_are_filled_as_a_list_in_name_only() -> None:
    with FakeTensorMode():
        tensors = [torch.empty(4, 3, device="cuda"), torch.empty(5, device="cuda")]
        fastinit.foreach.normal_(tensors)
        assert [tensor._version for tensor in tensors] == [1, 1]
