# `make test` and `make demo` need python3 (3.11 to 3.13), make and a package registry. Nothing else.

PYTHON ?= python3
UV     ?= uv
JOBS   ?= 2
ARGS   ?=

# Where Python was told to keep no bytecode, each of the many processes compiles all of Restow anew.
export PYTHONDONTWRITEBYTECODE :=

BIN     := .venv/bin
# Those that take longest first: two go on at a time.
CHECKS  := check-pyright check-mypy check-guards check-imports check-style check-web

.DEFAULT_GOAL := help
.PHONY: help install demo test check $(CHECKS) web-is-built fix web pictures planted bench bench-hosts hosts test-hosts lock clean

help:     ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/restow.stamp .venv/dev.stamp  ## make .venv, everything in it pinned by hash

demo: .venv/restow.stamp  ## show a fleet at work, on this machine alone
	$(BIN)/restow demo $(ARGS)

test: install  ## run the tests, two at a time: ARGS="-k host" picks, JOBS=0 is one at a time
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

check: install  ## everything a change must pass, apart from the tests
	@$(MAKE) --no-print-directory --jobs=2 $(CHECKS)

check-style: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check-mypy: install
	$(BIN)/mypy

check-pyright: install
	$(BIN)/basedpyright

check-imports: install
	$(BIN)/lint-imports --no-logo --no-cache  # its cache misses a second edit within one second

check-guards: install
	$(BIN)/python -m pytest -q tests/guards

check-web: check-guards  # which look at files that this one writes
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory web-is-built; else echo "no npm here: the dashboard's sources are not checked"; fi

fix: install  ## format, and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

web: web/node_modules/stamp  ## build the dashboard into projections/web/static (needs Node 20.19 or newer)
	cd web && npm run --silent build

web-is-built: web/node_modules/stamp
	@cd web && npm run --silent check && npm run --silent test
	@cd web && npm run --silent build -- --outDir /tmp/restow-dashboard-$$$$ --logLevel error && \
	  diff --recursive --brief /tmp/restow-dashboard-$$$$ ../projections/web/static; \
	  same=$$?; rm -r /tmp/restow-dashboard-$$$$; \
	  [ $$same -eq 0 ] || { echo "projections/web/static is not the build of web/: make web, and commit it" >&2; exit 1; }

web/node_modules/stamp: web/package-lock.json
	cd web && npm ci --silent
	@touch $@

pictures: install web/node_modules/stamp  ## make the pictures of docs/pictures anew (needs chromium)
	$(BIN)/python -m tests.browser.pictures

planted: install  ## hunt planted bugs that docs/reliability.md does not find any more, ARGS=--all each
	$(BIN)/python -m tests.simulation.planted $(ARGS)

bench: install  ## measure, as ratios against a limit of the same run
	$(BIN)/python -m benchmarks $(ARGS)

bench-hosts: install  ## measure moves of real containers, as root, after make hosts
	$(BIN)/python -m benchmarks.hosts $(ARGS)

hosts: .venv/restow.stamp  ## get what real hosts need on Debian: packages (as root), and CRIU into .hosts
	@sh tests/hosts/prepare.sh .hosts
	@$(BIN)/restow doctor --for containers --for network --for traffic --for migration

test-hosts: install  ## the tests on real containers; what this machine cannot do fails them
	$(BIN)/python -m pytest tests/hosts --fail-on-skip $(ARGS)

# pip-compile notes no registry address and covers every Python and platform at once.
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(ARGS)

lock:     ## pin pyproject's dependencies anew (needs uv; ARGS=--upgrade for newer ones)
	$(LOCK) pyproject.toml --group build --output-file requirements/core.txt
	$(LOCK) pyproject.toml --group dev --constraint requirements/core.txt --output-file requirements/dev.txt

clean:    ## take .venv and the caches of the tools away
	rm -rf .venv .hosts .hypothesis .import_linter_cache .grimp_cache .mypy_cache .pytest_cache .ruff_cache .coverage

# Three steps, so that the demo need not wait for the developer's tools.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# The lists are whole, so pip need not resolve: it would look past a pin for what asks for an extra.
PINNED := $(PIP) --no-deps --require-hashes --requirement

.venv/core.stamp: requirements/core.txt
	@command -v $(PYTHON) >/dev/null || { echo "Restow needs Python 3.11, 3.12 or 3.13, and there is no '$(PYTHON)' here." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "Restow needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is %d.%d. Name another: make PYTHON=python3.12 ..." % v)'
	@echo "Installing Restow's pinned requirements into .venv (once)"
	@$(PYTHON) -m venv --clear .venv
	@$(PINNED) requirements/core.txt
	@touch $@

.venv/dev.stamp: .venv/core.stamp requirements/dev.txt
	@echo "Installing the developer's tools into .venv (once)"
	@$(PINNED) requirements/dev.txt
	@touch $@

.venv/restow.stamp: .venv/core.stamp pyproject.toml
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@
