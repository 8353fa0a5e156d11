"""The world of the trials: one joint that is where it is told to be, a signal beside it, a policy that is shown it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.chunks.executors import Executor, merged
from vla_runtime.app.config import RobotConfig
from vla_runtime.app.load import config_from
from vla_runtime.core.instructions import InstructionEncoding
from vla_runtime.core.protocols import StopCategory
from vla_runtime.core.spec import ActionSpec, Normalisation, PolicySpec, StateSpec
from vla_runtime.core.types import F32, F64, U8

__all__ = ["PERIOD_NS", "ROWS", "STEPS", "STEP_NS", "Answer", "OneJoint", "Target", "TrueTime", "trial_config"]

STEPS = 20
"""Changes of the target in one episode."""
STEP_NS = 50_000_000
PERIOD_NS = 10_000_000
ROWS = 16
_REPLAN = 2
_LEAST_S, _MOST_S = 3.0, 4.0  # between two changes of the target
_WIDE = 1e6


class Target:
    """0 or 1; it changes at random instants, of which the first is after a second."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng([seed, STEPS])
        waits_ns = (random.uniform(_LEAST_S, _MOST_S, STEPS + 1) * 1e9).astype(np.int64)
        self.instants_ns = (np.cumsum(waits_ns) - int((_LEAST_S - 1) * 1e9)).tolist()
        self.end_s = self.instants_ns.pop() * 1e-9

    def __call__(self, now_ns: int) -> float:
        return float(bisect_right(self.instants_ns, now_ns) % 2)


class TrueTime:
    """The true time in s."""

    def __call__(self, now_ns: int) -> float:
        return now_ns * 1e-9


class OneJoint:
    """A joint that is where it is told to be, and measures ``signal`` beside it."""

    joints, extras, cameras, period_ns = ("joint",), ("signal",), (), PERIOD_NS

    def __init__(self, signal: Callable[[int], float]) -> None:
        self._signal = signal
        self.reset(0, "")

    def reset(self, seed: int, instruction: str) -> None:
        self._now_ns, self._position = 0, np.zeros(1)

    def step(self, command: F64 | None) -> None:
        self._now_ns += self.period_ns
        if command is not None:
            self._position = command

    def measure(self) -> tuple[F64, F64 | None, F64]:
        return self._position, None, np.array([self._signal(self._now_ns)])

    def task(self) -> None:
        return None

    def capture(self, camera: str) -> Callable[[], U8]:
        raise AssertionError("there is no camera")

    def stop(self, category: StopCategory) -> None: ...

    def close(self) -> None: ...


class Answer:
    """A policy: a chunk f32[H, 1] from the signal that it is shown."""

    hash = "trial"
    spec = PolicySpec(
        name="trial",
        chunk_length=ROWS,
        dt_ns=STEP_NS,
        actions=(ActionSpec("joint", "none", -_WIDE, _WIDE),),
        state=(StateSpec("signal", "none"),),
        cameras=(),
        instruction=InstructionEncoding("table", 1, ("follow",)),
        head="continuous",
        normalisation=Normalisation((0.0,), (1.0,), (0.0,), (1.0,)),
    )

    def __init__(self, rows: Callable[[float], F64]) -> None:
        self._rows = rows

    def infer(self, images: object, state: F32, instruction_id: int) -> F32:
        rows: F32 = self._rows(float(state[0])).astype(np.float32)[:, None]
        return rows

    def close(self) -> None: ...


def trial_config(executor: Executor) -> RobotConfig:
    data = {
        "name": "trial",
        "instruction": "follow",
        "joints": [
            {"name": "joint", "unit": "none", "position": [-_WIDE, _WIDE], "velocity": 1e9, "align_tolerance": _WIDE}
        ],
        "cameras": [],
        "extras": ["signal"],
        "control": {"rate_hz": 1e9 / PERIOD_NS, "hold_timeout_ms": 1e6},
        "policy": {"file": "none", "step_hz": 1e9 / STEP_NS, "replan_interval": _REPLAN, "answer_timeout_ms": 3000.0},
    }
    chunks = {"chunks": executor.changes["chunks"]} if "chunks" in executor.changes else {}
    return config_from(merged(data, chunks), Path())
