# Needs Python 3.11+ and make. The first target that you run installs everything else in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev

.PHONY: demo test cases torture lint bench screenshots clean help

demo: $(INSTALLED)  ## generate example pictures with the simulator, without a key
	$(BIN)/batchgen run jobs/demo.yaml --provider simulator
	@echo "The images are in out/demo. Run 'make demo' again: it generates nothing that is already there."

test: $(INSTALLED_DEV)  ## run the tests and report what was skipped
	$(BIN)/python -m pytest -n 2

cases: $(INSTALLED_DEV)  ## run what real providers answered against the command
	$(BIN)/python -m pytest -n 2 -m cases tests/cases

torture: $(INSTALLED_DEV)  ## kill hundreds of runs and check that nothing is lost
	$(BIN)/python -m pytest -n 2 -m torture tests/torture

lint: $(INSTALLED_DEV)  ## check code style, types and words
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tests.words

bench: $(INSTALLED_DEV)  ## measure speed and memory; takes a while
	$(BIN)/python -m tests.bench

$(INSTALLED): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "batchgen needs Python 3.11 or later; try: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@# If PYTHONDONTWRITEBYTECODE is set, each start would compile the modules.
	$(BIN)/python -m compileall -q batchgen
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

screenshots: $(INSTALLED_DEV)  ## take the pictures of the report in docs/
	$(BIN)/python -m tests.screenshots

clean:  ## delete .venv, out and all caches
	rm -rf $(VENV) out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

help:  ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 14
