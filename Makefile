# Sets everything up on a machine that has Python (3.10 to 3.13), make and git, then runs the demo or the tests.
# Writes only to .venv, .local and the user's uv cache.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.SUFFIXES:

# The first of these that runs; name another with `make PYTHON=/path/to/python`.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10 python; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && command -v $$p && break; done)

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# uv may not fetch an interpreter of its own: what is set up here runs on the Python named above.
export UV_PYTHON_DOWNLOADS := never
# Environments of SDKs and of images, and compiled definitions.
export SM_PIPELINES_CACHE_DIR := $(CURDIR)/.local/cache
# Compiled modules, kept out of the source folders. The tests start hundreds of interpreters; where
# PYTHONDONTWRITEBYTECODE is set, as in many containers, each would compile Airflow anew, for two seconds.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX := $(CURDIR)/.local/pycache

# One test file at a time for each worker, in the order of tests/conftest.py.
SIDE_BY_SIDE := --dist loadfile --no-loadscope-reorder

# Variables of `make demo`: which SageMaker SDK the pipeline script uses (v2 or v3), and the RMSE the model must reach.
SDK ?= v2
RMSE ?=

.PHONY: help setup demo test check differential airflow-corpus kubeflow-corpus airflow-comparisons kubeflow-comparisons evasions inside constrained lint format bench faults builds imagerows day migrations comparisons harm mutants docs docs-test dist release sbom digests lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv with everything pinned in requirements/dev.txt

$(STAMP): requirements/dev.txt requirements/bootstrap.txt pyproject.toml scripts/bootstrap.sh
	@test -n "$(PYTHON)" || { echo "No Python 3.10 to 3.13 found. Name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh scripts/bootstrap.sh
	@touch $@

demo: $(STAMP) ## Train a real model through Airflow and SageMaker Pipelines, on this machine
	@$(BIN)/python scripts/demo.py --sdk $(SDK) $(if $(RMSE),--rmse-threshold $(RMSE))

test: lint ## Check the code, then run the whole test suite
	$(BIN)/python -m pytest -n 3 $(SIDE_BY_SIDE) --durations 10 $(PYTEST_ARGS)

check: lint ## Check the code and run the fast tests only
	$(BIN)/python -m pytest -n 4 $(SIDE_BY_SIDE) -m "not slow and not processes" $(PYTEST_ARGS)

differential: $(STAMP) ## Hold all judges of arguments to one verdict, on 20,000 generated ones
	SM_PIPELINES_DIFFERENTIAL_ROUNDS=20000 $(BIN)/python -m pytest -s tests/service_model/test_differential.py $(PYTEST_ARGS)

airflow-corpus: $(STAMP) ## Migrate DAG files of public repositories (CLONES=folder with clones of them)
	$(BIN)/python -m tests.migrate.airflow.corpus $(CLONES)

kubeflow-corpus: $(STAMP) ## Migrate compiled pipelines of public repositories (CLONES=folder with clones of them)
	$(BIN)/python -m tests.migrate.kubeflow.corpus --reasons $(CLONES)

kubeflow-comparisons: $(STAMP) ## Run compiled pipelines of public repositories against their DAGs (CLONES as above, an hour)
	$(BIN)/python -m tests.migrate.kubeflow.compare_count $(CLONES)

airflow-comparisons: $(STAMP) ## Run DAG files of public repositories against the migrated ones (CLONES as above)
	$(BIN)/python -m tests.migrate.airflow.compare_count $(CLONES)

evasions: $(STAMP) ## Hold a team's policy by every pair of a definition that keeps it and one that breaks it
	$(BIN)/python -m tests.policy.policy_pairs

inside: $(STAMP) ## Make 50,000 definitions inside the API model, of which CreatePipeline may refuse none
	SM_PIPELINES_MODEL_DEFINITIONS=50000 $(BIN)/python -m pytest -q tests/fuzz/test_model_definitions.py

# Which versions: 3.1, 3.2 or 3.3 for what Airflow's constraints pin, floor for the oldest that pyproject.toml allows.
AIRFLOW ?= floor
CONSTRAINTS = requirements/constraints-$(AIRFLOW).txt
CONSTRAINED = .local/constrained-$(AIRFLOW)
CONSTRAINED_PYTHON ?= $(shell python3.10 -c 'import sys; print(sys.executable)' 2>/dev/null || echo $(PYTHON))

constrained: $(STAMP) ## Run the Airflow side's fast tests under constraints (AIRFLOW=3.1, 3.2, 3.3 or floor)
	$(BIN)/uv venv --quiet --clear --python $(CONSTRAINED_PYTHON) $(CONSTRAINED)
	$(BIN)/uv pip install --quiet --python $(CONSTRAINED)/bin/python --constraints $(CONSTRAINTS) \
		--exclude-newer $$(sed -n 's/^# exclude-newer //p' $(CONSTRAINTS)) \
		apache-airflow pytest pytest-timeout hypothesis --editable '.[compiler]'
	$(CONSTRAINED)/bin/python -m pytest -m "not slow" tests/operators tests/hooks tests/triggers tests/sensors tests/decorators $(PYTEST_ARGS)

lint: $(STAMP) ## Run ruff, mypy and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## Let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## Measure, and write benchmarks/results.json
	$(BIN)/python -m benchmarks

harm: $(STAMP) ## Attack the endpoint, send it broken requests, kill it, fill its disk, evade policies; write docs/reliability.md (hours)
	$(BIN)/python -m tests.harm --write

faults: $(STAMP) ## Put faults into every write, run, ending and race, and write docs/reliability.md (hours; needs PostgreSQL)
	$(BIN)/python -m tests.reliability.writes --write
	$(BIN)/python -m tests.reliability --write
	$(BIN)/python -m tests.reliability.endings --write
	$(BIN)/python -m tests.reliability.repairs --write
	$(BIN)/python -m tests.reliability.repairs.campaign --write
	$(BIN)/python -m tests.deployment.races 1000

builds: $(STAMP) ## Build every kind of step under every circumstance, and write docs/builds.md
	$(BIN)/python -m tests.compiler.build_table docs/builds.md

imagerows: $(STAMP) ## Resolve every version of AWS's images on every Python (minutes, needs an index)
	$(BIN)/python -m tests.engine.jobs.image_rows

migrations: $(STAMP) ## Count what becomes of published state machines (CORPUS=folder for their repositories)
	$(BIN)/python -m tests.migrate.field_count $(CORPUS)

comparisons: $(STAMP) ## Run published state machines against their DAGs (CORPUS as above, half an hour)
	$(BIN)/python -m tests.migrate.compare_count $(CORPUS)

day: $(STAMP) ## Do in a whole Airflow what a demanding author does in a day (needs PostgreSQL)
	$(BIN)/python -m tests.reliability.authors_day

mutants: $(STAMP) ## Put small faults into a sample of each package, and see whether the fast tests notice (an hour)
	$(BIN)/python scripts/mutants.py $(if $(SEED),--seed $(SEED))

docs-test: $(STAMP) ## Run every block of the README and the pages that can run, check the others (minutes)
	$(BIN)/python -m tests.pages $(ARGS)

docs: $(STAMP) ## Make the pages of docs/ into a site, and ask its search ten questions: .local/site/index.html
	$(BIN)/uv pip install --quiet --require-hashes --python $(BIN)/python -r requirements/docs.txt
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -j 2 -q -d .local/doctrees docs .local/site
	$(BIN)/python -m tests.pages.site_search .local/site

CYCLONEDX := cyclonedx-bom==7.5.0

dist: $(STAMP) ## Build the wheel and the sdist into dist/, the same bytes from the same commit
	@# The time that the build backend writes into archives is that of the last commit.
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} $(BIN)/uv build --clear --no-build-isolation --python $(BIN)/python

