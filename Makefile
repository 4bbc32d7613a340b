# `make demo`, `make demo-music` and `make test` need only Python 3.11 or newer; each installs what it needs into .venv.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
DEMO_TIME ?= 2m
RUN ?= demo
T ?= textgen

.PHONY: demo demo-music test check lint slow docs pictures kernels clean

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $@

demo: $(VENV)/.installed
	PATH="$(abspath $(BIN)):$$PATH" bash docs/demo.sh $(DEMO_TIME)

demo-music: $(VENV)/.installed
	PATH="$(abspath $(BIN)):$$PATH" bash docs/demo-music.sh $(DEMO_TIME)

test: $(VENV)/.installed lint
	$(BIN)/python -m pytest

# For example `make check T=tests/sampling`; the default T is the examples in the docstrings.
check: $(VENV)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(T)

lint: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m slow

docs: $(VENV)/.installed
	$(BIN)/cog -r docs/commands.md docs/settings.md

# The README's images, from the demo's run; needs chromium and chromedriver.
pictures: $(VENV)/.installed
	$(BIN)/python docs/pictures.py $(RUN)

# The compiled kernels of the page that writes, from their source.
kernels: $(VENV)/.installed
	cd textgen/display/pages && $(abspath $(BIN))/python -P -c "import wasmtime; from pathlib import Path; \
	  Path('kernels.wasm').write_bytes(wasmtime.wat2wasm(Path('kernels.wat').read_text()))"

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
