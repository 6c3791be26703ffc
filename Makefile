# embedjwt. `make run` shows it working; `make test` proves it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: help run test lint bench lock clean

help:
	@echo "make run    set everything up and run the demo"
	@echo "make test   set everything up, lint, and run the tests"
	@echo "make bench  measure, as ratios against bare WSGI and the raw signature"
	@echo "make lint   ruff and mypy"
	@echo "make lock   resolve the dependencies anew"

run: $(VENV)/.run
	$(BIN)/python -m embedjwt demo

# Two processes, for many tests wait for servers and clocks. One: $(BIN)/python -m pytest
test: lint tests/node/node_modules/.ready examples/react/node_modules/.ready tests/canaille/.venv/.ready
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python -m bench

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "embedjwt needs Python 3.11 or newer; name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "cannot make a virtual environment; on Debian: apt install python3-venv"; exit 1; }

$(VENV)/.run: requirements.lock | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Tests against Node programs skip with a reason where Node is missing.
tests/node/node_modules/.ready: tests/node/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix tests/node --no-audit --no-fund --loglevel=error; \
	  else echo "npm is not installed: tests that need Node are skipped"; mkdir -p $(@D); fi
	@touch $@

examples/react/node_modules/.ready: examples/react/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix examples/react --no-audit --no-fund --loglevel=error; \
	  else echo "npm is not installed: the tests of the React example are skipped"; mkdir -p $(@D); fi
	@touch $@

# A second make of OpenID provider to test against; its dependencies are kept apart from ours.
tests/canaille/.venv/.ready: tests/canaille/requirements.lock | $(BIN)/python
	$(BIN)/python -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

lock: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml -o requirements.lock $(LOCK_OPTIONS)
	$(BIN)/uv pip compile pyproject.toml --group dev -o requirements-dev.lock $(LOCK_OPTIONS)
	$(BIN)/uv pip compile tests/canaille/requirements.in -o tests/canaille/requirements.lock $(LOCK_OPTIONS)
	npm install --prefix tests/node --package-lock-only --omit-lockfile-registry-resolved
	npm install --prefix examples/react --package-lock-only --omit-lockfile-registry-resolved

LOCK_OPTIONS := --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-header --no-annotate

clean:
	rm -rf $(VENV) tests/node/node_modules tests/canaille/.venv examples/react/node_modules examples/react/dist dist
