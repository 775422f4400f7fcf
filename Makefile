# Everything happens in .venv; nothing is installed elsewhere.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
# A quarter of a training's time on a CPU is page faults; these settings of glibc's malloc spare them.
export MALLOC_MMAP_THRESHOLD_ = 4000000000
export MALLOC_TRIM_THRESHOLD_ = 100000000000
export MALLOC_TOP_PAD_ = 1000000000

.PHONY: help demo test test-long lint format lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

demo: $(VENV)/ready  ## draw phantoms, train a small detector, test it, scan with it: under five minutes, offline
	$(BIN)/lungsight phantom --out $(DEMO)/phantoms --patients 240 --size 256 --seed 1
	$(BIN)/lungsight train demo --data $(DEMO)/phantoms/manifest.csv --out $(DEMO)/run
	$(BIN)/lungsight phantom --out $(DEMO)/held-out --patients 60 --size 256 --seed 2
	$(BIN)/lungsight evaluate $(DEMO)/run/package --data $(DEMO)/held-out/manifest.csv --audit-images 80 \
	  --out $(DEMO)/evaluation
	$(BIN)/lungsight scan $(DEMO)/held-out/images --model $(DEMO)/run/package \
	  --html $(DEMO)/scan/findings.html --csv $(DEMO)/scan/findings.csv --heatmaps $(DEMO)/scan/heatmaps --restart
	$(BIN)/lungsight scan $(DEMO)/held-out/images --html $(DEMO)/scan/released.html --json $(DEMO)/scan/released.jsonl \
	  --restart
	$(BIN)/lungsight triage $(DEMO)/scan/released.jsonl --csv $(DEMO)/scan/worklist.csv
	@echo
	@echo "Open these pages in a browser:"
	@echo "  $(CURDIR)/$(DEMO)/run/index.html         the training run and its results"
	@echo "  $(CURDIR)/$(DEMO)/evaluation/index.html  the test on phantoms it never saw"
	@echo "  $(CURDIR)/$(DEMO)/scan/findings.html     each phantom beside its heatmap"
	@echo "  $(CURDIR)/$(DEMO)/scan/released.html     the same by the model that ships, which never saw a phantom"

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
