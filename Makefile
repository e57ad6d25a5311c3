# Seedbed: `make demo` and `make test` set everything up by themselves, from a fresh clone, again and again.
.DEFAULT_GOAL := help
PYTHON ?= python3
UV_VERSION := 0.13.8
UV := .tools/bin/uv
BIN := .venv/bin
export UV_LINK_MODE ?= copy
say = @printf '\033[1m== %s\033[0m\n'

.PHONY: help setup demo test lint compose check oracle images lock bench platform pipeline grants chaos security aws-smoke release-check clean

help: ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

$(UV):
	$(say) "installing uv $(UV_VERSION) into .tools"
	@$(PYTHON) -m venv .tools
	@.tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.synced: $(UV) requirements/dev.lock pyproject.toml
	$(say) "installing the locked packages into .venv"
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	@$(UV) pip sync --quiet --python .venv --require-hashes requirements/dev.lock
	@$(UV) pip install --python .venv --quiet --no-deps --no-build-isolation --editable .
	@touch $@

setup: .venv/.synced ## install the locked packages into .venv

demo: setup ## a new project from model-build-s3, and its whole pipeline, in a temporary folder
	@$(BIN)/python -m seedbed.demo

test: setup lint ## everything that runs offline, without Docker
	$(say) "running the tests"
	@$(BIN)/pytest -n auto --dist worksteal

lint: setup ## ruff, mypy, drift of the composed templates, CloudFormation
	$(say) "linting"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/seedbed compose --check
	@$(BIN)/cfn-lint --include-checks I --append-rules cfn_lint_serverless.rules -- 'layers/*/infra/*.yml' 'servicecatalog/*/*.yml' 'servicecatalog/products/parts/*.yml'

compose: setup ## write templates/ from layers/
	@$(BIN)/seedbed compose

.venv-oracle/.synced: $(UV) requirements/oracle.lock
	$(say) "installing SageMaker SDK v3 into .venv-oracle"
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv-oracle
	@$(UV) pip sync --quiet --python .venv-oracle --require-hashes requirements/oracle.lock
	@touch $@

PROBLEMS := binary_classification multiclass_classification regression
oracle: setup .venv-oracle/.synced ## compile our pipelines with SageMaker SDK v3 and compare
	$(say) "rendering a project for each template and problem type"
	@rm -rf build/oracle
	@for template in $$($(BIN)/seedbed list --json | $(BIN)/python -c 'import json, sys; print(*json.load(sys.stdin))'); do \
	  case $$template in model-build-*) for problem in $(PROBLEMS); do \
	    $(BIN)/seedbed new $$template build/oracle/$$template/$$problem --set problem_type=$$problem || exit 1; \
	  done;; esac; done
	$(say) "comparing definitions"
	@cd tests/oracle && ../../.venv-oracle/bin/python -m pytest -q -W ignore -c /dev/null --confcutdir=. -p no:cacheprovider .

security: setup .venv-security/.synced ## checkov on the stacks and on every product
	$(say) "composing the products"
	@$(BIN)/seedbed package --version v999.0.0 --output build/security > /dev/null
	$(say) "checkov"
	@$(BIN)/python tests/security/scan.py .venv-security/bin/checkov servicecatalog/hub servicecatalog/spoke build/security/products

.venv-security/.synced: $(UV) requirements/security.lock
	$(say) "installing checkov into .venv-security"
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv-security
	@$(UV) pip sync --quiet --python .venv-security --require-hashes requirements/security.lock
	@touch $@

platform: setup ## from nothing to projects from every product by both routes, in the sandbox
	@$(BIN)/pytest tests/test_platform.py --durations=0 --durations-min=1

pipeline: setup ## releases by pushed tags, taken back and retired, in the sandbox (minutes)
	@$(BIN)/pytest tests/sandbox/pipeline_story.py --durations=0 --durations-min=1

chaos: setup ## kill a publish before and after each of its requests
	$(say) "killing publishes"
	@cd tests && ../$(BIN)/python -m pytest -q -n auto -c ../pyproject.toml --rootdir .. chaos/

aws-smoke: setup ## in two real accounts, from nothing to a model and back: PROFILE=hub SPOKE=spoke (ARGS=--teardown)
	@$(BIN)/python -m seedbed.smoke $(if $(PROFILE),--profile '$(PROFILE)') --spoke-profile '$(SPOKE)' $(ARGS)

release-check: setup ## update projects of earlier versions to HEAD; refuse what would hurt them
	@$(BIN)/seedbed release-check

bench: setup ## speed, as ratios against named peers
	@for script in bench/*.py; do printf '== %s\n' $$script; $(BIN)/python $$script || exit 1; done

grants: setup ## take away each grant that a project's build used and see it fail (half an hour; PARTS=...)
	@$(BIN)/python tests/sandbox/every_grant.py $(PARTS)

images: .venv-oracle/.synced ## refresh the table of container images from SageMaker SDK v3
	@.venv-oracle/bin/python src/seedbed/images.py
	@$(MAKE) --no-print-directory compose

lock: setup ## resolve the locks again (with UPGRADE=1: to the newest versions)
	@for group in "dev --extra sandbox" oracle; do \
	  $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    $(if $(UPGRADE),--upgrade) pyproject.toml --group $$group --output-file requirements/$${group%% *}.lock; done
	@echo 'checkov>=3.3,<4' | $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  $(if $(UPGRADE),--upgrade) - --output-file requirements/security.lock
	@$(BIN)/seedbed compose >/dev/null && rm -rf build/lock && $(BIN)/seedbed new model-build-s3 build/lock >/dev/null
	@cp layers/model-build/requirements.lock build/lock/
	@cd build/lock && ../../$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  $(if $(UPGRADE),--upgrade) --constraint ../../requirements/dev.lock pyproject.toml --group dev --output-file requirements.lock
	@cp build/lock/requirements.lock layers/model-build/requirements.lock && rm -rf build/lock && $(BIN)/seedbed compose

clean: ## remove what the targets above installed or wrote
	rm -rf .venv .venv-oracle .venv-security .tools dist build .mypy_cache .pytest_cache .ruff_cache
