# Five words: install run test check bench.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install test-environment run test test-slow check bench clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24"
	$(BIN)/python -m pip install --quiet $$(grep '^torch==' constraints.txt)
	$(BIN)/python -m pip install --quiet -e . -c constraints.txt
	touch $@

.venv/ready-test: .venv/ready
	$(BIN)/python -m pip install --quiet -e '.[dev]' -c constraints.txt
	touch $@

install: .venv/ready

test-environment: .venv/ready-test

run: .venv/ready
	$(BIN)/streamlit run dashboard/app.py

test: .venv/ready-test
	$(BIN)/python -m pytest -n auto --dist loadfile -m 'not slow and not gpu and not browser'
	$(BIN)/python -m pytest -m browser

test-slow: .venv/ready-test
	$(BIN)/python -m pytest -m slow

check: .venv/ready-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/ready-test
	$(BIN)/python -m tests.benchmarks

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
