"""A simulated joint-servo arm without physics and without torch: each joint follows its command with a time constant.

Its cameras show noise. It knows two tasks: ``pose`` (an instruction names a pose to reach) and ``track`` (hold a
random target that the state shows, as torchrl's ToyVLAEnv in tracking mode). Its expert goes straight to the goal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
import numpy as np

from vla_runtime.core.errors import ConfigError, Refusal
from vla_runtime.core.protocols import DeviceContext, StopCategory
from vla_runtime.core.types import F64, U8

__all__ = ["ServoArm"]

_SPEED = 0.25
"""The expert's, in ranges of each joint a second."""
_SETTLE_S = 0.3
"""Time constant of its slow-down near the goal."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The servo and its task.

    ``time_constant_s`` 0 follows at once. ``start`` is the first pose, the middle of the limits when left out.
    ``poses``: instruction to joint positions. ``track``: the instruction of that task, for who asks what it is. An
    episode succeeds after ``success_steps`` steps within ``tolerance`` of the goal on each joint, and ends without
    success after ``max_steps`` (0: never).
    """

    rate_hz: Annotated[float, msgspec.Meta(ge=1, le=10_000)] = 200.0
    time_constant_s: Annotated[float, msgspec.Meta(ge=0)] = 0.05
    start: tuple[float, ...] | None = None
    task: Literal["none", "pose", "track"] = "none"
    poses: dict[str, tuple[float, ...]] = {}
    track: str = "push the T-shaped block onto the target"
    tolerance: Annotated[float, msgspec.Meta(ge=0)] = 0.05
    success_steps: Annotated[int, msgspec.Meta(ge=1)] = 20
    max_steps: Annotated[int, msgspec.Meta(ge=0)] = 0


class ServoArm:
    """First-order joints: position += (command - position) (1 - exp(-period / time_constant))."""

    Options = Options

    def __init__(self, options: Options, context: DeviceContext) -> None:
        self.joints = context.joints
        self.extras = context.extras
        self.cameras = context.cameras
        self.period_ns = round(1e9 / options.rate_hz)
        self._options = options
        low, high = np.array(context.low), np.array(context.high)
        self._start = (low + high) / 2 if options.start is None else np.array(options.start)
        self._check(context)
        texts = {"none": (), "pose": tuple(options.poses), "track": (options.track,)}[options.task]
        self.tasks = {options.task: texts} if texts else {}
        self._speed = _SPEED * (high - low)
        tau, period = options.time_constant_s, self.period_ns * 1e-9
        self._share = 1.0 if tau == 0 else 1.0 - math.exp(-period / tau)
        self._sizes = {camera.name: (camera.height, camera.width, 3) for camera in context.cameras}
        self._goal: F64 | None = None
        self.reset(0, next(iter(options.poses), ""))

    def reset(self, seed: int, instruction: str) -> None:
        """Back to the start pose, with a goal made from ``seed`` (track) or named by ``instruction`` (pose)."""
        self._random = np.random.default_rng(seed)
        self._position = self._start.copy()
        self._velocity = np.zeros_like(self._position)
        self._step = self._streak = 0
        if self._options.task == "track":
            self._goal = self._random.uniform(-0.5, 0.5, len(self.joints)).astype("f4").astype("f8")
        elif self._options.task == "pose":
            if instruction not in self._options.poses:
                known = ", ".join(repr(text) for text in self._options.poses)
                raise Refusal(f"the arm knows no pose for instruction {instruction!r}; it knows {known}")
            self._goal = np.array(self._options.poses[instruction])

    def step(self, command: F64 | None) -> None:
        target = self._position if command is None else command
        before = self._position
        self._position = before + self._share * (target - before)
        self._velocity = (self._position - before) / (self.period_ns * 1e-9)
        if command is not None and self._goal is not None and not self._done:
            self._step += 1
            near = np.abs(self._position - self._goal) <= self._options.tolerance
            self._streak = self._streak + 1 if near.all() else 0

    def measure(self) -> tuple[F64, F64 | None, F64]:
        extras = self._goal if self._options.task == "track" and self._goal is not None else np.zeros(0)
        return self._position, self._velocity, extras

    def task(self) -> tuple[int, bool, bool] | None:
        if self._goal is None:
            return None
        return self._step, self._done, self._success

    def capture(self, camera: str) -> Callable[[], U8]:
        size, seed = self._sizes[camera], self._random.integers(1 << 63)
        return lambda: np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)

    def demonstrate(self, ahead_s: F64) -> F64:
        """Commands f64[H, D] on the straight line to the goal, ahead of the measured pose by the servo's lag.

        With u the time left at cruising speed, du/dt = -min(1, u / settle): full speed, then an exponential approach.
        """
        assert self._goal is not None, "without a task there is nothing to demonstrate"
        way = self._goal - self._position
        left = max(float((np.abs(way) / self._speed).max()), 1e-9)
        cruise = max(left - _SETTLE_S, 0.0)
        seconds = ahead_s + self._options.time_constant_s
        cruised = left - np.minimum(seconds, cruise)
        after = cruised * np.exp(-np.maximum(seconds - cruise, 0.0) / _SETTLE_S)
        return self._goal - (after / left)[:, None] * way

    def stop(self, category: StopCategory) -> None:
        """A servo without momentum rests as soon as it is no longer commanded."""

    def close(self) -> None:
        """Nothing to release."""

    @property
    def _success(self) -> bool:
        return self._streak >= self._options.success_steps

    @property
    def _done(self) -> bool:
        return self._success or 0 < self._options.max_steps <= self._step

    def _check(self, context: DeviceContext) -> None:
        """Refuse options that do not fit the robot."""
        count = len(context.joints)
        where = "$.device.options"
        for path, pose in (
            (f"{where}.start", self._start),
            *((f"{where}.poses.{text}", p) for text, p in self._options.poses.items()),
        ):
            if len(pose) != count:
                raise ConfigError(f"a pose of {len(pose)} values, the robot has {count} joints", path)
            for joint, value, low, high in zip(context.joints, pose, context.low, context.high, strict=True):
                if not low <= value <= high:
                    raise ConfigError(f"{joint} at {value} is outside its limits [{low}, {high}]", path)
        if self._options.task == "pose" and not self._options.poses:
            raise ConfigError("task 'pose' needs at least one pose", f"{where}.poses")
        targets = count if self._options.task == "track" else 0
        if len(context.extras) != targets:
            raise ConfigError(
                f"task {self._options.task!r} measures {targets} extras, the config names {len(context.extras)}",
                "$.extras",
            )
