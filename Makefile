# Two commands for newcomers: `make demo` and `make test`. Everything lives in .venv.

PYTHON ?= python3
DEMO ?= demo
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PACKAGES := annotator features active_learning export

.DEFAULT_GOAL := help
.PHONY: help install demo test quick test-browser chromium check bench figure house starter clean

help: ## say what can be made
	@echo "make TARGET, where TARGET is one of"
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 16

install: $(STAMP) ## make .venv with the pinned dependencies; a second call does nothing

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, $(PYTHON) is `$(PYTHON) --version 2>&1`;" \
	       "name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments; on Debian: sudo apt install python3-venv" >&2; \
	  exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing pinned dependencies into $(VENV): once, about 1.5 GB on disk."
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP) ## six drawn marrow fields and three real ones, annotated and compared with their truth
	@$(BIN)/python -m annotator demo $(DEMO)

test: $(STAMP) ## the whole test suite
	$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile

quick: $(STAMP) ## the tests that are not marked as slow
	$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile -m "not slow"

test-browser: $(STAMP) chromium ## the review page in a real browser: Debian's Chromium
	$(BIN)/python -m pytest -q -o addopts='--strict-markers --strict-config -ra' tests/browser

chromium:
	@command -v chromium >/dev/null || { test "`id -u`" = 0 && apt-get update -qq \
	  && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || { \
	  echo "Chromium is needed; on Debian: sudo apt install chromium" >&2; exit 1; }

check: $(STAMP) ## style, types, import order and tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile

bench: $(STAMP) ## time and memory of each stage, BENCH=--quick for less; not part of the tests
	@$(BIN)/python tests/bench/run.py $(BENCH)

figure: $(STAMP) ## the picture at the top of the README
	@$(BIN)/python tests/bench/figure.py docs/figure.png

house: $(STAMP) ## the picture of floors and rooms in docs/development.md
	@$(BIN)/python tests/bench/house.py docs/house.svg

starter: $(STAMP) ## the starter network and its classifier, learned from the fields in DATA=FOLDER
	@test -d "$(DATA)" || { echo "Name the folder of fields: make starter DATA=FOLDER" >&2; exit 1; }
	@$(BIN)/python tests/bench/starter.py "$(DATA)"

clean: ## remove the demo and all caches, keep .venv
	rm -rf "$(DEMO)" .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +
