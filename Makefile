# Every target builds what it needs; `make help` lists them.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help test-slow parity parity-training mutants false-alarms false-alarms-long curves test fixtures lint format bench docs clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

parity: $(READY) ## the proof, live: official Magenta runs and trains; every number of it is compared with ours
	$(BIN)/python -m parity_tests parity

parity-training: $(READY) ## of that proof the training alone: whole runs with all randomness on, step by step
	$(BIN)/python -m parity_tests parity --only training --out out/parity-training

mutants: $(READY) ## how small a bug the proof would catch: port bugs are planted, one by one, and each must be found
	$(BIN)/python -m parity_tests mutants
	$(BIN)/python -m parity_tests mutants --scaled

false-alarms: $(READY) ## how often equal code is called different: pairs known to be equal, judged as all else is
	$(BIN)/python -m parity_tests false-alarms

false-alarms-long: $(READY) ## the same with four times as many recordings: about an hour
	$(BIN)/python -m parity_tests false-alarms --form long

curves: $(READY) ## training as it is used: both sides many times, each with its own random numbers; curves compared
	$(BIN)/python -m parity_tests curves

test: $(READY) ## all tests, those against the committed recordings of the official code among them
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-slow: $(READY) ## what takes minutes: a training that is killed 50 times and resumed, bit by bit
	$(BIN)/python -m pytest -m slow

fixtures: $(READY) ## let the official code record the small fixtures again
	$(BIN)/python -m parity_tests fixtures

lint: $(READY) ## check style and types: ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## let ruff lay out the code
	$(BIN)/ruff format .

bench: $(READY) ## measure: conversion, sampling and a training step, ours beside the official code
	$(BIN)/python -m benchmarks

docs: $(READY) ## put the tables of the last parity, mutants, false-alarms, curves and bench into README and docs/
	$(BIN)/python docs/refresh.py

clean: ## remove the environment and everything that was made
	rm -rf $(VENV) out build dist .pytest_cache .ruff_cache .mypy_cache *.egg-info

# magenta comes without its dependencies: they pin packages of 2020 that its sketch half does not use.
$(READY): requirements.txt pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps magenta==2.1.4
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --editable .
	touch $@
