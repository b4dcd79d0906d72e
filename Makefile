# The commands of this repository, the same by hand and in CI. Each makes its own environment first.
PYTHON ?= python3
BIN := .venv/bin
TESTS := $(wildcard tests sdk/python/tests sdk/cli/tests)
# Each process of pytest has a Postgres of its own; the tests of one file stay together.
SIDE_BY_SIDE := -n logical --maxprocesses 4 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo up test check bench bench-scale prove fix proto clean

help: ## Say what each target does
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' Makefile

demo: ## Start Postgres, a server and workers; run the example DAGs and show what happened
	@$(PYTHON) bootstrap.py demo
	@$(BIN)/python -m tools.demo

up: ## Start a server with its own Postgres and keep it running
	@$(PYTHON) bootstrap.py demo
	@$(BIN)/glidepath up

test: ## Run every test
	@$(PYTHON) bootstrap.py
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(TESTS) $(PYTEST_OPTIONS)
	@$(BIN)/python -m tools.go_tests

check: ## Lint, format, types, layers, protos, generated code, house rules
	@$(PYTHON) bootstrap.py dev demo codegen
	@$(BIN)/python -m tools.check

bench: ## Measure the figures of the README on this machine
	@$(PYTHON) bootstrap.py
	@$(BIN)/python tests/benchmarks/run.py $(BENCH_OPTIONS)

bench-scale: ## Measure what the system does when there is much of everything
	@$(PYTHON) bootstrap.py
	@$(BIN)/python tests/benchmarks/scale.py $(BENCH_OPTIONS)

prove: ## Search longer for a broken promise than `make test` does, and write docs/proof.md
	@$(PYTHON) bootstrap.py
	@$(BIN)/python -m tools.prove $(PROVE_OPTIONS)

fix: ## Let ruff mend what it can: import order, layout
	@$(PYTHON) bootstrap.py
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet .

proto: ## Regenerate the code that proto/ describes
	@$(PYTHON) bootstrap.py codegen
	@.venv-codegen/bin/python -m tools.codegen

clean: ## Remove the environments and everything built; data in .glidepath stays
	rm -rf .venv .venv-codegen build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
