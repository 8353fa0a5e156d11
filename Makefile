# Everything works on a fresh machine that has make and python3: the targets build .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Pinned for our own environments: a plain "torch" may bring gigabytes of CUDA.
TORCH := torch==2.13.0
DEMO_SEED := 1000007

.PHONY: env demo spine test check wheel-check policies soak soak-limits bench bench-loop bench-chunks bench-precision bench-peers \
	bench-data lerobot-check clean

env: $(VENV)/.dev

$(VENV)/.dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q $(TORCH)
	$(BIN)/python -m pip install -q -e '.[sim,train,data,ray,dev]'
	touch $@

# The robot half and the simulator alone, as on a robot: no torch.
ROBOT := .venv-robot
RBIN := $(ROBOT)/bin

$(ROBOT)/.sim: pyproject.toml
	$(PYTHON) -m venv $(ROBOT)
	$(RBIN)/python -m pip install -q -e '.[sim]'
	touch $@

demo: $(ROBOT)/.sim  ## the simulated arm does what three instructions say; leaves episodes, report.json and film.gif
	rm -rf build/demo
	$(RBIN)/vla-demo --robot arm --seed $(DEMO_SEED) --out build/demo

SPINE := build/spine

spine: env  ## torchrl's toy task: train, export, run over sockets for 20 s, log, replay
	rm -rf $(SPINE) && mkdir -p $(SPINE)
	$(BIN)/vla-train bc --env toy --out $(SPINE)/model.pt
	$(BIN)/vla-export $(SPINE)/model.pt --format both
	$(BIN)/vla-run --robot toy --policy $(SPINE)/model.onnx --duration 20 --log $(SPINE)/toy
	$(BIN)/vla-replay "$$(ls $(SPINE)/toy/*.mcap | head -n 1)" --check --env toy --policy $(SPINE)/model.onnx

# Robots in real time, or commands as people type them: one after the other. All other tests share the cores.
LIVE := $(addprefix tests/,app benchmarks deploy docs faults plugins soak wire)

test: env  ## all tests, about 12 minutes on 2 cores
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile $(addprefix --ignore=,$(LIVE))
	$(BIN)/python -m pytest $(LIVE)

check: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

wheel-check: env  ## the built wheel alone, in an empty environment, without torch
	$(BIN)/python tests/wheel_check.py

TASKS := reach push track

recipe-%: env  ## demonstrations, training, export and evaluation of one of the arm's tasks: make recipe-reach
	rm -rf build/$*
	$(BIN)/vla-train recipe --robot arm --task $* --out build/$*

policies: env $(addprefix recipe-,$(TASKS))  ## rebuild the shipped policy files
	mkdir -p build
	$(BIN)/vla-train bc --env toy --seed 0 --out build/toy.pt
	$(BIN)/vla-export build/toy.pt --out robot_configs/policies/toy.onnx
	$(BIN)/vla-train bc --data build/track/episodes --architecture flow --threads 1 --steps 3500 --out build/track_flow.pt
	$(BIN)/vla-export build/track_flow.pt --out robot_configs/policies/track_flow.onnx
	for task in $(TASKS); do cp build/$$task/$$task.onnx robot_configs/policies/; done

soak-limits: env  ## ten million adversarial ticks against the limits, about 5 minutes; writes build/soak/limits.json
	$(BIN)/python -m tests.soak.limits --ticks 10000000 --out build/soak/limits.json

soak: env  ## every fault of docs/faults.md, 20 times each, in live runs: about 50 minutes; rewrites that page
	$(BIN)/python -m tests.faults --repeats 20 --write docs/faults.md

bench: env  ## start-up, memory, recovery, success over sockets, the arm in real time; writes build/bench/*.json
	$(BIN)/python benchmarks/startup.py --json
	$(BIN)/python benchmarks/recovery.py --json
	$(BIN)/python benchmarks/hosted_success.py --json
	$(BIN)/python benchmarks/realtime_arm.py --json

bench-loop: env  ## the control loop against a bare C loop, 4 minutes; as root under SCHED_FIFO
	$(BIN)/python -m benchmarks.loop --json

bench-chunks: env  ## executors of action chunks under delay; hours, goes on where it was interrupted; writes the report
	$(BIN)/python -m benchmarks.chunks
	$(BIN)/python -m benchmarks.chunks --report

bench-precision: env  ## fp32, fp16 and int8 files of one policy: size and time of a call; a minute
	$(BIN)/python -m benchmarks.precision --json

bench-peers: env  ## vla-run beside other executors of chunks, each from the package index: 3 GB, 40 minutes
	$(BIN)/python -m benchmarks.peers --json

bench-data: env  ## from a store on disk to training batches, beside the library's plain way; 4 GB of disk, two minutes
	$(BIN)/python -m benchmarks.data_path --json

lerobot-check: env  ## LeRobot's own ACT policy, installed in an environment of its own, through vla-export: 2 GB
	$(BIN)/python -m tests.lerobot_check

clean:
	rm -rf build dist $(VENV) $(ROBOT) .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
