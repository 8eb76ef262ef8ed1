# Every target does its own set-up, says what it does, and is quick the second time.
PYTHON ?= python3
IMAGES ?= standin
RUN := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help setup run demo demo-down unit test soak check engine browser bench golden lock

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: ## virtual environment, dependencies, engine
	@$(PYTHON) tools/setup/bootstrap.py runtime
	@$(RUN) -m tools.setup.pulumi --quiet

demo: ## the demo organization, from needs to a verified deployment (IMAGES=real tries the real applications)
	@$(PYTHON) tools/setup/bootstrap.py runtime
	@$(RUN) -m tools.setup.system docker
	@$(RUN) -m tools.setup.pulumi --quiet
	@$(RUN) -m tools.images ensure --images $(IMAGES) --needs orgs/demo.yaml
	@.venv/bin/sprocket demo up --images $(IMAGES)

demo-down: ## remove all that the demo made
	@$(PYTHON) tools/setup/bootstrap.py runtime
	@.venv/bin/sprocket demo down

run: ## the pages with an embedded worker; prints a one-time sign-in link
	@$(PYTHON) tools/setup/bootstrap.py runtime
	@.venv/bin/sprocket serve --with-worker --demo

unit: ## quick tests: no Docker, no browser, no whole programs
	@$(PYTHON) tools/setup/bootstrap.py dev
	@$(RUN) -m pytest -q -n auto -m "not engine and not browser and not soak and not slow"

test: ## every test the machine has the parts for; says what it left out
	@$(PYTHON) tools/setup/bootstrap.py dev
	@$(RUN) -m tools.run_tests $(STRICT)

engine: ## tests on a real Docker Engine
	@$(PYTHON) tools/setup/bootstrap.py dev
	@$(RUN) -m tools.run_tests --only engine

browser: ## tests in a real browser
	@$(PYTHON) tools/setup/bootstrap.py dev
	@$(RUN) -m tools.run_tests --only browser

soak: ## long tests; rewrites docs/faults.md from what the faults took
	@$(PYTHON) tools/setup/bootstrap.py dev
	@rm -f test-results/faults.jsonl
	@$(RUN) -m pytest -q -m soak --ignore-glob='*/test_faults_*'
	@$(RUN) -m pytest -q tests/engine/test_faults_*.py tests/provisioning/test_faults_*.py
	@$(RUN) -m tools.faults

check: ## format, lint, types, architecture, migrations, templates, files
	@$(PYTHON) tools/setup/bootstrap.py dev
	@$(RUN) -m tools.check

bench: ## measure, as ratios in one run
	@$(PYTHON) tools/setup/bootstrap.py dev
	@$(RUN) -m tools.bench

golden: ## rewrite the golden cases; review them like code
	@$(PYTHON) tools/setup/bootstrap.py dev
	@$(RUN) -m tools.golden
	@$(RUN) -m tools.catalogue
	@$(RUN) -m tools.incidents

lock: ## lock dependencies anew, with hashes and without addresses
	@$(PYTHON) tools/setup/bootstrap.py dev
	@$(RUN) -m tools.lock
