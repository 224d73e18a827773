# `make help` explains every target. Everything works from a fresh clone with Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PLAIN := $(VENV)/.buildrules
WORKERS ?= auto
# the quick tests wait for much of their time: for servers and processes
QUICK_WORKERS ?= $(shell expr 2 \* $$(nproc))

# images of containers set it; without bytecode each of the tests' thousands of processes would compile all anew
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test histories fuzz quick lint format types contract check online-check bench bazel7 docs clean

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(PLAIN): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "buildrules needs Python 3.11 or newer; choose one with: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(STAMP): $(PLAIN)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

setup: $(STAMP) ## make .venv with buildrules and the tools for working on it

demo: $(PLAIN) ## build every example with the embedded defaults: no Docker, no registry, no server
	@cd examples && status=0; ../$(BIN)/buildrules build //... || status=$$?; \
	if [ $$status -eq 4 ]; then \
	  echo "a locked package is no longer on the mirror; locking again"; \
	  ../$(BIN)/buildrules lock //... && ../$(BIN)/buildrules build //...; \
	else exit $$status; fi
	@echo
	@cd examples/own_python && said=$$(mktemp) && status=0; \
	../../$(BIN)/buildrules build //... 2>"$$said" || status=$$?; cat "$$said" >&2; \
	if [ $$status -ne 0 ] && grep -q "could not fetch 'cpython-" "$$said"; then status=0; \
	  echo "skipped: examples/own_python, for its Python cannot be had from here"; \
	fi; rm -f "$$said"; exit $$status
	@echo
	@echo "To go on, paste:"
	@echo "  source $(BIN)/activate && cd examples"
	@echo "  buildrules show //models:regressor"
	@echo "  buildrules run //models:regressor    # needs Docker"

test: $(STAMP) ## run all tests; those that need a Docker Engine or a registry are skipped where there is none
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

quick: $(STAMP) ## run the tests that need neither Docker nor the network
	$(BIN)/python -m pytest -n $(QUICK_WORKERS) --dist loadgroup -m 'not docker and not network and not slow'

lint: $(STAMP) ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP) ## mend style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP) ## check types
	$(BIN)/mypy

contract: $(STAMP) ## check which package may import which
	$(BIN)/lint-imports

check: lint types contract ## lint, types and contract

online-check: $(STAMP) ## download one real Python of python-build-standalone, check it and run it (needs GitHub)
	$(BIN)/python -m pytest -q tests/standalone/online_check.py

bench: $(STAMP) ## run the benchmarks (needs Docker for some)
	$(BIN)/python -m benchmarks

histories: $(STAMP) ## follow ten thousand histories of edits and builds: cached equals clean
	BUILDRULES_TEST_CASES=10000 $(BIN)/python -m pytest -q --timeout 0 tests/state/test_histories.py::test_cached_equals_clean

fuzz: $(STAMP) ## feed each parser with ten thousand files that are nearly right
	BUILDRULES_FUZZ_CASES=10000 $(BIN)/python -m pytest -q -rP --timeout 0 -n $(WORKERS) tests/hostile/test_fuzz.py

bazel7: $(STAMP) ## run the tests of Bazel with a current one, in a root of Debian's (as root, 1.6 GB)
	tests/hosts/bazel7.sh

docs: $(STAMP) ## write the generated reference pages anew
	$(BIN)/python docs/generate.py

clean: ## remove .venv and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
