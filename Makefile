# Everything a newcomer types. Needs Python 3.11 or newer, make, and a package index; nothing else.
PYTHON ?= python3
BIN := .venv/bin
PARALLEL := -n 3 --dist loadfile --no-loadscope-reorder # by file: the small ones come last and fill the gaps; a third of it is waiting

.PHONY: help setup up test coverage lint faults bench lock
help: ## what can be done here
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: .venv/ready ## make .venv with everything in it

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

up: .venv/ready ## run the backbone with a small sample in ./data, until Ctrl-C
	@$(BIN)/ektp up --sample

test: .venv/ready ## all tests, against a real nats-server; a short version of every long run
	$(BIN)/python -m pytest $(PARALLEL)

coverage: .venv/ready ## the same tests, and which lines they reach in every process: takes twice as long
	$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report=term:skip-covered

lint: .venv/ready ## ruff, mypy, and the walls between the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

faults: .venv/ready ## the fault tests at full length: 50 kills of each kind, 30 s of standstill, 150 machines, 250 damages
	EKTP_FAULT_KILLS=50 EKTP_FAULT_PAUSE_S=30 EKTP_MACHINE_EXAMPLES=150 EKTP_DAMAGE_TRIALS=250 $(BIN)/python -m pytest -n 0 --timeout 1800 \
		tests/integration/test_faults_*.py tests/integration/test_journal_machine.py

bench: .venv/ready ## each beside what it is compared with in the same run: appends, import, views, timers, audit log, HTTP, board
	$(BIN)/python -m tests.bench.bench_append
	$(BIN)/python -m tests.bench.bench_recorders
	$(BIN)/python -m tests.bench.bench_import
	$(BIN)/python -m tests.bench.bench_views
	$(BIN)/python -m tests.bench.bench_timers
	$(BIN)/python -m tests.bench.bench_audit
	$(BIN)/python -m tests.bench.bench_unanchored
	$(BIN)/python -m tests.bench.bench_http
	$(BIN)/python -m tests.bench.bench_board --minutes 1

lock: ## resolve the dependencies anew (needs uv)
	uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --extra dev pyproject.toml -o requirements.lock
