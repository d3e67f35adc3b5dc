# Two commands are enough: `make demo` and `make test`. Both set everything up first, and start
# at once the second time. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := .ci/constraints.txt
ENVIRONMENT := $(VENV)/.made
PACKAGES := $(VENV)/.packages
DOCS_PACKAGES := $(VENV)/.docs-packages
INTEROP := $(VENV)/interop
PEERS := $(VENV)/peers
PIP_INSTALL := $(BIN)/python -m pip install --constraint $(CONSTRAINTS)

export PYTHON
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
# Tests start many processes, each of which would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE
ifdef CI
export PIP_PROGRESS_BAR := off
endif

.PHONY: help
help:  ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 8

.PHONY: demo
demo: $(PACKAGES) | system  ## Run the cascade on a synthetic slide: in the window, or into demo-out/ without a display
	$(BIN)/napari-hagmil demo $(DEMO_ARGS)

.PHONY: test
test: $(PACKAGES) | system  ## The whole test suite (TEST_ARGS='-k slide' for a part of it)
	.ci/with-display $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(TEST_ARGS)

.PHONY: check
check: $(PACKAGES)  ## Lint, format, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: docs
docs: $(DOCS_PACKAGES)  ## The documentation, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# An environment that sees the packages of the first, its pip too: the one that Python brings may
# know nothing of groups.  $(call beside,FOLDER,GROUP,CONSTRAINTS)
define beside
	$(BIN)/python -m venv --without-pip $(1)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $$(echo $(1)/lib/python3*/site-packages)/first.pth
	$(1)/bin/python -m pip install --quiet --constraint $(3) --group $(2)
endef

# Other viewers of slides, which ours is compared with, in an environment of their own.
.PHONY: bench
bench: $(PACKAGES) | system  ## The benchmarks among the tests, into docs/benchmarks.md
	$(call beside,$(PEERS),peers,$(CONSTRAINTS))
	PYTHONPATH=src HAGMIL_PEERS=$(CURDIR)/$(PEERS)/bin/python .ci/with-display $(BIN)/python -m pytest \
	  --benchmark-enable --benchmark-only $(or $(TEST_ARGS),tests/benchmarks)

# In environments of their own, which see the packages of the first: what they bring is never
# installed beside what is pinned.
.PHONY: interop
interop: $(PACKAGES) | system  ## Other libraries open what this one writes
	$(call beside,$(INTEROP),interop,$(CONSTRAINTS))
	PYTHONPATH=src .ci/with-display $(INTEROP)/bin/python -m pytest tests/export/interop/test_attention_in_other_readers.py $(TEST_ARGS)
	# spatialdata wants an older dask than ngff-zarr, and what goes with it.
	grep -vE '^(dask|distributed|fsspec)==' $(CONSTRAINTS) > $(VENV)/older-dask.txt
	$(call beside,$(INTEROP)-spatial,interop-spatial,$(VENV)/older-dask.txt)
	PYTHONPATH=src .ci/with-display $(INTEROP)-spatial/bin/python -m pytest tests/export/interop/test_spatialdata.py $(TEST_ARGS)

.PHONY: data
data: $(PACKAGES)  ## Fetch the public slides that the tests look at, hashes and licences shown
	$(BIN)/python docs/scripts/fetch_data.py $(DATA_ARGS)

.PHONY: audit
audit: $(PACKAGES)  ## Known weaknesses of the pinned versions (needs the network)
	$(BIN)/python -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet pip-audit
	$(VENV)/audit/bin/pip-audit --requirement $(CONSTRAINTS) --no-deps --disable-pip

.PHONY: sbom
sbom: $(PACKAGES)  ## What is installed, as a bill of materials, into dist/
	mkdir -p dist
	$(BIN)/python .ci/sbom > dist/sbom.cdx.json

.PHONY: setup
setup: $(PACKAGES) | system  ## Only the set-up that demo and test start with

.PHONY: clean
clean:  ## Remove everything that make made
	rm -rf $(VENV) demo-out dist build site .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks

.PHONY: system
system:
	@.ci/system-packages

# `system` is order-only: it runs first (it may bring Python's venv), and never makes this stale.
$(ENVIRONMENT): .ci/make-venv | system
	.ci/make-venv $(VENV)
	$(PIP_INSTALL) --quiet --upgrade pip
	touch $@

$(PACKAGES): $(ENVIRONMENT) pyproject.toml $(CONSTRAINTS)
	$(PIP_INSTALL) --build-constraint $(CONSTRAINTS) --editable '.[all]' --group dev
	# For its weights alone: what it asks for would bring gigabytes, and an older Python.
	$(PIP_INSTALL) --no-deps --ignore-requires-python lavlab-shell
	touch $@

$(DOCS_PACKAGES): $(PACKAGES)
	$(PIP_INSTALL) --group docs
	touch $@
