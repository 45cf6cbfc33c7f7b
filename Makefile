# Set-up, demo, tests and packages of clv. `make` alone prints what there is.
# Needs: make, a POSIX shell and Python 3.10 to 3.13. Everything else is installed into .venv.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
# Tests at a time. Each worker starts its own Spark with up to 2 GiB of heap.
WORKERS ?= 2
PYTEST_ARGS ?=
# Orders that `make bench` generates, and customers that `make bench-gold` and `make bench-models` simulate.
ORDERS ?= 1000000
CUSTOMERS ?= 1000000
# Buckets of customers in silver for `make bench-nights`; with SKEWED=yes one customer has a tenth of the orders, and one
# month half of them; with REFUNDS=yes a tenth of them is refunded.
BUCKETS ?= 4
SKEWED ?=
REFUNDS ?=
# With MORE_CUSTOMERS=10000000 `make bench-models` fits as many too, without a peer.
MORE_CUSTOMERS ?= 0
# The data set Online Retail as CSV, for `make test-retail` and `make accuracy-study`; without it the latter keeps its table.
ONLINE_RETAIL ?=
# The interpreter of .venv: PYTHON=/path/to/python, or the first of these that is 3.10 to 3.13.
PYTHON ?=
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3.11 python3.12 python3.13 python3.10 python3 python)

VENV_DONE := $(VENV)/.clv-venv
RUNTIME_DONE := $(VENV)/.clv-runtime
DEV_DONE := $(VENV)/.clv-dev
JARS_DONE := $(VENV)/.clv-jars

# $(call install,ARGUMENTS): uv if it is there, else the pip of .venv. Both check hashes when the lock file has them.
# pyspark comes as sources: its 450 MB of JARs, which are compressed already, are packed as they are. Modules are
# compiled when they are imported, as with uv: a demo needs a tenth of them.
define install
	export DIST_EXTRA_CONFIG="$$PWD/requirements/wheels.cfg"; \
	if command -v uv >/dev/null 2>&1; then \
	  VIRTUAL_ENV="$$PWD/$(VENV)" uv pip install $(1); \
	else \
	  $(BIN)/python -m pip install --disable-pip-version-check --no-compile $(1); \
	fi
endef

.PHONY: help
help: ## Print this list
	@echo "clv: customer lifetime value on Delta tables"
	@echo
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  PYTHON=/path/to/python   the interpreter for $(VENV) (3.10 to 3.13)"
	@echo "  WORKERS=2                test processes at a time"
	@echo "  PYTEST_ARGS='-k name'    further arguments for pytest"

.PHONY: setup
setup: $(RUNTIME_DONE) $(JARS_DONE) ## Make .venv with pinned dependencies, Java if none is found, and the Delta JARs

.PHONY: demo
demo: setup ## Generate demo data, run the whole job on it and print what it says
	$(BIN)/clv demo --config conf/demo.yaml

.PHONY: test
test: setup $(DEV_DONE) ## Run the tests but those of `make test-long` (15 minutes)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

.PHONY: test-long
test-long: setup $(DEV_DONE) ## Run the seven tests of a minute or more that `make test` leaves out (10 minutes)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m long $(PYTEST_ARGS)

.PHONY: test-nights
test-nights: setup $(DEV_DONE) ## Compare refreshed with rebuilt silver over many generated nights (half an hour)
	CLV_NIGHTS=20 $(BIN)/python -m pytest -n 0 tests/spark/test_refresh.py $(PYTEST_ARGS)

.PHONY: test-kills
test-kills: setup $(DEV_DONE) ## Kill drivers at each commit of a run and at 50 random moments (about an hour)
	$(BIN)/python -m pytest -n 0 -s -m drill tests/spark/test_kills.py $(PYTEST_ARGS)

.PHONY: test-week
test-week: setup $(DEV_DONE) ## Seven nights with dirt, late rows, a refusal, a killed driver and an erasure (20 minutes)
	$(BIN)/python -m pytest -n 0 -s -m drill tests/spark/test_week.py $(PYTEST_ARGS)

.PHONY: test-retail
test-retail: setup $(DEV_DONE) ## Feed Online Retail night by night with late lines; ONLINE_RETAIL=file.csv (20 minutes)
	CLV_ONLINE_RETAIL=$(abspath $(ONLINE_RETAIL)) $(BIN)/python -m pytest -n 0 -s -m drill tests/spark/test_retail_nights.py $(PYTEST_ARGS)

.PHONY: lint
lint: $(DEV_DONE) ## ruff, mypy (strict) and the import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(DEV_DONE) ## Format the code and apply ruff's safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: dist
dist: $(RUNTIME_DONE) ## Build the wheel, and dist/clv_lib.zip for spark-submit --py-files
	rm -rf dist build/lib build/bdist.*
	$(BIN)/python -c "from setuptools import build_meta; build_meta.build_wheel('dist')"
	@# Spark's Python workers import from .zip but not from .whl, so the same archive gets both names.
	cp dist/clv_lib-*.whl dist/clv_lib.zip
	@ls -l dist

