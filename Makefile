# make setup    installs all that the checks and the stand-ins need, inside this folder (PYTHON=... names the interpreter)
# make test     checks format, lint and types, and runs the tests (ARGS=... goes to pytest)
# make check-all  the same, and the short forms of make chaos; takes some minutes more
# make chaos    plays faults on every call, outages, races, 500 kills and a soak; takes two hours (ARGS='kills --seed 7')
# make fuzz     sends 500 random requests to each route, half with keys, half with tokens (ARGS='--callers entra --seed 7')
# make demo     shows a run from start to callback on this machine (ARGS=... goes to local.demo)
# make format   formats the code as make test requires
# make lock     makes requirements*.txt from requirements*.in (ARGS=--upgrade takes the newest versions)
# make audit    looks up the deployed packages in the advisory databases (needs the network)
# make clean    removes everything that make setup and the tools have made

.PHONY: setup test check-all chaos fuzz demo format lint types audit lock clean

export PYTHON
run = .venv/bin/python -m

setup:
	@if [ -n "$$PYTHON" ]; then set -- "$$PYTHON"; \
	else set -- python3 python3.14 python3.13 python3.12 python3.11; fi; \
	for python; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    exec "$$python" local/setup.py; \
	  fi; \
	done; \
	echo "make setup needs Python 3.11 or newer and found none as: $$*. Name one: make setup PYTHON=/path/to/python3" >&2; \
	exit 1

test: lint types
	@echo "Left out: the short forms of make chaos and details of the page, which take some minutes (make check-all plays them)"
	@$(run) pytest -n auto --dist worksteal -m "not slow" $(ARGS)

check-all: lint types
	@$(run) pytest -n auto --dist worksteal $(ARGS)

chaos: setup
	@$(run) tests.chaos $(ARGS)

fuzz: setup
	@$(run) tests.fuzz $(ARGS)

demo: setup
	@$(run) local.demo $(ARGS)

format: setup
	@$(run) ruff format -q
	@$(run) ruff check -q --fix

lint: setup
	@$(run) ruff format -q --check
	@$(run) ruff check -q
	@out=$$(.venv/bin/python -c 'from importlinter.cli import lint_imports_command as lint; lint()' 2>&1) || { echo "$$out"; exit 1; }
	@$(run) bandit -q -r polysync_core function_app.py

types: setup
	@$(run) mypy --no-error-summary

audit: setup
	@$(run) pip_audit --disable-pip --no-deps -r requirements.txt

lock: setup
	@$(run) local.lock $(ARGS)

clean:
	rm -rf .venv .venv-runtime local/azurite_npm/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
