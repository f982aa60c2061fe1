# Tripmeter: `make demo` and `make test` are all a newcomer needs. Both make .venv on first use.

MINIMUM := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c "$(MINIMUM)" 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test test-kafka test-all check format lock clean

demo: .venv/.installed
	@$(BIN)/tripmeter demo
	@echo
	@echo "Your own events:  $(BIN)/tripmeter replay FILE"
	@echo "A live endpoint:  $(BIN)/tripmeter serve --data tripmeter-data"

test: .venv/.installed-all
	$(BIN)/python -m pytest

# Needs Java 17 or newer and Maven; the broker's jars are kept under ~/.cache/tripmeter.
test-kafka: .venv/.installed-all
	TRIPMETER_NEED_KAFKA=1 $(BIN)/python -m pytest -m kafka

test-all: .venv/.installed-all
	$(BIN)/python -m pytest -m ""

check: .venv/.installed-all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tests/layers.py

format: .venv/.installed-all
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Needs uv. Both locks hold the same versions, so either can be installed over the other.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-header --no-emit-index-url --no-emit-find-links
lock:
	echo "hatchling>=1.27" > .build-requirements.txt
	$(LOCK) --all-extras pyproject.toml .build-requirements.txt -o requirements-all.lock
	$(LOCK) --extra feed --constraint requirements-all.lock pyproject.toml .build-requirements.txt \
		-o requirements.lock
	rm .build-requirements.txt

clean:
	rm -rf .venv

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Tripmeter needs Python 3.11 or newer (or: make PYTHON=/path/to/python)"; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo "$(PYTHON) cannot make a virtual environment. On Debian and Ubuntu: apt install python3-venv"; exit 1; }

.venv/.installed: requirements.lock pyproject.toml | .venv/bin/python
	@echo "Installing Tripmeter into .venv (once) ..."
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m streams.warm
	@touch $@

.venv/.installed-all: requirements-all.lock .venv/.installed
	@echo "Installing every extra into .venv (once) ..."
	@$(PIP) --require-hashes -r requirements-all.lock
	@touch $@
