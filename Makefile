# Everything a developer runs. Each target sets up what it needs the first time and is quick afterwards.
# Options go through ARGS: make demo ARGS=--keep, make test-unit ARGS="-k manifest".

# The Functions host of `make run`: local, or func for Azure Functions Core Tools. Not taken from the environment,
# where some shells keep the machine's name under HOST.
HOST := local
ARGS :=

BIN := .venv/bin
PYTHON_STAMP := .venv/.stamp
CHECKOV_STAMP := .venv/checkov/.stamp
NODE_STAMP := local/azurite/node_modules/.stamp
SDK_JS_STAMP := tests/sdk_js/node_modules/.stamp

.DEFAULT_GOAL := help
.PHONY: help demo run test test-unit soak check bench setup node clean

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo: setup ## Record an emulated call, archive it, and check every byte (about a minute; ARGS=--keep keeps the archive)
	@$(BIN)/python -m local demo $(ARGS)

run: setup ## Start the local stack and keep it up; HOST=func uses Azure Functions Core Tools
	@$(BIN)/python -m local up --functions-host $(HOST) $(ARGS)

test: setup $(CHECKOV_STAMP) $(SDK_JS_STAMP) ## Run all tests: unit, integration and faults, on the real local stack
	$(BIN)/python -m pytest -n 3 --dist loadfile $(ARGS)

test-unit: $(PYTHON_STAMP) ## Run the unit tests only; they start no process
	$(BIN)/python -m pytest tests/unit $(ARGS)

soak: setup ## Archive recordings for some minutes while everything fails at random (ARGS="--seed 7 --minutes 5")
	@$(BIN)/python -m tests.faults $(ARGS)

check: $(PYTHON_STAMP) $(CHECKOV_STAMP) ## Lint, formatting, strict types, imports, the protocol's model, the infrastructure, and the Functions app's doctor
	SKIP=infrastructure $(BIN)/pre-commit run --all-files
	$(BIN)/python -m tests.model
	$(BIN)/python -m infra.checks
	$(BIN)/azure-functions-doctor doctor --path . --hosting-plan flex-consumption

setup: $(PYTHON_STAMP) $(NODE_STAMP) ## Install what is missing: .venv and Azurite
	@:

node: $(NODE_STAMP) ## Install Azurite, the storage emulator
	@:

bench: setup ## Measure the copy engine beside its peers and limits (long; ARGS=--quick for a look); writes bench/results.md
	@$(BIN)/python -m bench $(ARGS)

clean: ## Remove what was installed, cached or stored here; stops no process
	rm -rf .local .venv local/azurite/node_modules tests/sdk_js/node_modules .import_linter_cache .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A virtual environment of another Python, or one whose Python is gone, is made anew.
$(PYTHON_STAMP): pyproject.toml requirements.txt
	@is313='import sys; sys.exit(sys.version_info[:2] != (3, 13))'; \
	if ! $(BIN)/python -c "$$is313" 2>/dev/null; then \
		found=; \
		for python in "$$(pyenv which python 2>/dev/null)" python3.13 python3 python; do \
			if [ -n "$$python" ] && "$$python" -c "$$is313" 2>/dev/null; then found="$$python"; break; fi; \
		done; \
		if [ -z "$$found" ]; then \
			echo "Python 3.13 is needed and was not found as python3.13, python3 or through pyenv: install it (pyenv install 3.13, or https://www.python.org/downloads/) and run make again." >&2; \
			exit 1; \
		fi; \
		echo "Making .venv with $$found"; \
		"$$found" -m venv --clear .venv; \
	fi
	@echo "Installing the Python packages"
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# checkov pins older packages than the app uses, so it has an environment of its own.
$(CHECKOV_STAMP): infra/checks/checkov.txt $(PYTHON_STAMP)
	@echo "Installing checkov"
	@$(BIN)/python -m venv .venv/checkov
	@.venv/checkov/bin/python -m pip install --quiet --disable-pip-version-check --requirement infra/checks/checkov.txt
	@touch $@

$(NODE_STAMP): local/azurite/package.json local/azurite/package-lock.json
	@if ! command -v npm >/dev/null; then \
		echo "npm, which comes with Node.js, is needed for Azurite, the storage emulator, and is not on PATH: install Node.js 22 or later (https://nodejs.org; 18 and 20 work too) and run make again." >&2; \
		exit 1; \
	fi
	@echo "Installing Azurite"
	@cd local/azurite && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# The official JavaScript SDKs, which tests run as clients of the emulators.
$(SDK_JS_STAMP): tests/sdk_js/package.json tests/sdk_js/package-lock.json $(NODE_STAMP)
	@echo "Installing the JavaScript SDKs for the tests"
	@cd tests/sdk_js && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
