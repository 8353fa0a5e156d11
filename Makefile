# Everything works on a fresh machine that has make and python3: the targets build .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Pinned for our own environments: a plain "torch" may bring gigabytes of CUDA.
TORCH := torch==2.13.0

.PHONY: env demo test check wheel-check policies bench clean

env: $(VENV)/.dev

$(VENV)/.dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q $(TORCH)
	$(BIN)/python -m pip install -q -e '.[sim,train,dev]'
	touch $@

DEMO := build/demo

demo: env  ## train, export, run over sockets for 20 s, log, replay; then the simulated arm
	rm -rf $(DEMO) && mkdir -p $(DEMO)
	$(BIN)/vla-train bc --env toy --out $(DEMO)/model.pt
	$(BIN)/vla-export $(DEMO)/model.pt --format both
	$(BIN)/vla-run --robot toy --policy $(DEMO)/model.onnx --duration 20 --log $(DEMO)/toy
	$(BIN)/vla-replay "$$(ls $(DEMO)/toy/*.mcap | head -n 1)" --check --env toy --policy $(DEMO)/model.onnx
	$(BIN)/vla-run --robot robot_configs/arm.yaml --instruction "reach right" --episodes 2 --log $(DEMO)/arm
	$(BIN)/vla-replay "$$(ls $(DEMO)/arm/*.mcap | head -n 1)" --check

test: env
	$(BIN)/python -m pytest

check: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

wheel-check: env  ## the built wheel alone, in an empty environment, without torch
	$(BIN)/python tests/wheel_check.py

policies: env  ## rebuild the shipped policy files
	mkdir -p build
	$(BIN)/vla-train bc --env toy --seed 0 --out build/toy.pt
	$(BIN)/vla-export build/toy.pt --out robot_configs/policies/toy.onnx
	$(BIN)/vla-train bc --env arm --seed 0 --out build/arm.pt
	$(BIN)/vla-export build/arm.pt --out robot_configs/policies/arm.onnx

bench: env  ## start-up time, memory, import time, loop lateness; writes build/bench/*.json
	$(BIN)/python benchmarks/startup.py --json
	$(BIN)/python benchmarks/recovery.py --json
	$(BIN)/python benchmarks/hosted_success.py --json

clean:
	rm -rf build dist $(VENV) .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
