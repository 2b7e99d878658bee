# Two commands are all the set-up there is: `make run` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
MUTANTS := var/mutants

.PHONY: run test lint types imports tests soak bench mutants requirements lock clean

run: $(VENV)/.run
	$(BIN)/sextant run --config config/rehearsal.toml

test: lint types imports tests

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports

tests: $(VENV)/.dev
	$(BIN)/pytest -n 2 --dist loadgroup -m "not soak"

soak: $(VENV)/.dev
	$(BIN)/pytest -m soak --timeout 7200 -v

bench: $(VENV)/.dev
	$(BIN)/python -m bench

mutants: $(VENV)/.mutants  ## A quarter of an hour on one core; see docs/mutants.md.
	rm -rf $(MUTANTS)
	mkdir -p $(MUTANTS)
	cp -R risk data tests pyproject.toml $(MUTANTS)
	cp tests/mutants.cfg $(MUTANTS)/setup.cfg
	cd $(MUTANTS) && nice $(CURDIR)/$(BIN)/python tests/mutants.py $(CURDIR)/docs/mutants.md

requirements: $(VENV)/.dev  ## Which rows of the requirements have a test.
	$(BIN)/python -m tests.requirements

# The lock files name every version and hash; uv is only the installer.
$(VENV)/.run: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	touch $@

# mutmut is no dependency: of its lock's versions only those are new that the dev lock lacks.
# echo mutmut==3.8.1 | uv pip compile - --generate-hashes --no-header --python-version 3.11 \
#     -c requirements-dev.lock -o requirements-mutants.lock
$(VENV)/.mutants: requirements-mutants.lock $(VENV)/.dev
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-mutants.lock
	touch $@

lock:  ## Resolve anew after a change of pyproject.toml.
	$(BIN)/uv pip compile -q pyproject.toml --group build --generate-hashes --no-header --python-version 3.11 -o requirements.lock
	$(BIN)/uv pip compile -q pyproject.toml --group dev --generate-hashes --no-header --python-version 3.11 -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