release: $(STAMP) ## Make a release ready up to the upload: check, build twice, try wheel and sdist, print the notes
	$(BIN)/python scripts/release.py

sbom: $(STAMP) ## Write dist/sbom.json: what the wheel installs with all its extras, in the pinned versions (CycloneDX)
	mkdir -p dist
	$(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.10 --all-extras --constraints requirements/dev.txt \
		--generate-hashes --no-header --no-annotate --no-emit-index-url --output-file dist/installed.txt
	$(BIN)/uv tool run --from $(CYCLONEDX) cyclonedx-py requirements dist/installed.txt --pyproject pyproject.toml \
		--output-reproducible --output-format JSON --output-file dist/sbom.json

digests: $(STAMP) ## Write the digests of the images' tags into docker-compose.yaml and the Dockerfile (needs Docker)
	$(BIN)/python scripts/pin_images.py

lock: $(STAMP) ## Pin requirements/dev.txt anew (hashes, no index addresses)
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.10 --all-extras --group dev --upgrade \
		--generate-hashes --no-header --no-annotate --no-emit-index-url --output-file requirements/dev.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --group docs --upgrade \
		--constraints requirements/dev.txt --generate-hashes --no-header --no-annotate --no-emit-index-url \
		--output-file requirements/docs.txt
	@echo "After make setup, renew the carried API model: $(BIN)/python scripts/make_service_model.py"

clean: ## Remove what these targets made
	rm -rf $(VENV) .local dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
