# `make demo` and `make test` do all set-up themselves; see README.md.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done

.PHONY: setup machine demo test lint types unit lit clean

setup: $(STAMP)

$(STAMP): pyproject.toml tools/setup.sh
	bash tools/setup.sh "$(PYTHON)" "$(VENV)"
	touch $@

# All of it at once, into the user's cache: otherwise every test process would compile the parts that it meets.
machine: setup
	$(BIN)/python -m mtia.runtime.machine
	$(BIN)/python -m mtia.runtime.torch_backend

demo: setup
	$(BIN)/python -m mtia.tools.demo

test: setup lint types unit lit

lint: setup
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy --config-file pyproject.toml -p mtia

unit: machine
	$(BIN)/python -m pytest tests/unit -n 2 -rs

lit: machine
	$(BIN)/lit -j2 --order=lexical tests/lit

clean:
	rm -rf $(VENV) out
