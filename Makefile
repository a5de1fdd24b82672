# make venv   the virtual environment, with the command at .venv/bin/mlb-sidecar
# make run    the main job, with a local Marathon; MARATHON=URL follows that one, HAPROXY=PATH uses
#             that program, ARGS='--flag …' hands on anything else
# make test   format, lint, types, import contracts, and all tests
# make lock   pin what the environment has now

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: venv dev run test check lock clean

venv: $(VENV)/installed
dev: $(VENV)/installed-dev

$(VENV)/installed: pyproject.toml requirements.lock tools/make_venv.py
	@$(PYTHON) tools/make_venv.py $(VENV) embedded
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@$(PYTHON) tools/make_venv.py $(VENV) embedded,dev
	@touch $@

run: venv
	@$(BIN)/mlb-sidecar demo \
	  $(if $(MARATHON),--marathon '$(MARATHON)') $(if $(HAPROXY),--haproxy '$(HAPROXY)') $(ARGS)

check: dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@if command -v luacheck >/dev/null; then luacheck -q lua; \
	  else echo "luacheck is not installed: the Lua files were not linted"; fi
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run haproxy/*.sh; \
	  else echo "shellcheck is not installed: the shell scripts were not linted"; fi

test: check
	$(BIN)/pytest

lock: dev
	@$(BIN)/python -m pip freeze --exclude-editable --exclude pip --exclude setuptools >requirements.lock

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
