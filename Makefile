# Everything runs in .venv, which is made on first use around the active environment's torch (or a pinned one).
# PYTHON chooses the Python below it: make test PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
CXX_FILES = $(shell find csrc tests -name '*.h' -o -name '*.cpp')

.DEFAULT_GOAL := help
.PHONY: help run test build lint bench gpu clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: $(VENV)/run.stamp build  ## the main job: initialise real models with torch.nn.init and with fastinit
	$(PY) benchmarks/models.py

test: lint  ## every check there is; pytest comes last
	$(PY) -m pytest

build: $(VENV)/build.stamp  ## compile the extension (only what changed)

lint: $(VENV)/test.stamp build  ## style and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -c 'import clang_format; clang_format.clang_format()' --dry-run -Werror $(CXX_FILES)

bench: $(VENV)/run.stamp build  ## measure this machine
	$(PY) -m fastinit bench

gpu:  ## the CUDA backend's tests and benchmarks
	@echo 'fastinit: the CUDA backend is not built yet' >&2; exit 2

clean:  ## remove the environment and all that was built
	rm -rf $(VENV) build dist *.egg-info fastinit/_C.*.so

# The environment, then what each job needs on top, then the extension.
$(VENV)/torch.stamp: tools/make_venv.py
	$(PYTHON) tools/make_venv.py $(VENV)
	@touch $@

$(VENV)/build.stamp: setup.py pyproject.toml $(shell find csrc -name '*.h' -o -name '*.cpp') $(VENV)/torch.stamp
	$(PY) -m pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/run.stamp: EXTRAS := run,bench
$(VENV)/test.stamp: EXTRAS := run,bench,test,dev
$(VENV)/%.stamp: pyproject.toml | $(VENV)/build.stamp
	$(PY) -m pip install --quiet --no-build-isolation --editable '.[$(EXTRAS)]'
	@touch $@
