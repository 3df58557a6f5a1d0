# Everything a checkout needs, from Python >= 3.11, make and git alone. `make help` lists the targets.
#
#   PYTHON=python3.12   which Python makes the environment
#   PORT, HOST, DATA_DIR, OPTIONS   for `make run`
#   PYTEST              arguments for pytest, e.g. make test PYTEST='-k playlist -x'
#   UPGRADE=1           lets `make lock` take newer versions

SHELL = /bin/sh
.SHELLFLAGS = -eu -c
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL = help
.DELETE_ON_ERROR:

PYTHON ?=
PORT ?= $(or $(LONGWAVE_PORT),8080)
HOST ?= $(or $(LONGWAVE_HOST),127.0.0.1)
DATA_DIR ?= $(or $(LONGWAVE_DATA_DIR),data)
OPTIONS ?=
PYTEST ?=
# Most of a round is waiting for real time: two of them cost little more than one. Files stay whole: their tests
# share servers and takes. The order is that of tests/side_by_side.py.
SIDE_BY_SIDE = -n 2 --dist loadfile --no-loadscope-reorder
BENCH ?=

VENV = .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check --quiet
# Stamps: a target whose stamp is newer than its inputs does nothing, so a second `make run` starts at once.
RUNTIME = $(VENV)/.longwave-runtime
DEV = $(VENV)/.longwave-dev
# npm writes this file last. Where there is no lock file there is nothing to install.
PAGES = $(patsubst %/package-lock.json,%/node_modules/.package-lock.json,$(wildcard origin/web/package-lock.json))
ORACLE = tests/oracle/node_modules/.package-lock.json
LINT = infra/lint/node_modules/.package-lock.json

.PHONY: help install dev run check lint test test-faults soak bench lock clean distclean programs

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

install: $(RUNTIME) $(PAGES) ## install Longwave into .venv, and hls.js for the pages where npm exists

dev: install $(DEV) ## the same, with the tools for `make check` and `make test`

run: install ## start Longwave with a demo room that speaks (PORT, HOST, DATA_DIR)
	@exec $(BIN)/longwave serve --demo --host $(HOST) --port $(PORT) --data-dir $(DATA_DIR) $(OPTIONS)

check: $(DEV) lint ## ruff, strict mypy, import direction, Dockerfile, infra/compose and alert rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy .
	$(BIN)/lint-imports --no-cache

lint: $(DEV) $(LINT) ## Dockerfile, infra/compose and alert rules alone, without a container engine
	@infra/lint.sh $(BIN)

test: dev programs $(ORACLE) ## every test; installs test programs where it may (Debian, root)
	@$(BIN)/pytest -m 'not soak and not cluster' $(SIDE_BY_SIDE) $(PYTEST)

test-faults: dev programs ## kills, cuts, full disks, many machines; each fault at its full length, with figures
	@LONGWAVE_FAULTS=full $(BIN)/pytest -m 'faults or cluster' $(PYTEST)

test-cluster: dev programs ## the faults between many machines alone, each of a few seconds
	@$(BIN)/pytest -m cluster $(PYTEST)

test-round: dev programs ## a round of them that takes less than five minutes, for CI
	@$(BIN)/pytest -m round $(PYTEST)

soak: dev programs ## the long runs: ten minutes of audio, listened to
	@$(BIN)/pytest -m soak --timeout 1800 -s $(PYTEST)

bench: dev programs ## measured figures beside those of ffmpeg and nginx
	@$(BIN)/python -m benchmarks $(BENCH)

programs:
	@infra/test-programs.sh

lock: $(DEV) ## pin what pyproject.toml asks for, with hashes
	infra/lock.sh $(BIN) $(if $(UPGRADE),--upgrade)

clean: ## remove what tools left behind
	rm -rf build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -not -path '*/node_modules/*' -prune -exec rm -rf {} +

distclean: clean ## and the environment and npm packages with it; what Longwave recorded stays
	rm -rf $(VENV) origin/web/node_modules tests/oracle/node_modules infra/lint/node_modules

$(RUNTIME): requirements.lock pyproject.toml infra/venv.sh
	@infra/venv.sh $(VENV) $(PYTHON)
	@echo "installing Longwave into $(VENV)"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements-dev.lock $(RUNTIME)
	@echo "installing the tools for tests and checks into $(VENV)"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

%/node_modules/.package-lock.json: %/package-lock.json infra/npm-ci.sh
	@infra/npm-ci.sh $*
