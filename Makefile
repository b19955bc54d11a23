# `make demo` and `make test` do all set-up themselves; see README.md.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done

.PHONY: setup demo test lint types unit lit clean

setup: $(STAMP)

$(STAMP): pyproject.toml tools/setup.sh
	bash tools/setup.sh "$(PYTHON)" "$(VENV)"
	touch $@

demo: setup
	$(BIN)/python -m mtia.tools.demo

test: setup lint types unit lit

lint: setup
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy --config-file pyproject.toml -p mtia

unit: setup
	$(BIN)/python -m pytest tests/unit -n 2 -rs

lit: setup
	$(BIN)/lit -j2 --order=lexical tests/lit

clean:
	rm -rf $(VENV) out
