# One name per action, the same on a laptop and in CI. Needs git, make and Python 3.10 to 3.14; the rest is installed.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# Airflow takes twice as long to start where Python may not keep its bytecode; empty means: it may.
export PYTHONDONTWRITEBYTECODE :=

# The Python that .venv is made of: the first that is supported.
PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11 python3.10,$(shell $(p) -c \
	'import sys; (3, 10) <= sys.version_info < (3, 15) and print("$(p)")' 2>/dev/null)))
# More for pytest, such as ARGS="-k batch -x".
ARGS ?=
WORKERS ?= 2
# worksteal keeps neighbours, which share costly fixtures, on one worker until the other has nothing left to do.
# tests/e2e has a target of its own: it takes minutes.
# So have tests/page, which needs a browser, and tests/clients, which needs programs of others.
PYTEST := pytest -n $(WORKERS) --dist worksteal --ignore=tests/e2e --ignore=tests/page --ignore=tests/clients

UV := .venv/bin/uv

##@ Begin here

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9.-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' \
		$(firstword $(MAKEFILE_LIST))

.PHONY: install
install: .venv/.installed ## make .venv: this package, the emulator, the newest Airflow, all tools

.PHONY: install-2.11
install-2.11: .venv-2.11/.installed ## make .venv-2.11: the same with Airflow 2.11 and every dependency at its floor

.PHONY: demo
demo: .venv/.installed ## run a batch of 8 samples on the local HealthOmics, and print what became of each
	.venv/bin/python example_dags/run_demo.py

##@ Tests

.PHONY: test
test: .venv/.installed ## run the tests on the newest Airflow
	.venv/bin/$(PYTEST) $(ARGS)

.PHONY: test-2.11
test-2.11: .venv-2.11/.installed ## run the tests in .venv-2.11 (not on Python 3.13)
	.venv-2.11/bin/$(PYTEST) $(ARGS)

##@ Tests on other versions of Airflow

# Between the lowest and the newest, which `test-2.11` and `test` are, and the other two corners.
.PHONY: test-2.11-newest test-3.0 test-3.1 test-3.2 test-3.3-floors
test-2.11-newest: .venv-2.11-newest/.installed ## run the tests on Airflow 2.11 with the newest dependencies (not on Python 3.13)
test-3.0: .venv-3.0/.installed ## run the tests in .venv-3.0 (not on Python 3.13)
test-3.1: .venv-3.1/.installed ## run the tests in .venv-3.1 (not on Python 3.14)
test-3.2: .venv-3.2/.installed ## run the tests in .venv-3.2
test-3.3-floors: .venv-3.3-floors/.installed ## run the tests on Airflow 3.3.0 with every dependency at its floor
test-2.11-newest test-3.0 test-3.1 test-3.2 test-3.3-floors: test-%:
	.venv-$*/bin/$(PYTEST) $(ARGS)

.PHONY: test-newest
test-newest: .venv-newest/.installed ## the newest of everything, pre-releases of Airflow included
	.venv-newest/bin/$(PYTEST) $(ARGS)

.PHONY: test-e2e-2.11 test-e2e-3.0 test-e2e-3.1 test-e2e-3.2
test-e2e-2.11: .venv-2.11/.installed ## kill, mark and clear tasks of a running Airflow 2.11 (5 minutes)
test-e2e-3.0: .venv-3.0/.installed ## the same on 3.0
test-e2e-3.1: .venv-3.1/.installed ## the same on 3.1
test-e2e-3.2: .venv-3.2/.installed ## the same on 3.2
test-e2e-2.11 test-e2e-3.0 test-e2e-3.1 test-e2e-3.2: test-e2e-%:
	.venv-$*/bin/pytest tests/e2e $(ARGS)

.PHONY: test-matrix
test-matrix: ## run all tests on every supported Airflow, test-e2e included (two hours)
	$(MAKE) test-2.11 test-2.11-newest test-3.0 test-3.1 test-3.2 test-3.3-floors test
	$(MAKE) test-e2e-2.11 test-e2e-3.0 test-e2e-3.1 test-e2e-3.2 test-e2e test-page-3.1 test-page-3.2

