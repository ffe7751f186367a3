# Needs Python 3.11 or newer with pip, and make. Begin with `make demo` (`make demo KEEP=1` keeps it
# running, with its page; `make demo ONLY=support` plays examples/support) and `make test`;
# `make test-all` runs every test, `make chaos` causes faults at random.
# Another interpreter: make check PYTHON=python3.13 VENV=.venv-3.13

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
# Includes the unit tests that need a container: they run on PostgreSQL what `make check` runs on SQLite.
INTEGRATION := tests/integration tests/browser tests/faults tests/chaos tests/fuzz tests/unit
# For two cores: each worker begins with the tests of one broker, and takes others when it has finished.
SIDE_BY_SIDE := -n 2 --dist worksteal
SUPPLY := $(VENV)-supply
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links

# The tests remove their own containers; testcontainers' reaper would be one more image to pull.
export TESTCONTAINERS_RYUK_DISABLED ?= true
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo machine test rest test-all chaos fuzz check k8s-check venv fmt coverage bench lock audit \
	licences sbom vendor screenshots clean

demo: venv
	@$(BIN)/hutch demo $(if $(ONLY),--only $(ONLY)) $(if $(KEEP),--keep)

# For developers: about twelve minutes on two quiet cores, with a test of each promise (`essential`).
test: machine check
	$(PYTEST) $(INTEGRATION) -m essential $(SIDE_BY_SIDE) --durations=10
	$(PYTEST) tests/e2e -m essential --durations=10

# All other tests, once each. CI sets a seed and a time limit: LIMIT="-p tests.support.time_limit --seed …".
rest: $(VENV)/.dev .venv-k8s/.checks
	$(PYTEST) $(INTEGRATION) tests/e2e tests/k8s -m "not essential and not unit" $(SIDE_BY_SIDE) \
		--durations=15 $(LIMIT)

test-all: test rest licences sbom

# Prints what this machine has and which tests are left out; installs the distribution's broker if allowed.
machine: $(VENV)/.dev
	@$(BIN)/python -m tests.support.machine

# make chaos [SECONDS=60] [SEED=1] [STORE=sqlite|postgresql]
chaos: $(VENV)/.dev
	$(BIN)/python -m tests.chaos $(if $(SECONDS),--seconds $(SECONDS)) \
		$(if $(SEED),--seed $(SEED)) $(if $(STORE),--store $(STORE))

# make fuzz [SECONDS=60] [SEED=1] [STORE=sqlite|postgresql]
fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.fuzz $(if $(SECONDS),--seconds $(SECONDS)) \
		$(if $(SEED),--seed $(SEED)) $(if $(STORE),--store $(STORE))

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) tests/unit -m unit $(SIDE_BY_SIDE)

# The rendered manifests: schemas, security, names. Its tools have their own environment, see k8s/checks.in.
k8s-check: $(VENV)/.dev .venv-k8s/.checks
	$(PYTEST) tests/k8s

.venv-k8s/.checks: k8s/checks.lock
	$(BIN)/python -m venv .venv-k8s
	.venv-k8s/bin/pip install --quiet --require-hashes -r k8s/checks.lock
	@touch $@

fmt: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Includes subprocesses; the unit tests alone have a minimum of their own.
coverage: $(VENV)/.dev
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q tests/unit -m unit
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=70 --format=total
	$(BIN)/coverage run -m pytest -q $(INTEGRATION) -m "not long"
	$(BIN)/coverage combine --quiet --append
	$(BIN)/coverage report --fail-under=90

# Figures of this machine, for docs/bench.md; let nothing else run beside it. make bench [QUICK=1]
bench: $(VENV)/.dev
	@$(MAKE) --no-print-directory $(VENV)/.bench || \
		echo "make: DBOS could not be installed: its rows are left out" >&2
	$(BIN)/python -m tests.bench $(if $(QUICK),--quick)

$(VENV)/.bench: requirements-bench.lock $(VENV)/.dev
	$(BIN)/pip install --quiet --require-hashes -r requirements-bench.lock
	@touch $@

# Needs uv. The locks name no package index: pip's settings choose it.
lock:
	$(COMPILE) pyproject.toml --output-file requirements.lock
	$(COMPILE) pyproject.toml --extra dev --constraints requirements.lock --output-file requirements-dev.lock
	$(COMPILE) pyproject.toml --extra dev --extra bench --constraints requirements-dev.lock \
		--output-file requirements-bench.lock
	$(COMPILE) k8s/checks.in --output-file k8s/checks.lock
	$(COMPILE) --group supply --output-file requirements-supply.lock

# The image's packages, by its lock: known vulnerabilities, licences, bill of materials. See docs/security.md.
audit: $(SUPPLY)/.ready
	@$(SUPPLY)/bin/pip-audit --strict --progress-spinner off --disable-pip --require-hashes \
		-r requirements.lock || { echo "make: the audit failed: a known vulnerability is named above," \
		"or PyPI could not be asked, and then nothing was audited" >&2; exit 1; }

licences: $(SUPPLY)/.ready $(VENV)/.runtime
	@$(SUPPLY)/bin/pip-licenses --python $(BIN)/python --with-urls \
		--packages $$(sed -n 's/==.*//p' requirements.lock)

sbom: $(SUPPLY)/.ready
	@mkdir -p build
	@$(SUPPLY)/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml \
		--output-reproducible --output-file build/sbom.cdx.json
	@echo "build/sbom.cdx.json"

$(SUPPLY)/.ready: requirements-supply.lock
	$(PYTHON) -m venv $(SUPPLY)
	$(SUPPLY)/bin/pip install --quiet --require-hashes -r requirements-supply.lock
	@touch $@

# The packages of the gateway's page, from npm; see scripts/vendor.py.
vendor:
	$(PYTHON) scripts/vendor.py

# The pictures of README.md. Needs chromium.
screenshots: $(VENV)/.dev
	HUTCH_SCREENSHOTS=1 $(PYTEST) tests/browser/test_screenshots.py -q

clean:
	rm -rf $(VENV) $(SUPPLY) .venv-k8s .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .coverage* htmlcov

venv: $(VENV)/.runtime

$(VENV)/.runtime: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer found; name one: make PYTHON=/path/to/python" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@
