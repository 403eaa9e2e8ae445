# Everything that a fresh machine needs is Python 3.11 or newer with venv; targets set up the rest.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
QUICKSTART_DIR ?= runs/quickstart

# Compiled programs are kept between commands: compiling takes longer than the tests themselves.
export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/.cache/jax
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS ?= 0.2

.PHONY: quickstart test test-fast test-slow faults lint docs clean

quickstart: $(VENV)/installed
	$(RUN) -m experiments.quickstart --workdir=$(QUICKSTART_DIR)

# A process for each core, but each takes up to 5 GB: compiled programs stay in memory. A file stays in one process, and
# tests/conftest.py puts the long files first.
XDIST := --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

# Everything but the slow tests: about 12 minutes on two slow cores with an empty compilation cache.
test: $(VENV)/installed
	$(RUN) -m pytest -m "not slow" $(XDIST)

# For the inner loop: about two and a half minutes on two cores, since it leaves out what takes seconds to compile.
test-fast: $(VENV)/installed
	$(RUN) -m pytest -m "not slow and not compiles" $(XDIST)

test-slow: $(VENV)/installed
	$(RUN) -m pytest -m slow

# Kills, signals, damages, several processes and hostile files, at most 15 minutes on two cores.
faults: $(VENV)/installed
	$(RUN) -m experiments.faults

lint: $(VENV)/installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

docs: $(VENV)/docs_installed
	$(RUN) -m sphinx -W --keep-going -q docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

$(VENV)/docs_installed: $(VENV)/installed
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@

$(VENV)/installed: setup.py ocgm/__init__.py
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ocgm needs Python 3.11 or newer; set PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[test,lint]'
	touch $@

clean:
	rm -rf docs/_build $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache *.egg-info
