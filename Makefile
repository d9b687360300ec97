# `make demo` shows what this is, `make test` runs the tests; each installs what it needs, once.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

export OMP_NUM_THREADS := 1

.PHONY: demo test check benchmark clean

demo: .venv/demo
	$(BIN)/gridcade demo

test: .venv/test
	$(BIN)/pytest --numprocesses auto

check: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

benchmark: .venv/test
	$(BIN)/python benchmarks/q_learning.py

clean:
	rm -rf .venv build dist

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Gridcade takes Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/demo: .venv/bin/python pyproject.toml constraints.txt
	@echo "installing into .venv (PyTorch is large: a few minutes, once)"
	$(PIP) --editable '.[atari]'
	@touch $@

.venv/test: .venv/bin/python pyproject.toml constraints.txt
	@echo "installing into .venv, with what the tests need (a few minutes, once)"
	$(PIP) --editable '.[dev]'
	@touch $@
