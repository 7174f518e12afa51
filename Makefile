# Needs Python 3.11+ and make. Everything else is set up in .venv by the first target you run.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
USABLE := $(VENV)/.usable
READY := $(VENV)/.ready

.PHONY: demo test torture lint bench screenshots clean

demo: $(USABLE)
	$(BIN)/batchgen run jobs/demo.yaml --provider simulator
	@echo "The images are in out/demo; run 'make demo' again: nothing is left to do."

test: $(READY)
	$(BIN)/python -m pytest -n 2 -rs

torture: $(READY)
	$(BIN)/python -m pytest -n 2 -m torture tests/torture

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m tests.bench

$(USABLE): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "batchgen needs Python 3.11 or later; try: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@# If Python may not keep bytecode, each start would compile the modules.
	$(BIN)/python -m compileall -q batchgen
	@touch $@

$(READY): $(USABLE)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

screenshots: $(READY)
	$(BIN)/python -m tests.screenshots

clean:
	rm -rf $(VENV) out build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
