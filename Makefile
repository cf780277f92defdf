# The doors of this checkout. `make` alone explains them. Needs Python 3.11-3.13, git and GNU make.
#
#   PYTHON=…   the Python that .venv is made with (otherwise python3, then 3.13, 3.12, 3.11 by name)
#   ARGS=…     handed on to the command, as in: make run ARGS="--port 8080" · make test ARGS="tests/unit -x"

.DEFAULT_GOAL := help
.PHONY: help setup run test test-all chaos fuzz lint format docs lock audit sbom bench bench-quick bench-render clean
.NOTPARALLEL:

PYTHON ?=
ARGS ?=
VENV := .venv/bin
# Three processes on the smallest machine we promise to serve, which has two cores: the long tests wait more
# than they compute. A file stays in one process, because the stores that a file starts are shared by its
# tests; files are handed out in the order of tests/conftest.py, the long ones first.
PYTEST := $(VENV)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

help: ## Explain these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv with the locked packages; quick when nothing changed
	@PYTHON='$(PYTHON)' sh scripts/setup.sh

# `exec`, so that Ctrl-C and SIGTERM meet the sandbox itself and no shell in between.
run: setup ## Start everything on this machine and import one sample picture; Ctrl-C ends it
	@exec $(VENV)/python -m sandbox $(ARGS)

test: setup ## Run the tests, one case of each class
	@$(PYTEST) -m 'not slow' $(ARGS)

test-all: setup ## Run every test: every row, every seed
	@$(PYTEST) $(ARGS)

# Three seeds of ten minutes each by default; shorter: make chaos ARGS="--seed 1 --imports 100 --minutes 1".
chaos: setup ## Run the whole product under faults and audit it (ARGS="--seed N --imports N --minutes M")
	@exec $(VENV)/python -m tests.chaos $(ARGS)

fuzz: setup ## Render FILES=10000 damaged files; FUZZ_SEED=… begins elsewhere
	@FUZZ_FILES=$(or $(FILES),10000) $(VENV)/python -m pytest -q tests/unit/workers/test_fuzz.py $(ARGS)

lint: setup ## Check style, types and import rules
	@$(VENV)/python -m ruff check .
	@$(VENV)/python -m ruff format --check .
	@$(VENV)/python -m mypy
	@$(VENV)/lint-imports

format: setup ## Format the code and mend what can be mended by itself
	@$(VENV)/python -m ruff check --fix-only .
	@$(VENV)/python -m ruff format .

docs: setup ## Write the pages that are made from code (settings.md and cli.md in docs/reference)
	@$(VENV)/python scripts/document_settings.py docs/reference/settings.md
	@$(VENV)/python scripts/document_commands.py docs/reference/cli.md

lock: setup ## Lock the dependencies of pyproject.toml by hash (UPGRADE=1: newest versions)
	@UPGRADE='$(UPGRADE)' sh scripts/lock.sh $(VENV)/python

audit: setup ## Ask whether a package of production has a known vulnerability; says so where nobody can be asked
	@$(VENV)/python scripts/audit.py $(ARGS)

sbom: setup ## Write the bill of materials (CycloneDX) of what production installs into dist/
	@sh scripts/sbom.sh $(VENV)/python

# Each part stands alone too: .venv/bin/python -m bench.door, .line, .growth, .idle, .fetch.
bench: bench/.venv/made ## Measure the door, the line, growth and fetching, within 15 minutes (bench/README.md)
	@$(VENV)/python -m bench.door
	@$(VENV)/python -m bench.line
	@$(VENV)/python -m bench.growth
	@$(VENV)/python -m bench.idle
	@$(VENV)/python -m bench.fetch

bench-quick: bench/.venv/made ## The same in small, within 3 minutes
	@$(VENV)/python -m bench.door --seconds 3 --rounds 1
	@$(VENV)/python -m bench.line --pictures 40 --tiny 40 --renders 2
	@$(VENV)/python -m bench.growth --sizes 500,2000 --repeat 3

bench-render: bench/.venv/made ## Measure rendering against other engines (ARGS="--files FOLDER"; bench/README.md)
	@SHARP_HOME="$${SHARP_HOME:-$$PWD/bench/.sharp}" exec bench/.venv/bin/python -m bench.render $(ARGS)

# The other engines are no part of the product's environment, and the product is measured as it is shipped.
bench/.venv/made: requirements-production.lock bench/requirements.lock | setup
	@echo 'Making bench/.venv with the production lock and the other engines.' >&2
	@$(VENV)/python -m venv --clear bench/.venv
	@bench/.venv/bin/python -m pip install --require-hashes -r requirements-production.lock
	@bench/.venv/bin/python -m pip install --require-hashes -r bench/requirements.lock
	@touch $@

clean: ## Remove .venv, caches and build leftovers; the sandbox's data in var/ stays
	@rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
