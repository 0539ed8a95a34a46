# Two commands for a fresh machine: `make demo` and `make test`.
# Needs Python 3.11 or newer, make, and access to the package registries.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
THREADS ?= 2

.PHONY: demo test lint bench against record soak fresh lower-bounds chromium tour clean

demo: $(VENV)/.demo
	@mkdir -p demo
	$(BIN)/thetanet train --recipe quick --out demo/model.safetensors --pictures demo
	@echo "look inside: $(BIN)/thetanet serve demo/model.safetensors --open   (or open http://127.0.0.1:8000/)"

# worksteal: neighbouring tests, which use the same fixtures, run in the same process.
test: lint chromium $(VENV)/.test
	$(BIN)/python -m pytest -n $(THREADS) --dist worksteal -rs -m "not soak"

# In an environment of its own: the types that mypy reads do not depend on the versions under test.
lint: $(VENV)/.lint
	$(VENV)/lint/bin/ruff format --check .
	$(VENV)/lint/bin/ruff check .
	$(VENV)/lint/bin/mypy --python-version 3.11

soak: $(VENV)/.soak
	$(BIN)/python -m pytest -m soak
	$(BIN)/python tests/lower_bounds.py
	@if [ "$$(id -u)" = 0 ]; then $(MAKE) fresh; else echo "make fresh is left out: it needs root"; fi

# Both commands on bare Debian systems, as root and as a plain user: make fresh SUITES=bookworm USERS=root
fresh:
	tests/fresh.sh

# Tests with the lowest versions that pyproject.toml allows, all together.
lower-bounds: $(BIN)/python
	$(BIN)/python tests/lower_bounds.py

bench: $(VENV)/.bench chromium
	$(BIN)/python benchmarks/page.py
	$(BIN)/python benchmarks/run.py

# Speed of this tree against another checkout, interleaved: make against OTHER=../before
against: $(VENV)/.test
	$(BIN)/python benchmarks/against_commit.py $(OTHER)

# An hour or two; models that are in build/record already are not trained again.
record: $(VENV)/.bench
	$(BIN)/python benchmarks/record.py

# The page is tested in a real browser, whose driver needs libatomic1, which a minimal system lacks.
# Root can install both; for others, tests in a browser are skipped with the reason.
chromium:
	@{ { [ -x /usr/bin/chromium ] || [ -x /usr/bin/chromium-browser ]; } \
	    && $(PYTHON) -c 'import ctypes; ctypes.CDLL("libatomic.so.1")' 2>/dev/null; } \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq \
	    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium libatomic1 >/dev/null; } \
	  || echo "tests in a browser will be skipped: apt-get install chromium libatomic1"

# After a change of docs/alive.md: its outputs, its pictures and the notebook again.
tour: $(VENV)/.test
	$(BIN)/python docs/make_alive.py

# Debian keeps `venv` in a package of its own; root can install it, others are told.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "thetanet needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq python3-venv; } \
	  || { echo "Python's venv is missing: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Each stamp remembers the pyproject.toml it was installed from.
$(VENV)/.demo: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[plot,web]'
	@touch $@

$(VENV)/.lint: $(BIN)/python tests/lint-requirements.txt
	$(BIN)/python -m venv $(VENV)/lint
	$(VENV)/lint/bin/python -m pip install --quiet --requirement tests/lint-requirements.txt
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

$(VENV)/.soak: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[test,soak]'
	@touch $@

$(VENV)/.bench: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	@touch $@

clean:
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