##@ Tests on a running Airflow, in a browser, on managed Airflow, by other clients

.PHONY: test-e2e
test-e2e: .venv/.installed ## kill, stall and clear tasks of a running Airflow over the local HealthOmics (10 minutes)
	.venv/bin/pytest tests/e2e --ignore=tests/e2e/test_examples.py $(ARGS)

.PHONY: test-examples
test-examples: .venv/.installed ## trigger every example through the API of a running Airflow, by its form (3 minutes)
	.venv/bin/pytest tests/e2e/test_examples.py $(ARGS)

.PHONY: test-page-smoke
test-page-smoke: .venv-page/.installed ## the tab while a task is deferred, and a rerun clicked in it (needs chromium and chromedriver)
	.venv-page/bin/pytest tests/page -m smoke $(ARGS)

.PHONY: test-page
test-page: .venv-page/.installed .venv-page/.axe ## the pages in Chromium: scripts, accessibility, valid HTML (needs chromium, chromedriver, npm)
	.venv-page/bin/pytest tests/page $(ARGS)

.PHONY: test-page-3.1 test-page-3.2
test-page-3.1: .venv-3.1/.installed ## the tab and its rerun on Airflow 3.1
test-page-3.2: .venv-3.2/.installed ## the same on 3.2
test-page-3.1 test-page-3.2: test-page-%:
	.venv-$*/bin/pytest tests/page -m smoke $(ARGS)

