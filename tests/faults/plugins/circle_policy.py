"""A policy that draws a circle, so that every tick moves, and that misbehaves when told to.

It answers from the state alone. ``<policy file>.misbehave``, if it is there, says how: one of ``MISBEHAVIOURS``.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from vla_runtime.core.golden import golden_state
from vla_runtime.core.instructions import InstructionEncoding
from vla_runtime.core.spec import ActionSpec, CameraSpec, GoldenSample, Normalisation, PolicySpec, StateSpec
from vla_runtime.core.types import F32, U8

__all__ = ["INSTRUCTION", "CirclePolicy"]

INSTRUCTION = "draw a circle"
ROWS, STEP_S, RADIUS, SPEED = 10, 0.05, 0.5, 2.0
LATE_S = 0.65
JOINTS = ("x", "y", "grip")


def chunk(state: F32) -> F32:
    """f32[10, 3]: on from where the arm is, around the origin, at 1 rad/s along the circle."""
    angle = math.atan2(float(state[1]), float(state[0])) + SPEED * STEP_S * np.arange(ROWS)
    return np.stack([RADIUS * np.cos(angle), RADIUS * np.sin(angle), np.full(ROWS, 0.2)], axis=1).astype(np.float32)


def _with(chunk: F32, value: float) -> F32:
    chunk[ROWS // 2, 1] = value
    return chunk


def _late(chunk: F32) -> F32:
    time.sleep(LATE_S)
    return chunk


def _hang(chunk: F32) -> F32:
    time.sleep(3600)
    return chunk


def _hog(chunk: F32) -> F32:
    kept = []
    while True:
        kept.append(np.ones(4_000_000))


def _crash(chunk: F32) -> F32:
    os._exit(7)


def _raise(chunk: F32) -> F32:
    raise RuntimeError("the policy fails")


MISBEHAVIOURS: dict[str, Callable[[F32], F32]] = {
    "nan": lambda chunk: _with(chunk, math.nan),
    "infinite": lambda chunk: _with(chunk, math.inf),
    "far": lambda chunk: chunk * 1e6,
    "jump": lambda chunk: -chunk,
    "rows": lambda chunk: np.tile(chunk, (50, 1)),
    "columns": lambda chunk: chunk[:, :2],
    "huge": lambda chunk: np.zeros((400_000, 3), dtype=np.float32),
    "late": _late,
    "hang": _hang,
    "hog": _hog,
    "crash": _crash,
    "raise": _raise,
}


class CirclePolicy:
    """``path`` may hold anything; its hash is the policy's."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.hash = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        self._misbehave = Path(f"{path}.misbehave")
        self.spec = _spec()

    def infer(self, images: Mapping[str, U8], state: F32, instruction_id: int) -> F32:
        answer = chunk(state)
        try:
            word = self._misbehave.read_text()
        except OSError:
            return answer
        how, _, once = word.partition(" ")
        if once:
            self._misbehave.unlink()
        return MISBEHAVIOURS[how](answer)

    def close(self) -> None: ...


def _spec() -> PolicySpec:
    spec = PolicySpec(
        name="circle",
        chunk_length=ROWS,
        dt_ns=round(STEP_S * 1e9),
        actions=tuple(ActionSpec(name, "rad", -1.0, 1.0) for name in JOINTS),
        state=(StateSpec("x.position", "rad"), StateSpec("y.position", "rad")),
        cameras=(CameraSpec("front", 32, 32), CameraSpec("side", 32, 32)),
        instruction=InstructionEncoding("table", 1, (INSTRUCTION,)),
        head="continuous",
        normalisation=Normalisation((0.0,) * 2, (1.0,) * 2, (0.0,) * 3, (1.0,) * 3),
    )
    rows = chunk(golden_state(spec)).tolist()
    golden = GoldenSample(INSTRUCTION, tuple(map(tuple, rows)), 1e-6)
    return PolicySpec(**{field: getattr(spec, field) for field in spec.__struct_fields__} | {"golden": golden})
