# Everything this project does for a person, in one place. `make` alone says what there is.
# Needs Python 3.11 or newer, make and git; everything else is set up in .venv by the first target that needs it.

SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.synced
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true

.DEFAULT_GOAL := help
# Where this is set, every one of a hundred short processes would compile all that it imports again: some ten seconds each.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup reproduce test test-fast lint format generate restore verify bench docs clean

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## Make .venv and install what uv.lock says (done by the others when missing)

$(STAMP): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with make PYTHON=..." >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=$(VENV) $(BIN)/uv sync --frozen --quiet --inexact
	@touch $(STAMP)

reproduce: $(STAMP) ## The main job at demo scale: every table and figure, offline, on a CPU, in minutes
	@snakemake --cores all --quiet all --config scale=demo -- reproduce_tables
	@transgan summary --scale demo

test: $(STAMP) ## Every test, the slow ones too, and the linters
	@$(MAKE) --no-print-directory lint
	pytest -q -n 2 --dist loadfile

test-fast: $(STAMP) ## The unit tests only
	pytest -q -n 2 --dist loadfile -m "not slow"

lint: $(STAMP) ## ruff, mypy --strict, snakefmt, directions of imports
	ruff check .
	ruff format --check .
	snakefmt --check workflow
	mypy
	lint-imports

format: $(STAMP) ## Let ruff and snakefmt format everything
	ruff check --fix --quiet . || true
	ruff format .
	snakefmt workflow

generate: $(STAMP) ## Write again what is generated: the JSON schema, dvc.yaml's lower part, counted costs, constraints.txt
	python -m transgan.schema.export
	python -m transgan.pipeline.dvc_yaml
	python -m transgan.cost.counts
	uv export --frozen --no-hashes --no-emit-project --no-dev --quiet -o constraints.txt

restore: $(STAMP) ## After `dvc checkout` or `dvc pull`: pull what is missing and tell Snakemake that it is current
	@if [ -n "$$(dvc remote list)" ]; then dvc pull; else dvc checkout; fi
	@snakemake --cores 1 --touch --quiet all -- reproduce_tables

verify: $(STAMP) ## The demo through Snakemake and through DVC, from two fresh clones: same bytes (KEEP=FOLDER keeps them)
	python benchmarks/verify.py $(if $(KEEP),--keep $(KEEP))

bench: $(STAMP) ## Measure speed here; results go to benchmarks/results
	python benchmarks/train_step.py
	python benchmarks/data.py
	python benchmarks/scoring.py

docs: $(STAMP) ## Make again the pages and pictures that are made from results
	python benchmarks/demo_page.py

clean: $(STAMP) ## List state that no run uses any more (transgan clean --delete removes it)
	@transgan clean
