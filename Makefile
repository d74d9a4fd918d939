# The two commands of the README: make run, make test. Everything installs into .venv, once.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SCENARIO ?= digits
SERVICE ?= pypi
FASHION = data/01_raw/FashionMNIST/raw

# No telemetry from anything started here. MLflow obeys the word "true" only, Kedro and Hugging Face any value.
export DO_NOT_TRACK = true
export KEDRO_DISABLE_TELEMETRY = 1
export DVC_NO_ANALYTICS = 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1

# Tests on all cores, a file on one of them; one thread each, as several wait for each other.
PARALLEL = OMP_NUM_THREADS=1
WORKERS = -n auto --dist loadfile

# TEACHER=x becomes --teacher x, CLASS_NAMES=y --class-names y.
given = $(if $($(call variable,$(1))),--$(1) '$(subst ','\'',$($(call variable,$(1))))')
variable = $(shell echo $(1) | tr a-z- A-Z_)

.PHONY: help run test lint e2e soak test-pythons ui fashion-mnist scenario parameters lock audit
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13: name one that is, as in make $(or $(MAKECMDGOALS),run) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# A stamp is written only when its installation succeeded, so an interrupted one starts again. The locks are whole and
# installed without pip's resolver: as soon as an index has a newer version of a package that another one wants with an
# extra (coverage[toml]), it refuses the one with a hash.
$(VENV)/.run: $(VENV)/.python requirements.lock pyproject.toml
	@echo "Installing the pinned environment into $(VENV) (about 3 GB to fetch, 7 GB on disk, a few minutes) ..."
	@$(BIN)/pip install -qq --no-deps --require-hashes -r requirements.lock
	@$(BIN)/pip install -qq --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.test: $(VENV)/.run requirements-all.lock
	@echo "Installing what the tests need ..."
	@$(BIN)/pip install -qq --no-deps --require-hashes -r requirements-all.lock
	@report=$$($(BIN)/pip check) || { echo "$$report"; exit 1; }
	@touch $@

run: $(VENV)/.run  ## the whole chain on SCENARIO (default: digits)
	@$(BIN)/kedro run --env $(SCENARIO)

test: $(VENV)/.test lint  ## lint, types, tests
	@$(PARALLEL) $(BIN)/pytest $(WORKERS)

lint: $(VENV)/.test  ## style, security rules, import layers, types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@report=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$report"; exit 1; }; echo "$$report" | tail -n 1
	@$(BIN)/mypy -n auto

e2e: $(VENV)/.test  ## the real command lines, minutes
	@$(PARALLEL) $(BIN)/pytest tests/e2e $(WORKERS) --durations=25

soak: $(VENV)/.test  ## the long forms of the fault campaigns, hours; goes on where it was stopped
	@$(BIN)/pytest tests/e2e/soak --long

test-pythons:  ## the tests on every Python of 3.11, 3.12, 3.13 that is installed
	@for version in 3.11 3.12 3.13; do \
	  if python$$version -c '' 2>/dev/null; then \
	    echo "== Python $$version"; \
	    $(MAKE) --no-print-directory .venv-$$version/.test VENV=.venv-$$version PYTHON=python$$version \
	      && .venv-$$version/bin/pytest || exit 1; \
	  else echo "== Python $$version: not installed"; fi; \
	done

ui: $(VENV)/.run  ## the MLflow page of the local store
	@$(BIN)/mlflow ui --backend-store-uri sqlite:///mlflow.db

fashion-mnist:  ## unpack Debian's package dataset-fashion-mnist into data/01_raw
	@files=$$(dpkg -L dataset-fashion-mnist 2>/dev/null | grep 'ubyte\.gz$$'); \
	  [ -n "$$files" ] || { echo "The package is not installed: apt install dataset-fashion-mnist, then make fashion-mnist"; exit 1; }; \
	  mkdir -p $(FASHION) && for file in $$files; do gunzip -c $$file >$(FASHION)/$$(basename $$file .gz) || exit 1; done; \
	  echo "Fashion-MNIST is in $(FASHION). Next: make run SCENARIO=fashion_mnist"

scenario: $(VENV)/.run  ## a new scenario for TEACHER; without it, the DVC pipeline file of scenario NAME
	@$(BIN)/kedro scenario $(NAME) $(foreach option,teacher architecture class-names image-size normalisation crop test-data student method like minutes,$(call given,$(option)))

parameters: $(VENV)/.run  ## docs/parameters.md from the docstrings
	@$(BIN)/python -m nayer.workflow.parameters_page >docs/parameters.md

LOCK = uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml
lock:  ## resolve pyproject.toml into the two locks (needs uv)
	@$(LOCK) -o requirements.lock
	@$(LOCK) --all-extras -c requirements.lock -o requirements-all.lock

# Without --strict, what no advisories could be had for passes.
AUDIT = $(BIN)/pip-audit --strict --require-hashes --disable-pip -r requirements-all.lock --progress-spinner off
audit: $(VENV)/.test  ## known vulnerabilities of all pinned packages; SERVICE=osv asks api.osv.dev instead of PyPI
	@report=$$($(AUDIT) -s $(SERVICE) 2>&1) && echo "$$report" || { \
	  case "$$report" in *"Found "*) echo "$$report" ;; *) echo "$$report" | tail -n 1; \
	    echo "NOT AUDITED: $(SERVICE) gave no advisories. Run it where pypi.org or api.osv.dev answers." ;; \
	  esac; exit 1; }
