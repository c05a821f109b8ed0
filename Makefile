# Everything runs in .venv, which is made on first use around the active environment's torch (or a pinned one).
# PYTHON chooses the Python below it: make test PYTHON=python3.12. WORKERS: how many files pytest runs at a time.

PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
PY := $(VENV)/bin/python
CXX_FILES = $(shell find csrc tests -name '*.h' -o -name '*.cpp' -o -name '*.cu')

# What is compiled for GPUs here: two generations for the tests, and the GPU of this machine if it has one. A user's
# `pip install` compiles for all that torch does, in more than twice the time.
export TORCH_CUDA_ARCH_LIST ?= 8.0;9.0+PTX;native

.DEFAULT_GOAL := help
.PHONY: help run train test build lint bench gpu clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: $(VENV)/run.stamp build  ## the main job: initialise real models by torch, under fastinit.patch and by recipe
	$(PY) benchmarks/models.py

train: $(VENV)/run.stamp build  ## train a small GPT from torch's and from fastinit's initialisation, compare the curves
	$(PY) benchmarks/training.py

test: export NVCC_APPEND_FLAGS ?= -Werror all-warnings
test: lint  ## every check there is; pytest comes last
	$(PY) -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

build: $(VENV)/build.stamp  ## compile the extension (only what changed)

lint: $(VENV)/test.stamp build  ## style and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -c 'import clang_format; clang_format.clang_format()' --dry-run -Werror $(CXX_FILES)

bench: $(VENV)/run.stamp build  ## measure this machine
	$(PY) -m fastinit bench

# Fetches nothing where the tests' and the benchmark's packages are there. The benchmark runs where a test fails too: the
# machine may be a borrowed one.
gpu: $(VENV)/torch.stamp  ## on a machine with a GPU: build, every test of the CUDA backend, and its benchmark
	@$(PY) -c 'import torch; torch.cuda.is_available() or exit(f"make gpu: torch {torch.__version__} sees no CUDA device")'
	@$(PY) -c 'import matplotlib, numpy, pytest, rich, tqdm, transformers' 2>/dev/null || $(MAKE) $(VENV)/test.stamp
	FORCE_CUDA=1 $(PY) setup.py --quiet build_ext --inplace
	gpu=$$($(PY) -c 'import re, torch; print(re.sub(r"\W+", "-", torch.cuda.get_device_name().lower()))'); failed=0; \
	FASTINIT_REQUIRE_GPU=1 $(PY) -m pytest -m gpu tests/gpu || failed=1; \
	$(PY) -m fastinit bench gpu --out "benchmarks/results/$$gpu" || failed=1; exit $$failed

clean:  ## remove the environment and all that was built
	rm -rf $(VENV) build dist *.egg-info fastinit/_C.*.so

# The environment, then what each job needs on top, then the extension.
$(VENV)/torch.stamp: tools/make_venv.py
	$(PYTHON) tools/make_venv.py $(VENV)
	@touch $@

$(VENV)/build.stamp: setup.py $(wildcard tools/cuda_*.py) $(shell find csrc -type f) $(VENV)/torch.stamp
	$(PY) setup.py --quiet build_ext --inplace
	@touch $@

$(VENV)/run.stamp: EXTRAS := run,bench
$(VENV)/test.stamp: EXTRAS := run,bench,test,dev
$(VENV)/%.stamp: pyproject.toml | $(VENV)/build.stamp
	$(PY) -m pip install --quiet 'setuptools>=77'
	$(PY) -m pip install --quiet --no-build-isolation --editable '.[$(EXTRAS)]'
	@touch $@