.PHONY: bench
bench: setup $(DEV_DONE) ## Measure the job beside its floors and DuckDB (minutes)
	$(BIN)/python -m tests.benchmarks.run job --orders $(ORDERS)

.PHONY: bench-gold
bench-gold: setup $(DEV_DONE) ## Measure the steps after the intake on a generated customer_months (minutes)
	$(BIN)/python -m tests.benchmarks.run gold --customers $(CUSTOMERS)

.PHONY: bench-models
bench-models: setup $(DEV_DONE) ## Measure fits and scoring beside lifetimes and SciPy per row (minutes)
	$(BIN)/python -m tests.benchmarks.run models --customers $(CUSTOMERS) --more-customers $(MORE_CUSTOMERS)

.PHONY: bench-nights
bench-nights: setup $(DEV_DONE) ## Measure silver of a night with one new day beside making it anew (minutes)
	$(BIN)/python -m tests.benchmarks.run nights --orders $(ORDERS) --buckets $(BUCKETS) $(if $(SKEWED),--skewed) $(if $(REFUNDS),--refunds)

.PHONY: coverage-study
coverage-study: setup $(DEV_DONE) ## Simulate how often intervals hold; writes docs/coverage.md
	$(BIN)/python -m tests.studies.coverage

.PHONY: accuracy-study
accuracy-study: setup $(DEV_DONE) ## Run public data and the demo through the models; writes docs/accuracy.md
	$(BIN)/python -m tests.studies.accuracy $(if $(ONLINE_RETAIL),--online-retail $(ONLINE_RETAIL))

.PHONY: lock
lock: $(DEV_DONE) ## Resolve requirements/*.lock again from pyproject.toml and requirements/*.in (needs uv)
	uv pip compile $(LOCK_FLAGS) requirements/build.in -o requirements/build.lock
	uv pip compile $(LOCK_FLAGS) -c requirements/pins.in --extra java pyproject.toml -o requirements/runtime.lock
	uv pip compile $(LOCK_FLAGS) -c requirements/runtime.lock --extra java --extra dev pyproject.toml -o requirements/dev.lock

LOCK_FLAGS := --quiet --universal --python-version 3.10 --generate-hashes --no-header --no-annotate \
  --no-emit-index-url --no-emit-find-links

.PHONY: clean
clean: ## Remove everything that was built, .venv and the demo's lake included
	rm -rf $(VENV) build dist *.egg-info spark-warehouse metastore_db derby.log
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find clv_lib jobs tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(VENV_DONE):
	@chosen=""; seen=""; \
	for candidate in $(CANDIDATES); do \
	  found="$$($$candidate -c 'import platform; print(platform.python_version())' 2>/dev/null)" || continue; \
	  seen="$$seen $$candidate=$$found"; \
	  case "$$found" in 3.10.*|3.11.*|3.12.*|3.13.*) chosen="$$candidate"; break;; esac; \
	done; \
	if [ -z "$$chosen" ]; then \
	  echo "make: clv needs Python 3.10, 3.11, 3.12 or 3.13." >&2; \
	  echo "  found:$${seen:- none of $(CANDIDATES)}" >&2; \
	  echo "  to do: install one of them, or name it: make setup PYTHON=/path/to/python3.11" >&2; \
	  exit 1; \
	fi; \
	echo "Making $(VENV) with $$chosen ($$found)"; \
	if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --clear --python "$$(command -v $$chosen)" $(VENV); \
	elif ! $$chosen -m venv --clear $(VENV); then \
	  echo "make: $$chosen cannot make a virtual environment." >&2; \
	  echo "  to do: install its venv module (on Debian and Ubuntu: apt install python3-venv), or install uv" >&2; \
	  exit 1; \
	fi
	@touch $@

# The project itself is installed editable, without its dependencies: those come from the lock file alone.
$(RUNTIME_DONE): $(VENV_DONE) requirements/build.lock requirements/runtime.lock pyproject.toml
	@echo "Installing the pinned dependencies (about 700 MB, pyspark is most of it)"
	@$(call install,--require-hashes -r requirements/build.lock)
	@$(call install,--require-hashes --no-build-isolation -r requirements/runtime.lock)
	@$(call install,--no-deps --no-build-isolation --editable .)
	@touch $@

$(DEV_DONE): $(RUNTIME_DONE) requirements/dev.lock
	@echo "Installing the pinned tools for tests and lint"
	@$(call install,--require-hashes --no-build-isolation -r requirements/dev.lock)
	@touch $@

$(JARS_DONE): $(RUNTIME_DONE) clv_lib/jars.py
	@$(BIN)/python -m clv_lib.jars
	@touch $@
