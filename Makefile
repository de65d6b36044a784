# Wongate: everything a developer types. `make help` lists it.
# Set-up is a stamp file per lock: the second run of any target starts at once.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# pip from outside fills the virtual environment, so that a Python without ensurepip (Debian's) is enough.
PIP := $(PYTHON) -m pip --python $(BIN)/python --disable-pip-version-check --quiet
RUN_READY := $(VENV)/.run-$(shell cksum < requirements.lock | tr -d ' ')
FAILOVER := $(VENV)/failover
FAILOVER_READY := $(FAILOVER)/.ready-$(shell cksum < tests/failover/requirements.lock | tr -d ' ')
TEST_READY := $(VENV)/.test-$(shell cat requirements-test.lock package-lock.json 2>/dev/null | cksum | tr -d ' ')

.PHONY: help run test test-faults test-failover test-citus simulate bench bench-compare chart lint fmt schema lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

run: $(RUN_READY)  ## the sandbox: platform, worker, simulator, demo shop (ARGS="--port 9000")
	@exec $(BIN)/wongate sandbox --die-with-parent $$PPID $(ARGS)

test: $(TEST_READY)  ## everything that decides whether a change may land
	@exec $(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m "not faults" $(ARGS)

test-faults: $(TEST_READY)  ## real processes killed, cut and frozen under load (WONGATE_FAULT_PAYMENTS=1000)
	@WONGATE_FAULT_PAYMENTS=$${WONGATE_FAULT_PAYMENTS:-200} WONGATE_FAULT_REFUNDS=1000 \
	  WONGATE_FAULT_ROUNDS=$${WONGATE_FAULT_ROUNDS:-200} exec $(BIN)/python -m pytest tests/faults $(ARGS)

test-failover: .etcd $(TEST_READY) $(FAILOVER_READY)  ## a Patroni cluster loses machines under load (WONGATE_FAILOVERS=3)
	@WONGATE_PATRONI=$(CURDIR)/$(FAILOVER)/bin/patroni exec $(BIN)/python -m pytest -m faults tests/failover $(ARGS)

test-citus: $(TEST_READY)  ## store, flow, web, simulation suites and the bench on WONGATE_TEST_CITUS_URL
	@test -n "$$WONGATE_TEST_CITUS_URL" || \
	  { echo "make test-citus ran nothing: WONGATE_TEST_CITUS_URL names no Citus coordinator (docs/scale.md)" >&2; exit 2; }
	@$(BIN)/python -m pytest -m "not faults and not story" tests/store tests/flows tests/web tests/simulation $(ARGS)
	@exec $(BIN)/python -m bench

.PHONY: .etcd
.etcd:
	@command -v etcd >/dev/null || { echo "make test-failover needs etcd: apt-get install etcd-server" >&2; exit 2; }

simulate: $(TEST_READY)  ## seeded simulation: SEEDS=2000, SEED=123 [TRACE=1], POINTS=1 all crash points, MUTATIONS=1 breakages
	@exec $(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) \
	  $(if $(FIRST),--first $(FIRST)) $(if $(POINTS),--points) $(if $(MUTATIONS),--mutations) \
	  $(if $(BROKEN),--broken "$(BROKEN)") $(if $(TRACE),--trace) $(ARGS)

bench: $(TEST_READY)  ## everything measured, beside pgbench and a peer in the same run; 15 minutes (ARGS=--help)
	@exec $(BIN)/python -m bench $(ARGS)

bench-compare: $(TEST_READY)  ## two results with their spread: A=FILE[,FILE...] B=FILE[,FILE...]
	@exec $(BIN)/python -m bench.compare "$(A)" "$(B)"

chart: $(TEST_READY)  ## picture and tables of README and docs/performance.md: RESULTS="FILE ..." of make bench
	@exec $(BIN)/python -m bench.chart $(RESULTS)

lint: $(TEST_READY)  ## ruff, mypy, import contracts
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

fmt: $(TEST_READY)  ## format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

schema: $(TEST_READY)  ## write docs/schema.sql anew from the migrations
	@$(BIN)/python -m tests.store.schema > docs/schema.sql

lock:  ## resolve the dependencies anew (needs uv)
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --python-version 3.11 pyproject.toml -o requirements.lock
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --python-version 3.11 --extra test pyproject.toml -c requirements.lock -o requirements-test.lock
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --python-version 3.11 tests/failover/requirements.in -o tests/failover/requirements.lock
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --python-version 3.11 bench/peers.in -o bench/peers.lock

clean:  ## forget the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build node_modules

$(VENV)/pyvenv.cfg:
	@echo "Setting up a virtual environment in $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Wongate needs Python 3.11 or newer; name one with PYTHON=...")'
	@$(PYTHON) -m venv --without-pip $(VENV)

$(RUN_READY): $(VENV)/pyvenv.cfg requirements.lock
	@echo "Installing the locked dependencies (once, about a minute) ..."
	@$(PIP) install --require-hashes --only-binary :all: -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(TEST_READY): $(VENV)/pyvenv.cfg requirements-test.lock package-lock.json
	@echo "Installing the locked test dependencies (once, a minute or two) ..."
	@$(PIP) install --require-hashes --only-binary :all: -r requirements-test.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@$(BIN)/python tests/setup.py
	@touch $@

# Patroni apart from everything else: python-etcd, which it needs, is no wheel.
$(FAILOVER_READY): tests/failover/requirements.lock
	@echo "Installing Patroni into $(FAILOVER) (once, some seconds) ..."
	@$(PYTHON) -m venv --without-pip $(FAILOVER)
	@$(PYTHON) -m pip --python $(FAILOVER)/bin/python --disable-pip-version-check --quiet install --require-hashes -r $<
	@touch $@
