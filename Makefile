# Every target builds what it needs. `make help` lists them.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# What the targets below write. Nothing else in out/ is theirs: it may be a user's model or certificate.
RESULTS := $(addprefix out/,parity parity-training mutants false-alarms curves fuzz bench site)

.DEFAULT_GOAL := help
.PHONY: help test-slow test-browser test-install parity parity-training mutants false-alarms false-alarms-long curves fuzz test fixtures lint format bench bench-gpu docs site clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

parity: $(READY) ## the proof: official Magenta trains and runs, and every number is compared with ours (10 to 16 minutes)
	$(BIN)/python -m parity_tests parity

parity-training: $(READY) ## the part of the proof about training: whole runs, step by step
	$(BIN)/python -m parity_tests parity --only training --out out/parity-training

mutants: $(READY) ## plant bugs one by one, each of which must be caught; measure how small a change is found
	$(BIN)/python -m parity_tests mutants
	$(BIN)/python -m parity_tests mutants --scaled

false-alarms: $(READY) ## judge pairs that are known to be equal, and count how often they are called different
	$(BIN)/python -m parity_tests false-alarms

false-alarms-long: $(READY) ## the same with four times as many recordings (an hour)
	$(BIN)/python -m parity_tests false-alarms --form long

curves: $(READY) ## train both sides many times with their own random numbers, and compare the curves (half an hour)
	$(BIN)/python -m parity_tests curves

fuzz: $(READY) ## give 2,000 damaged or hostile files of each kind to the commands that read them (an hour; Linux)
	$(BIN)/python -m parity_tests fuzz

test: $(READY) ## the unit tests, many of them against small recordings of the official code (8 to 15 minutes)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-slow: $(READY) ## the tests that take minutes: a training that is killed 50 times and resumed, bit for bit
	$(BIN)/python -m pytest -m slow

test-browser: $(READY) ## the tests in Chromium: a person at the page, and SVG drawings; they take packages from npm
	$(BIN)/python -m pytest -m browser

test-install: $(READY) ## build the package, and use it in an empty environment of each Python that is here (minutes, GBs)
	$(BIN)/python -m pytest -m install

fixtures: $(READY) ## record the small recordings again with the official code
	$(BIN)/python -m parity_tests fixtures

lint: $(READY) ## check style and types with ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## format the code with ruff
	$(BIN)/ruff format .

bench: $(READY) ## time a training step, sampling and conversion, ours and the official code
	$(BIN)/python -m benchmarks

bench-gpu: $(READY) ## check the path for GPUs on this machine's GPU, and time a training step and sampling there
	$(BIN)/python -m benchmarks.gpu

site: $(READY) ## the documentation and the API reference as a static site, in out/site
	$(BIN)/python docs/build_site.py

docs: $(READY) ## copy the results of the last parity, mutants, false-alarms, curves and bench into the README and docs/
	$(BIN)/python docs/refresh.py

clean: ## remove the environment, the caches and the results of these targets; models are kept
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .mypy_cache $(RESULTS)
	rmdir out 2>/dev/null || true

# magenta is installed without its dependencies: they pin packages from 2020 that its sketch code does not use.
# pip would compile everything on one core; compileall takes all, and fails on templates that are no Python.
$(READY): requirements.txt pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --no-compile --quiet -r requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check --no-compile --quiet --no-deps magenta==2.1.4
	$(BIN)/python -m pip install --disable-pip-version-check --no-compile --quiet --no-deps --editable .
	$(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true
	touch $@
