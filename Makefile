# make venv    the virtual environment, with the command at .venv/bin/mlb-sidecar
# make run     the main job, with a local Marathon; MARATHON=URL follows that one, HAPROXY=PATH uses
#              that program, ARGS='--flag …' hands on anything else
# make test    format, lint, types, import contracts, the wheel, and all tests
# make check   the same without the tests; make wheel only the wheel
# make haproxy-matrix   HAProxy 2.6 to 3.4 side by side in .haproxy; VERSIONS='3.0 3.2' only those
# make test-matrix      the tests of tests/haproxy on each of them
# make e2e     builds the image and runs the end-to-end tests, tests/e2e, with the Docker engine that
#              answers, else as root with one of its own; INSTALL=yes brings what is missing by apt
# make bench           the benchmark, about an hour: table and plots in bench/; make bench-quick a few
#                      minutes; ARGS='--marathon-lb PATH' beside marathon-lb from a checkout there
# make docs    the parts of docs/*.md that are made from the code's tables
# make screenshot    the picture of the status page in docs/, taken by Chromium (a minute)
# make lock    pin what the environment has now
# make clean   take away the environment and what the tools left
#
# JOBS=N runs so many tests at a time (3).
# PYTHON=PROGRAM chooses the Python (3.11 or later) that the environment is made with.

VENV := .venv
BIN := $(VENV)/bin
PYTHONS := python3 python3.14 python3.13 python3.12 python3.11
SCRIPTS := .ci/run $(wildcard *.sh */*.sh)

# An environment is of one place and one Python: made anew where either is another one now.
moved := $(shell [ "$$(cat $(VENV)/place 2>/dev/null)" = '$(CURDIR)' ] || echo moved)
other := $(if $(PYTHON),$(shell [ "$$(cat $(VENV)/python 2>/dev/null)" = '$(PYTHON)' ] || echo other))

JOBS := 3
TESTED := 2.6 2.8 3.0 3.2 3.4

.PHONY: venv dev run test e2e haproxy-matrix test-matrix check wheel bench bench-quick docs screenshot lock clean again

venv: $(VENV)/installed
dev: $(VENV)/installed-dev

# $(call install,EXTRAS): by the first Python that is new enough.
define install
@for python in $(or $(PYTHON),$(PYTHONS)); do \
  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
    $(if $(other),rm -rf $(VENV);) "$$python" tools/make_venv.py $(VENV) $1; exit; \
  fi; \
done; \
echo "Python 3.11 or later is needed, and $(or $(PYTHON),python3) is none;" \
  "name one by make PYTHON=PROGRAM" >&2; exit 2
endef

$(VENV)/installed: pyproject.toml requirements.lock tools/make_venv.py $(if $(moved)$(other),again)
	$(call install,embedded)
	$(if $(PYTHON),@echo '$(PYTHON)' >$(VENV)/python)
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(call install,embedded$(,)dev)
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed-dev
	$(call install,embedded$(,)dev$(,)bench)
	@touch $@

, := ,

run: venv
	@$(BIN)/mlb-sidecar demo \
	  $(if $(MARATHON),--marathon '$(MARATHON)') $(if $(HAPROXY),--haproxy '$(HAPROXY)') $(ARGS)

check: dev wheel
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@if command -v luacheck >/dev/null; then echo luacheck -q lua; luacheck -q lua; \
	  else echo "luacheck is not installed: the Lua files were not linted"; fi
	@if command -v shellcheck >/dev/null; then echo shellcheck $(SCRIPTS); shellcheck $(SCRIPTS); \
	  else echo "shellcheck is not installed: the shell scripts were not linted"; fi

# The wheel has to bring the templates and the Lua files, which are links in the checkout.
wheel: dev
	$(BIN)/python tools/check_wheel.py

# Most tests wait for real processes, so more of them at a time than there are cores.
test: check
	$(BIN)/pytest -n $(JOBS) --dist worksteal --ignore tests/e2e
	@if [ '$(E2E)' = later ]; then :; \
	  elif timeout 20 docker version >/dev/null 2>&1; then $(MAKE) e2e; \
	  else echo "no Docker engine answers here: the end-to-end tests (tests/e2e) were left out;" \
	    "make e2e tries to start one"; fi

e2e: dev
	$(BIN)/python -m tools.docker_engine $(if $(INSTALL),--install) -- \
	  $(BIN)/pytest tests/e2e $(ARGS)

haproxy-matrix: dev
	$(BIN)/python -m tools.haproxy_matrix bring $(if $(VERSIONS),--versions '$(VERSIONS)')

test-matrix: dev
	$(BIN)/python -m tools.haproxy_matrix test --versions '$(or $(VERSIONS),$(TESTED))' \
	  --jobs $(JOBS)

bench bench-quick: $(VENV)/installed-bench
	$(BIN)/python -m bench $(if $(filter bench-quick,$@),--quick) \
	  $(if $(HAPROXY),--haproxy '$(HAPROXY)') $(ARGS)

docs: dev
	$(BIN)/python -m tools.make_docs

screenshot: dev
	$(BIN)/python -m tests.system.gallery docs/status-page.png

lock: dev
	@$(BIN)/python -m pip freeze --exclude-editable --exclude pip --exclude setuptools >requirements.lock

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
