# `make demo` shows what Gridcade does, `make test` runs the tests, `make check` runs ruff, mypy and
# pyright, `make docs` builds the documentation site. The first call creates .venv; each command
# installs the packages that it needs.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

export OMP_NUM_THREADS := 1

.PHONY: demo test check docs benchmark clean

demo: .venv/demo
	$(BIN)/gridcade demo

test: .venv/test
	$(BIN)/pytest --numprocesses auto

check: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

# Builds the site in docs/_build/html. Warnings are errors; notebooks that changed run again.
docs: .venv/test
	$(BIN)/sphinx-build -W --keep-going --quiet docs docs/_build/html

benchmark: .venv/test
	$(BIN)/python benchmarks/q_learning.py
	$(BIN)/python benchmarks/learners.py

clean:
	rm -rf .venv build dist docs/_build docs/generated

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Gridcade needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/demo: .venv/bin/python pyproject.toml constraints.txt
	@echo "installing Gridcade into .venv (once; takes a few minutes because PyTorch is large)"
	$(PIP) --editable '.[atari]'
	@touch $@

.venv/test: .venv/bin/python pyproject.toml constraints.txt
	@echo "installing Gridcade and its test tools into .venv (once; takes a few minutes)"
	$(PIP) --editable '.[dev]'
	@touch $@
