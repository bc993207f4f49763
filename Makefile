# `make test` and `make demo` need Python >= 3.11 with venv, make and git; the rest comes into $(VENV).
PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
# `make PIP_INSTALL="uv pip install -q --python .venv/bin/python" ...` is faster.
PIP_INSTALL ?= $(PIP) install
TREE := pyproject.toml $(wildcard *.py) $(shell find commands pipeline stages providers mcp serve testing -type d -not -name __pycache__)
LOCK := $(BIN)/uv pip compile pyproject.toml -q --upgrade --python-version 3.11 --universal --generate-hashes --no-annotate --no-header

# Without it, `python -m anything` at the root finds our mcp/ in place of the official SDK.
export PYTHONSAFEPATH := 1

.PHONY: demo test test-all test-rest coverage lint lint-ruff lint-mypy lint-pyright format docs pages bench lock clean
# The link step needs setuptools from the requirements, which stand before it in each list of prerequisites.
.NOTPARALLEL:

demo: $(VENV)/demo.done $(VENV)/link.done
	$(BIN)/python examples/demo.py

test: $(VENV)/test.done $(VENV)/link.done
	$(BIN)/pytest -n auto -m "not slow and not local_model" $(ARGS)

test-all: $(VENV)/dev.done $(VENV)/link.done
	$(BIN)/pytest -n auto $(ARGS)

# What `make test` leaves out.
test-rest: $(VENV)/dev.done $(VENV)/link.done
	$(BIN)/pytest -n auto -m "slow or local_model" $(ARGS)

coverage: $(VENV)/dev.done $(VENV)/link.done
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

# In parts, so that `make -k lint` shows what all of them have to say.
lint: lint-ruff lint-mypy lint-pyright

lint-ruff: $(VENV)/dev.done
	$(BIN)/ruff check
	$(BIN)/ruff format --check

lint-mypy: $(VENV)/dev.done $(VENV)/link.done
	$(BIN)/mypy
	cd tests && MYPYPATH=../examples:../examples/servers \
		$(BIN)/mypy --config-file ../pyproject.toml --explicit-package-bases . ../examples

lint-pyright: $(VENV)/dev.done $(VENV)/link.done
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/dev.done
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: $(VENV)/dev.done $(VENV)/link.done
	$(BIN)/python docs/website.py build/docs
	@echo open build/docs/index.html

# Pages and parts of pages that are made from the code, and are committed.
pages: $(VENV)/test.done $(VENV)/link.done
	for page in tests/docs/test_*_page.py; do PYTHONPATH=tests $(BIN)/python $$page || exit 1; done

bench: $(VENV)/dev.done $(VENV)/link.done
	$(BIN)/python benchmarks/run.py $(ARGS)

# uv names no index address in these files; uv.lock would.
lock: $(VENV)/python.done
	$(PIP) install uv
	$(LOCK) --group test --group build -o requirements/test.txt
	$(LOCK) --extra local --group demo --group build -o requirements/demo.txt
	$(LOCK) --extra local --group demo --group dev -o requirements/dev.txt

clean:
	rm -rf $(VENV) .venv-* build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* htmlcov bench-results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/python.done:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/%.done: requirements/%.txt $(VENV)/python.done
	$(PIP_INSTALL) --no-deps --require-hashes -r $<
	touch $@

# In strict mode a new file is invisible until it is linked again; that takes about two seconds.
$(VENV)/link.done: $(TREE) | $(VENV)/python.done
	$(PIP) install --no-deps --no-build-isolation --config-settings editable_mode=strict -e .
	touch $@
