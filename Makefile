# Everything happens in .venv; nothing is installed elsewhere.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

.PHONY: help demo test test-slow test-all test-long lint style types contracts format coverage lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

demo: $(VENV)/ready  ## a clean model and one that learned a planted letter, and the reports that tell them apart; offline
	$(BIN)/lungsight demo --out $(DEMO)

# Tests have three tiers. `slow` tests take many seconds each: whole trainings, exports of large networks, processes
# that are killed again and again, Ray. `long` ones take minutes. CONTRIBUTING.md says when to mark a test.
# Two processes test side by side, so each has one thread. What Python compiled is kept, whatever the environment says:
# pytest compiles hundreds of modules anew for each process otherwise.
test test-slow test-long: export OMP_NUM_THREADS = 1
test test-slow test-long: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/ready  ## the test suite but for its slow and long parts: at most 8 minutes on two idle cores
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m "not slow and not long"

test-slow: $(VENV)/ready  ## the slow part alone
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m "slow and not long"

test-all: test test-slow  ## everything that .ci/run runs: all but the long part

test-long: $(VENV)/ready  ## the long part: 2,000 mutated files per format, coverage of intervals, the whole demo
	$(BIN)/python -m pytest --numprocesses 2 --timeout 3600 -m long

coverage: $(VENV)/ready  ## which lines the tests run, after tests with PYTEST_ADDOPTS="--cov --cov-report="
	$(BIN)/coverage report

lint: style types contracts  ## style, types, and which package may import which; with --jobs=2 side by side

style: $(VENV)/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/ready
	$(BIN)/mypy

contracts: $(VENV)/ready
	$(BIN)/lint-imports

format: $(VENV)/ready  ## put the code into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock:  ## pin every dependency for CI, from pyproject.toml's ranges
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --extra dev --no-emit-index-url --no-header --no-annotate --python-version 3.11.7 pyproject.toml --output-file requirements.lock

clean:  ## remove what the demo made
	rm -rf $(DEMO)
