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
	$(BIN)/python -m pip install -q -e '.[train,dev]'
	touch $@

demo: env  ## train, export, run over sockets, log, replay
	$(BIN)/python benchmarks/demo.py

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
	$(BIN)/python -m vla_runtime.cli.train bc --env toy --seed 0 --out build/toy.pt
	$(BIN)/python -m exporters.cli build/toy.pt --out robot_configs/policies/toy.onnx
	$(BIN)/python -m vla_runtime.cli.train bc --env arm --seed 0 --out build/arm.pt
	$(BIN)/python -m exporters.cli build/arm.pt --out robot_configs/policies/arm.onnx

bench: env  ## start-up time, memory, import time, loop lateness; writes build/bench/*.json
	$(BIN)/python benchmarks/startup.py --json

clean:
	rm -rf build dist $(VENV) .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
