# Everything one does with the repository. Needs a Python of 3.11 or newer with venv, make and a package index;
# `make help` lists the targets. What a target installs goes into .venv and nowhere else.

.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin

# The first interpreter that really runs (a pyenv shim may not) and can make environments (Debian packs ensurepip
# apart). 3.11 comes first because the lock file was resolved with it. Another one: make PYTHON=/path/to/python
PROBE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	"$$p" -c '$(PROBE)' >/dev/null 2>&1 && { echo "$$p"; break; }; done)

# The environment is right when this file exists: its name holds the content of what was installed and where, so a
# second run installs nothing, and an edited lock, another branch or a moved folder does. (Times of files say neither.)
KEY := $(shell { cat requirements.lock pyproject.toml; pwd; } | cksum | tr ' ' '-')
STAMP := $(VENV)/.installed-$(KEY)

# Handed on: make test ARGS="tests/test_layers.py -x", make lab ARGS=--no-browser
ARGS ?=
PYTEST := $(BIN)/python -m pytest

.PHONY: help demo test test-ipykernel6 notebooks chromium js lab bench bench-peers check format soak kill install lock clean

help:
	@echo 'make demo    environment, install, three traders on random candles for 30 s'
	@echo 'make test    environment, install, all tests and notebooks'
	@echo 'make test-ipykernel6  the tests of the notebook on ipykernel 6.31, in .venv-ipykernel6'
	@echo 'make lab     JupyterLab on the notebooks'
	@echo 'make bench   the benchmarks; their results belong in docs/benchmarks.md'
	@echo 'make bench-peers  the backtest beside vectorbt and backtesting.py, which go into .venv-peers'
	@echo 'make check   ruff (lint, format) and mypy;  make format  puts the format right'
	@echo 'make kill    long SIGKILL campaigns;        make soak    hours of running'
	@echo 'make js      build the script of the notebook views (needs node and npm)'
	@echo 'make lock    resolve requirements.lock anew;  make clean  remove environment and caches'

demo: $(STAMP)
	$(BIN)/pairsim demo --seconds 30 $(ARGS)

# Three processes for two cores, since who starts an engine or a kernel mostly waits; a file is one process's. What races
# two processes against each other has the machine for itself. Given ARGS, what they say.
ALONE := tests/channels
BESIDE := $(filter-out $(ALONE),$(sort $(patsubst %/,%,$(dir $(wildcard tests/*/test_*.py)))) $(wildcard tests/test_*.py))
NBMAKE := --nbmake --nbmake-timeout=240

test: $(STAMP) chromium
ifeq ($(strip $(ARGS)),)
	$(PYTEST) --numprocesses=3 --dist=loadfile $(NBMAKE) $(BESIDE) notebooks || { $(PYTEST) $(ALONE); exit 1; }
	$(PYTEST) $(ALONE)
else
	$(PYTEST) $(ARGS)
	@$(MAKE) --no-print-directory notebooks
endif

# The notebook and its browser on the oldest ipykernel that pairsim stands by, all else as locked.
KERNEL6 := .venv-ipykernel6
KERNEL6_STAMP := $(KERNEL6)/.installed-$(KEY)

test-ipykernel6: $(KERNEL6_STAMP) chromium
	$(KERNEL6)/bin/python -m pytest $(ARGS) tests/notebook tests/browser

$(KERNEL6_STAMP):
	"$(PYTHON)" -m venv --clear $(KERNEL6)
	sed 's/^ipykernel==.*/ipykernel==6.31.0/' requirements.lock > $(KERNEL6)/requirements.lock
	$(KERNEL6)/bin/python -m pip install --quiet --disable-pip-version-check -r $(KERNEL6)/requirements.lock
	$(KERNEL6)/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

# Executed, not compared.
notebooks: $(STAMP)
	$(PYTEST) $(NBMAKE) -W default notebooks

# The tests of the views need a browser: Debian's, where apt is there and may be used.
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || { \
		if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then apt='apt-get'; \
		elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then apt='sudo -n apt-get'; fi; \
		[ -n "$$apt" ] && { $$apt install -qq -y --no-install-recommends chromium >/dev/null || \
			{ $$apt update -qq && $$apt install -qq -y --no-install-recommends chromium >/dev/null; }; } || \
		echo 'chromium is missing and could not be installed with apt: tests in a browser are skipped, and fail in CI'; }

# The script of the notebook's views, from js/ into pairsim/notebook/static. Needs node and npm; users need neither.
js:
	cd js && npm ci && npm run build

lab: $(STAMP)
	$(BIN)/python -m jupyterlab $(ARGS) $(wildcard notebooks)

bench: $(STAMP)
	@for file in benchmarks/[a-z]*.py; do \
		[ "$$file" != benchmarks/peers.py ] || continue; echo "== $$file"; $(BIN)/python "$$file" $(ARGS) || exit 1; done

# Beside other backtesters, in an environment of their own: they are dependencies of this target alone.
PEERS := .venv-peers
PEERS_STAMP := $(PEERS)/.installed-$(shell cat benchmarks/peers.lock | cksum | tr ' ' '-')

bench-peers: $(PEERS_STAMP)
	PYTHONPATH=. $(PEERS)/bin/python -m pytest -m peers $(ARGS) tests/research
	PYTHONPATH=. $(PEERS)/bin/python benchmarks/peers.py

$(PEERS_STAMP):
	"$(PYTHON)" -m venv --clear $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers.lock
	@touch $@

# All three, so that one run shows everything there is to mend.
check: $(STAMP)
	@failed=; for step in 'ruff check .' 'ruff format --check .' mypy; do \
		echo "$(BIN)/$$step"; $(BIN)/$$step || failed="$$failed [$$step]"; done; \
	[ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

soak: $(STAMP)
	$(PYTEST) -m soak --timeout=0 -o faulthandler_timeout=0 $(ARGS)

kill: $(STAMP)
	$(PYTEST) -m kill --timeout=0 -o faulthandler_timeout=0 $(ARGS)

install: $(STAMP)

# Without build isolation: the build backend is in the lock too, and nothing is fetched that is not.
$(STAMP):
	@[ -n "$(PYTHON)" ] || { echo 'pairsim needs Python 3.11 or newer with venv, and found none.'; \
		echo 'Install one (Debian: apt-get install python3-venv) or name it: make PYTHON=/path/to/python'; exit 1; } >&2
	@$(BIN)/python -c '$(PROBE); import pip' >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@rm -f $(VENV)/.installed-* && touch $@

# A clean resolve of the package with its dev extra, in an environment of its own.
lock:
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && "$(PYTHON)" -m venv "$$folder" && \
	"$$folder/bin/python" -m pip install --quiet --disable-pip-version-check '.[dev]' && \
	{ echo '# Exact versions of what `make` installs: pairsim[dev], resolved with Python 3.11. Renew with `make lock`.'; \
	"$$folder/bin/python" -m pip freeze --exclude pairsim; } > "$$folder/lock" && cp "$$folder/lock" requirements.lock

clean:
	rm -rf $(VENV) $(PEERS) $(KERNEL6) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find pairsim tests benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
