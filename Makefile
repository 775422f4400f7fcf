# Everything happens in .venv; nothing is installed elsewhere.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

.PHONY: help demo test test-long lint format lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

demo: $(VENV)/ready  ## a clean model and one that learned a planted letter, told apart: some minutes, offline
	$(BIN)/lungsight demo --out $(DEMO)

test: $(VENV)/ready  ## the whole test suite but its long part
	$(BIN)/python -m pytest --numprocesses 2 -m "not long"

test-long: $(VENV)/ready  ## the long part: 2,000 mutated files per format, coverage of intervals
	$(BIN)/python -m pytest --numprocesses 2 --timeout 3600 -m long

lint: $(VENV)/ready  ## style, types, and the arrows between the rooms
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/ready  ## put the code into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock:  ## pin every dependency for CI, from pyproject.toml's ranges
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --extra dev --no-emit-index-url --no-header --no-annotate --python-version 3.11.7 pyproject.toml --output-file requirements.lock

clean:  ## remove what the demo made
	rm -rf $(DEMO)
