"""What every contestant is given: the same arm, the same policy, the same true motion. numpy and onnxruntime alone.

The policy knows the truth: row i of a chunk for an observation of second t is where the arm should be at t + i dt. So
whatever a command differs from the truth by is the executor's doing. One joint does not move but for each plan's own
opinion of it.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["CALL", "HERTZ", "JOINTS", "OPINION", "PHASE", "ROWS", "STEP_S", "SWING", "Arm", "Policy", "Setting",
           "Slowness", "cost", "report", "resampled", "setting", "truth"]  # fmt: skip

JOINTS = ("clock", "base", "shoulder", "elbow", "wrist", "opinion")
ROWS, STEP_S = 16, 0.05
OPINION = 0.05
CALL = struct.Struct("<qq")
HERTZ = np.array([0.15, 0.23, 0.31, 0.40])
PHASE = np.array([0.0, 1.0, 2.0, 3.0])
SWING = 0.5


def truth(seconds: float | np.ndarray) -> np.ndarray:
    """Where the first five joints should be, [..., 5]: the time itself, and four sines of 0.5 rad."""
    t = np.asarray(seconds, dtype=np.float64)[..., None]
    return np.concatenate([t, SWING * np.sin(2 * np.pi * HERTZ * t + PHASE)], axis=-1)


@dataclass(frozen=True)
class Setting:
    """One run: the control rate, how long after the first command, the policy file, how long an inference takes
    (``delay_ms`` give or take up to ``jitter_ms``), and where the logs of commands and of inferences go."""

    rate_hz: float
    seconds: float
    policy: str
    delay_ms: float
    jitter_ms: float
    seed: int
    commands: str
    calls: str
    cost_only: bool = False

    @property
    def period_s(self) -> float:
        return 1.0 / self.rate_hz

    @property
    def rows(self) -> int:
        """Rows of a chunk at the control rate."""
        return round(ROWS * STEP_S * self.rate_hz)

    @property
    def replan(self) -> int:
        """Half a chunk: what openpi's examples and physicalai's defaults say, and the same time for all."""
        return self.rows // 2


def setting() -> Setting:
    """The setting on the command line."""
    return Setting(**json.loads(sys.argv[1]))


class Arm:
    """Its position is the newest command; it writes down when each came. Before the first it follows the truth."""

    def __init__(self, seconds: float, epoch_ns: int | None = None) -> None:
        self.epoch_ns = time.monotonic_ns() if epoch_ns is None else epoch_ns
        self._length_ns = round(seconds * 1e9)
        self._stamps: list[int] = []
        self._commands: list[np.ndarray] = []

    def now(self) -> float:
        """Seconds since the epoch."""
        return (time.monotonic_ns() - self.epoch_ns) * 1e-9

    def position(self) -> np.ndarray:
        """f64[6]."""
        return self._commands[-1].copy() if self._commands else np.append(truth(self.now()), 0.0)

    def command(self, values: Sequence[float] | np.ndarray) -> None:
        self._stamps.append(time.monotonic_ns())
        self._commands.append(np.array(values, dtype=np.float64))

    @property
    def over(self) -> bool:
        """The time since the first command is up."""
        return bool(self._stamps) and time.monotonic_ns() - self._stamps[0] >= self._length_ns

    def save(self, path: str) -> None:
        commands = np.array(self._commands).reshape(-1, len(JOINTS))
        np.savez(path, stamps=np.array(self._stamps, dtype=np.int64), commands=commands, epoch_ns=self.epoch_ns)


class Policy:
    """The ONNX file, slowed down: an inference takes the time drawn for it, the run of the graph included."""

    def __init__(self, path: str, delay_ms: float, jitter_ms: float, seed: int, calls: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._wait = Slowness(delay_ms, jitter_ms, seed, calls)

    @classmethod
    def of(cls, setting: Setting) -> Policy:
        return cls(setting.policy, setting.delay_ms, setting.jitter_ms, setting.seed, setting.calls)

    def infer(self, seconds: float) -> np.ndarray:
        """The chunk f32[16, 6] for an observation at ``seconds``."""
        started_ns = time.monotonic_ns()
        inputs = {"state": np.array([[seconds]], dtype=np.float32), "instruction_id": np.zeros(1, dtype=np.int64)}
        chunk = self._session.run(["action_chunk"], inputs)[0][0]
        self._wait.until_over(started_ns)
        return chunk


class Slowness:
    """Draws how long each inference takes, waits for the rest of it, and notes when it began and ended."""

    def __init__(self, delay_ms: float, jitter_ms: float, seed: int, calls: str) -> None:
        self._random = np.random.RandomState(seed)
        self._delay_ms, self._jitter_ms = delay_ms, jitter_ms
        self._file = os.open(calls, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if calls else -1

    def until_over(self, started_ns: int) -> None:
        lasts_ns = round((self._delay_ms + self._jitter_ms * self._random.uniform(-1.0, 1.0)) * 1e6)
        remaining_ns = started_ns + lasts_ns - time.monotonic_ns()
        if remaining_ns > 0:
            time.sleep(remaining_ns * 1e-9)
        if self._file >= 0:
            os.write(self._file, CALL.pack(started_ns, time.monotonic_ns()))


def resampled(chunk: np.ndarray, period_s: float) -> np.ndarray:
    """f32[16, A] at the policy's step to f32[N, A] at the control period, by straight lines; the last row is held.

    For executors that send a row each tick: they get their rows at the rate they send them, and at no cost.
    """
    at = np.arange(round(len(chunk) * STEP_S / period_s)) * period_s / STEP_S
    rows = np.arange(len(chunk))
    return np.stack([np.interp(at, rows, column) for column in chunk.T], axis=1).astype(np.float32)


def cost(step: Callable, arguments: Sequence, refill: Callable[[], object] = lambda: None) -> dict[str, float]:
    """µs of a call of ``step``: the median and extremes of 40 rounds over ``arguments``, ``refill`` before each."""
    each = []
    for _ in range(40):
        refill()
        begun_ns = time.perf_counter_ns()
        for argument in arguments:
            step(argument)
        each.append((time.perf_counter_ns() - begun_ns) / len(arguments) / 1e3)
    return {"p50": float(np.median(each)), "best": min(each), "worst": max(each)}


def report(packages: Iterable[str], **facts: object) -> None:
    """The driver's only line on stdout: the versions of ``packages`` and ``facts``."""
    from importlib.metadata import version

    print(json.dumps({"versions": {name: version(name) for name in packages}, **facts}), flush=True)
