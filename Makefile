# The commands of this project; `make` alone lists them. They need Python 3.11 to 3.13, make and git. The first one that
# needs an environment creates it in .venv.

SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.synced
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true

.DEFAULT_GOAL := help
# With this variable, each of a hundred short processes would compile all its imports again, which takes ten seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup setup-servers reproduce test test-fast test-faults test-cluster test-servers test-newest lint format generate restore verify bench docs site clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: $(STAMP) ## Create .venv with the versions of uv.lock (other targets do this if it is missing)

$(STAMP): pyproject.toml uv.lock
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "Python 3.11 to 3.13 is needed; name one with make PYTHON=..." >&2; exit 2; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=$(VENV) $(BIN)/uv sync --frozen --quiet --inexact
	@touch $(STAMP)

setup-servers: $(STAMP) ## Add what an MLflow server on PostgreSQL (docs/mlflow.md) and the tests of DVC remotes need to .venv
	UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=$(VENV) $(BIN)/uv sync --frozen --quiet --inexact --group servers

reproduce: $(STAMP) ## The main job at demo scale: every table and figure, offline, on a CPU, in minutes
	@snakemake --cores all --config scale=demo -- reproduce_tables
	@$(RECORD)
	@transgan summary --scale demo

# What Snakemake computed, recorded for DVC: `dvc repro` then has nothing to do. DVC's scale is that of params.yaml.
RECORD = if [ -e .git ] && grep -q '^scale: demo$$' params.yaml; then \
  transgan resolve && { dvc status --quiet || dvc commit --force --quiet; } || \
  echo "reproduce: the results are complete, but DVC has not recorded them; 'dvc repro' will" >&2; fi

test: $(STAMP) ## All tests, slow ones included, and the linters
	@$(MAKE) --no-print-directory lint
	pytest -q -n 2 --dist loadfile

test-fast: $(STAMP) ## All but the slow tests
	pytest -q -n 2 --dist loadfile -m "not slow"

test-faults: $(STAMP) ## Every fault that is tested, counted: kills of stages, damaged files, bad inputs, secrets
	FAULTS=all pytest -q -n 2 --dist loadfile -m faults

NEWEST := .venv-newest
test-newest: $(STAMP) ## The fast tests with the newest releases that pyproject.toml allows (BEYOND=1: with any), in .venv-newest
	"$(PYTHON)" -m venv --clear $(NEWEST)
	$(BIN)/python -m tests.dependencies > $(NEWEST)/unbounded.txt
	$(BIN)/uv pip install --quiet --python $(NEWEST)/bin/python $(if $(BEYOND),--override $(NEWEST)/unbounded.txt) -e '.[all]' --group dev
	$(BIN)/uv pip list --python $(NEWEST)/bin/python --outdated
	PATH="$(CURDIR)/$(NEWEST)/bin:$$PATH" $(NEWEST)/bin/python -m pytest -q -n 2 --dist loadfile -m "not slow"

test-cluster: $(STAMP) ## A real Slurm in a temporary folder, and kills at ten random moments each (as root, with Debian's slurmd)
	CLUSTER_KILLS=10 pytest -q -n 0 tests/cluster

test-servers: $(STAMP) ## A real MLflow server on PostgreSQL: 16 writers, 100,000 points, kill -9 (with Debian's postgresql)
	@$(MAKE) --no-print-directory setup-servers
	SERVER_WRITERS=16 SERVER_ROWS=782 pytest -q -n 0 tests/tracking/server

lint: $(STAMP) ## ruff, mypy --strict, snakefmt, and the directions of imports
	ruff check .
	ruff format --check .
	snakefmt --check workflow
	mypy
	lint-imports

format: $(STAMP) ## Format all code with ruff and snakefmt
	ruff check --fix --quiet . || true
	ruff format .
	snakefmt workflow

generate: $(STAMP) ## Update generated files: the JSON schema, dvc.yaml's lower part, counted costs, docs/architectures.md, constraints.txt
	python -m transgan.schema.export
	python -m transgan.pipeline.dvc_yaml
	python -m transgan.cost.counts
	python -m transgan.report.architectures
	uv export --frozen --no-hashes --no-emit-project --no-dev --quiet -o constraints.txt

restore: $(STAMP) ## Restore results with `dvc pull`, or `dvc checkout` without a remote; Snakemake then has nothing to do
	@if [ -n "$$(dvc remote list)" ]; then dvc pull --allow-missing; else dvc checkout --allow-missing; fi
	@python -m transgan.pipeline.restored
	@snakemake --cores 1 --touch --quiet all -- reproduce_tables

verify: $(STAMP) ## Run the demo with Snakemake and with DVC in fresh clones and compare all bytes (KEEP=FOLDER keeps them)
	python benchmarks/verify.py $(if $(KEEP),--keep '$(KEEP)')

bench: $(STAMP) ## Measure speed on this machine; results go to benchmarks/results
	python benchmarks/train_step.py
	python benchmarks/data.py
	python benchmarks/scoring.py

docs: $(STAMP) ## Update pages and images that are generated from results
	python benchmarks/demo_page.py

site: $(STAMP) ## Build the documentation as a site, in site/ (python -m http.server --directory site)
	UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=$(VENV) $(BIN)/uv sync --frozen --quiet --inexact --group docs
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

clean: $(STAMP) ## List unused state folders (`transgan clean --delete` removes them)
	@transgan clean