.PHONY: test-mwaa mwaa-files
test-mwaa: build ## install the wheel beside the pins of Amazon MWAA's images, and run the demo's DAG there
	.venv/bin/python .ci/mwaa.py test dist/*.whl

mwaa-files: build ## write requirements and constraints for each image of MWAA that can have the wheel, in dist/mwaa
	.venv/bin/python .ci/mwaa.py files dist/*.whl dist/mwaa

# Where npm is missing, the JavaScript SDK is left out, and a line says so.
CLIENTS := $(basename $(notdir $(wildcard tests/clients/pins/*.txt))) $(if $(shell command -v npm),javascript)
.PHONY: test-clients
test-clients: .venv/.installed $(CLIENTS:%=.venv-clients/%/.installed) ## the local HealthOmics under the AWS CLI and other clients
	@$(if $(filter javascript,$(CLIENTS)),,echo "npm is not here: the SDK for JavaScript is left out" >&2)
	.venv/bin/pytest tests/clients $(ARGS)

.PHONY: screenshots
screenshots: .venv-page/.installed ## make the pictures of the documentation anew, in docs/images
	.venv-page/bin/python -m tests.page.screenshots

##@ Quality

.PHONY: coverage
coverage: .venv/.installed ## run the tests and list the lines and branches they leave out
	.venv/bin/$(PYTEST) --cov --cov-report=term-missing --cov-report=xml $(ARGS)

.PHONY: bench
bench: .venv-bench/.installed ## measure what is promised of speed and memory; fails where a limit is broken (an hour)
	.venv-bench/bin/python benchmarks/sheets.py
	.venv-bench/bin/python benchmarks/results.py
	.venv-bench/bin/python benchmarks/imports.py
	.venv-bench/bin/python benchmarks/waits.py --json waits.json

.PHONY: check
check: .venv/.installed ## lint, formatting and types
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

.PHONY: fix
fix: .venv/.installed ## correct what lint and formatting can correct by themselves
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

.PHONY: docs
docs: .venv/.installed ## build the site of the documentation in site/; a warning fails it
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet

# What a user gets: the package with its extras, no tools of ours. pip-audit looks at it from outside. At the floors it also
# finds what Airflow 2.11.0 holds back (docs/dependencies.md), so continuous integration asks for the newest only.
.PHONY: audit audit-floors
audit: .venv/.installed ## ask the package index for known vulnerabilities of what users install
	$(UV) venv --quiet --clear --python .venv/bin/python .venv-audit
	$(UV) pip install --quiet --python .venv-audit '.[emulator,parquet]'
	$(call ask-for-vulnerabilities,.venv-audit)

audit-floors: .venv-2.11/.installed ## the same with Airflow 2.11.0 and every dependency at its floor
	$(UV) venv --quiet --clear --python .venv-2.11/bin/python .venv-audit-floors
	$(UV) pip install --quiet --python .venv-audit-floors --resolution lowest-direct \
		'.[emulator,parquet]' 'apache-airflow==2.11.*' $(FLOORS)
	$(call ask-for-vulnerabilities,.venv-audit-floors)

define ask-for-vulnerabilities
$(UV) pip freeze --python $(1) --exclude-editable | grep -v '^airflow-provider-omics' > $(1)/requirements.txt
	$(UV) tool run pip-audit --no-deps --disable-pip --progress-spinner off --requirement $(1)/requirements.txt
endef

##@ A release

.PHONY: build
build: .venv/.installed ## make the wheel and the source distribution in dist/, and check them
	$(UV) build --quiet --clear --out-dir dist
	.venv/bin/twine check --strict dist/*.whl dist/*.tar.gz
	.venv/bin/check-wheel-contents dist/*.whl

# What an installation holds, seen from outside as `audit` sees it.
.PHONY: sbom
sbom: build ## write what an installation of the wheel holds, as CycloneDX, in dist/sbom.cdx.json
	$(UV) venv --quiet --clear --python .venv/bin/python .venv-audit
	$(UV) pip install --quiet --python .venv-audit dist/*.whl
	$(UV) tool run --from 'cyclonedx-bom>=7,<8' cyclonedx-py environment .venv-audit/bin/python --output-file dist/sbom.cdx.json

# Tests import what is installed, so this is how they are run against what users get. `use-tree` goes back.
.PHONY: use-wheel
use-wheel: build .venv-2.11/.installed ## let .venv and .venv-2.11 have the built wheel in the place of the working tree
	for venv in .venv .venv-2.11; do $(UV) pip install --quiet --python $$venv --no-deps --reinstall dist/*.whl; done

.PHONY: use-tree
use-tree: .venv/.installed .venv-2.11/.installed ## let them have the working tree again
	for venv in .venv .venv-2.11; do $(UV) pip install --quiet --python $$venv --no-deps --editable .; done

##@ Tidy up

.PHONY: clean
clean: ## remove what was built, cached and measured (not .venv)
	rm -rf dist build site .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* coverage.xml waits.json
	find airflow_provider_omics tests -name __pycache__ -prune -exec rm -rf {} +

$(UV):
	@test -n "$(PYTHON)" || { echo "No Python 3.10 to 3.14 found; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'

.venv/.installed: pyproject.toml | $(UV)
	$(UV) pip install --quiet --python .venv --compile-bytecode --editable '.[emulator]' --group dev 'apache-airflow==3.3.*'
	@touch $@

# Beside Airflow itself: what 3.0 and 3.2 need that their own requirements do not say (they fail with newer releases).
# Without starlette 1 it is Airflow 3.2.1: 3.2.2 asks for it, and finds no service registry in `dag.test()` then. Its servers
# run, so `test-e2e-3.2` can be had on it: make PINS-3.2="'fastapi==0.136.3' 'cadwyn==7.0.0'" test-e2e-3.2.
PINS-3.0 := 'pyjwt<2.11' 'fastapi==0.117.1' 'cadwyn==5.4.6' 'starlette<0.49'
PINS-3.2 := 'fastapi==0.136.3' 'cadwyn==7.0.0' 'starlette<1'

# Airflow 2.11 and 3.0 do not run on Python 3.13, nor 3.1 on 3.14 (their Requires-Python), of which uv takes no notice. Of
# the dependencies, some had no release for 3.14 yet at the floors.
TOO_NEW := 3.15
.venv-3.1/.installed .venv-3.3-floors/.installed: TOO_NEW := 3.14
.venv-2.11/.installed .venv-2.11-newest/.installed .venv-3.0/.installed: TOO_NEW := 3.13

# The Python of .venv where Airflow runs on it, else another one of this machine. Nothing is fetched but packages.
define make-venv
python=.venv/bin/python; \
	$$python -c 'import sys; sys.exit(sys.version_info >= ($(subst .,$(comma) ,$(TOO_NEW))))' || python='>=3.10,<$(TOO_NEW)'; \
	$(UV) venv --quiet --allow-existing --no-python-downloads --python "$$python" $(@D) || { \
	echo "$(@D) needs a Python from 3.10 on and below $(TOO_NEW): install one, or name one for all: make PYTHON=..." >&2; \
	exit 1; }
endef
comma := ,

.venv-3.%/.installed: pyproject.toml | $(UV)
	@$(make-venv)
	$(UV) pip install --quiet --python .venv-3.$* --compile-bytecode \
		--editable '.[emulator]' --group test --group page 'apache-airflow==3.$*.*' $(PINS-3.$*)
	@touch $@

.venv-newest/.installed: pyproject.toml | $(UV)
	@$(make-venv)
	$(UV) pip install --quiet --python $(@D) --compile-bytecode --prerelease if-necessary-or-explicit --upgrade \
		--editable '.[emulator]' --group test 'apache-airflow>=3.3.0rc0'
	@touch $@

.venv-page/.installed: pyproject.toml | $(UV)
	@$(make-venv)
	$(UV) pip install --quiet --python $(@D) --compile-bytecode \
		--editable '.[emulator]' --group test --group page --group fab 'apache-airflow==3.3.*'
	@touch $@

.venv-page/.axe: .venv-page/.installed
	npm install --silent --no-fund --no-audit --prefix $(@D) axe-core@4
	@touch $@

# Programs of others, each with an environment of its own: the AWS CLI wants one botocore and no other.
.venv-clients/javascript/.installed: tests/clients/javascript/package.json
	@mkdir -p $(@D) && cp $< $(@D)
	npm install --silent --no-fund --no-audit --no-package-lock --prefix $(@D)
	@touch $@

.venv-clients/%/.installed: tests/clients/pins/%.txt | $(UV)
	$(UV) venv --quiet --clear --python .venv/bin/python $(@D)
	$(UV) pip install --quiet --python $(@D) --requirement $<
	@touch $@

.venv-2.11-newest/.installed: pyproject.toml | $(UV)
	@$(make-venv)
	$(UV) pip install --quiet --python $(@D) --compile-bytecode --editable '.[emulator]' --group test 'apache-airflow==2.11.*'
	@touch $@

# aiobotocore, which the Amazon provider's pattern needs, allows a few releases of botocore only.
.venv-bench/.installed: pyproject.toml | $(UV)
	@$(make-venv)
	$(UV) pip install --quiet --python $(@D) --compile-bytecode \
		--editable '.[emulator,parquet]' --group bench 'apache-airflow==3.3.*'
	@touch $@

# The floors of pyproject.toml are what is installed here, so that none of them is a guess. Those of the package itself are
# named: uv takes the lowest of them only as far as nothing else that it has chosen by then asks for more.
FLOORS = $(shell sed -n '/^dependencies = \[/,/^\]/s/^ *"\([a-z0-9-]*\)>=\([0-9.]*\)",.*/\1==\2/p' pyproject.toml | grep -v '^apache-airflow==')
.venv-2.11/.installed .venv-3.3-floors/.installed: .venv-%/.installed: pyproject.toml | $(UV)
	@$(make-venv)
	$(UV) pip install --quiet --python $(@D) --compile-bytecode --resolution lowest-direct \
		--editable '.[emulator]' --group test 'apache-airflow==$(*:-floors=).*' $(FLOORS)
	@touch $@
