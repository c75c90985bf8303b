.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Some containers set it: then each of the many processes that tests start would compile the whole project again.
unexport PYTHONDONTWRITEBYTECODE

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- use --------------------------------------------------------------------------------------------------------
run: install ## Start everything on this machine; Ctrl-C stops it, the data stay in .data/ (make run SAMPLE=no begins without customers)
	@SAMPLE="$(or $(SAMPLE),yes)" exec python -m gateway.development

train: install ## Train a model on CSV (make train CSV=customers.csv) and make it the active one
	DEPLOYMENT=$${DEPLOYMENT:-development} honcho run python -m model_service train $(or $(CSV),data/sample.csv)

import: install ## Load customers into the running system (make import CSV=customers.csv)
	DEPLOYMENT=$${DEPLOYMENT:-development} honcho run python -m gateway import $(or $(CSV),data/sample.csv)

secrets: ## Make the random secrets that docker-compose.yml mounts (kept if they are there)
	@mkdir -p -m 700 secrets; mkdir -p secrets/tls; for name in mongo_root_password mongo_gateway_password mongo_keyfile gateway_secret_key model_service_secret model_signing_key grafana_admin_password grafana_secret_key; do \
	  [ -s secrets/$$name ] || { head -c 48 /dev/urandom | base64 -w0 | tr -d '+/=' > secrets/$$name; chmod 444 secrets/$$name; }; done

# ---- develop ----------------------------------------------------------------------------------------------------
install: .venv/.installed ## Make the virtual environment in .venv and install both tiers and the tools into it

.venv/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make run PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "the venv module is missing: apt-get install python3-venv"; exit 1; }
	@echo "Installing into .venv: about 740 MB and a minute or two, once"
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -e '.[gateway,model,dev]'
	@touch $@

# Three at a time on two cores, a file each: much of the time a test waits for processes. In the order of the files, not
# of how many tests they have: the few tests of whole systems take longest, and the last ones would run alone.
PYTEST := python -m pytest --dist loadfile --no-loadscope-reorder

test: install ## Run every test, in some 12 minutes: unit, integration on a real mongod, end to end with both tiers as processes
	$(PYTEST) -n 3

test-unit: install ## Run the unit tests only (no network, about a minute)
	python -m pytest tests/unit

stress: install ## Write everything at once while processes are paused and killed, one mongod and three (STRESS_WRITES=20000)
	STRESS_SECONDS=$${STRESS_SECONDS:-600} $(PYTEST) tests/integration/gateway/test_everything_at_once.py
	STRESS_WRITES=$${STRESS_WRITES:-20000} $(PYTEST) tests/e2e/test_killed_at_random.py

chaos: install ## Kill, pause, cut off, fill up and flood what runs, a case after the other, and print what clients saw (some ten minutes)
	CHAOS=yes python -m pytest --show-capture=no tests/chaos

soak: install ## Load everything steadily for SOAK_MINUTES=30, and fail if memory, threads, descriptors or connections grow
	PYTHONPATH=.:tests DEPLOYMENT=development python -m tests.chaos.soak

fuzz: install ## Try both tiers with thousands of made-up requests (FUZZ_EXAMPLES=200 FUZZ_SEED=7 for more and others)
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-60} python -m pytest tests/fuzz

check: install lint types layers lengths ## Everything a change must pass besides the tests

lint: install ## Lint and formatting (ruff)
	ruff check . && ruff format --check .

types: install ## Types (mypy, strict)
	mypy && mypy --strict data/*.py

layers: install ## Which module may import which (import-linter)
	lint-imports --no-logo

lengths: ## Name modules of more than 400 lines: each may well be about two things (an alarm, no failure)
	@find gateway model_service shared -name '*.py' | xargs wc -l | awk '$$1 > 400 && $$2 != "total" {print "longer than 400 lines: " $$2 " (" $$1 ")"}'

# Not part of `make test`: it makes the tests of parsers and rules half as dear again.
coverage: install ## Measure which lines the unit and integration tests reach
	$(PYTEST) tests/unit tests/integration -n 2 --cov --cov-report= --quiet
	coverage report

format: install ## Format the code and sort its imports
	ruff check --fix-only . && ruff format .

bench: install ## Measure server CPU per request and throughput against the floors, on an otherwise idle machine
	python -m tests.benchmarks

bench-pages: install ## Measure pages of a list of a million customers by kind of query (make bench-pages CSV=customers.csv)
	python -m tests.benchmarks.pages $(if $(CSV),--csv $(CSV))

bench-web: install ## Load every page with a million customers, in Chromium, and measure until it can be used
	PYTHONPATH=.:tests python -m tests.benchmarks.web_pages

bench-segments: install ## Count a million customers by segment, read that, and look for who moved
	PYTHONPATH=tests python -m tests.benchmarks.segments

bench-bulk: install ## Import a million generated customers and measure what it costs (make bench-bulk CSV=customers.csv)
	python -m tests.benchmarks.imports $(if $(CSV),--csv $(CSV))

quality: install ## Measure the figures about the model's quality in docs/clustering-study.md (make quality CSV=customers.csv)
	python -m tests.benchmarks.quality $(CSV)

upgrade-check: install ## Prove that this code serves the model store and the database of an earlier commit (BEFORE=0b2da81; BACK=yes: and what it would read after a rollback)
	PYTHONPATH=.:tests python -m tests.e2e.upgrade_check $(BEFORE)

alerts-proof: install ## Let Debian's Prometheus scrape a running system, and stop parts of it until alerts fire (about two minutes)
	python -m pytest --log-cli-level=INFO --log-cli-format='%(message)s' tests/e2e/alerts_proof.py

screenshots: install ## Take a picture of every page at three widths, light and dark, into .data/screenshots/
	PYTHONPATH=.:tests python -m tests.e2e.pages.screenshots

examples: install ## Record the examples in the OpenAPI document anew, from the real system
	EXAMPLES=record python -m pytest tests/e2e/test_api_examples.py

sample: install ## Generate data/sample.csv anew
	python data/generate.py --rows 6000 --seed 1 --out data/sample.csv

clean: ## Remove everything generated: environment, caches, models and the development database
	rm -rf .venv .data build *.egg-info .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help run train import secrets install test test-unit stress fuzz check lint types layers lengths coverage format bench bench-pages bench-web bench-segments bench-bulk quality upgrade-check alerts-proof screenshots examples sample clean chaos soak
