"""The simulated arm as a device: what ``vla-host`` drives in real time and evaluations drive in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

import msgspec
import numpy as np

from vla_runtime.core.errors import ConfigError, choices
from vla_runtime.core.protocols import DeviceCamera, DeviceContext, StopCategory
from vla_runtime.core.types import F64, U8
from vla_runtime.plugins.devices.sim_arm.expert import demonstrate
from vla_runtime.plugins.devices.sim_arm.kinematics import JOINTS, joints_for
from vla_runtime.plugins.devices.sim_arm.picture import CAMERAS, GL, LARGEST, Painter, check_gl
from vla_runtime.plugins.devices.sim_arm.scene import Scene, Snapshot
from vla_runtime.plugins.devices.sim_arm.tasks import TASKS, Judge, lay_out, parse

__all__ = ["Options", "SimArm"]

_START_OPENING = 0.04
_Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=10_000)]


class CameraOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How late, how unevenly and how rarely a camera's frames arrive; ``drop`` is a share of 1."""

    latency_ms: _Milliseconds = 0.0
    jitter_ms: _Milliseconds = 0.0
    drop: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``rate_hz``: how often commands are taken and states given; the physics runs at 500 Hz, of which it must be a
    part. ``gl``: what draws the pictures. ``cameras``: faults by camera name. ``endless``: an episode does not end when
    its task is done. ``leniency``: the tasks' tolerances are that many times as wide, for practice.
    """

    rate_hz: Annotated[float, msgspec.Meta(ge=10, le=500)] = 250.0
    gl: GL = "egl"
    cameras: dict[str, CameraOptions] = {}
    endless: bool = False
    leniency: Annotated[float, msgspec.Meta(gt=0, le=10)] = 1.0


class SimArm:
    """Six joints and a gripper, three coloured blocks, a mat and a table that can turn; cameras front, wrist and view.

    An episode's beginning follows from the seed and the task; which block is meant, from the instruction.
    """

    Options = Options
    tasks = TASKS

    def __init__(self, options: Options, context: DeviceContext) -> None:
        self._scene = Scene()
        _check(options, context, self._scene)
        self.joints, self.extras = context.joints, context.extras
        self.cameras = tuple(_camera(camera, options) for camera in context.cameras)
        self._substeps = round(1.0 / (options.rate_hz * self._scene.timestep))
        self._period_s = self._substeps * self._scene.timestep
        self.period_ns = round(self._period_s * 1e9)
        self._gl = options.gl
        self._endless, self._leniency = options.endless, options.leniency
        self._sizes = {camera.name: (camera.height, camera.width) for camera in context.cameras}
        self._painters: dict[str, Painter] = {}
        if self.cameras:
            check_gl(options.gl)
        self.reset(0, TASKS["reach"][0])

    def reset(self, seed: int, instruction: str) -> None:
        """Lay out the blocks and put the arm into its first pose, at rest.

        Raises:
            Refusal: an instruction that the arm does not know.
        """
        self._goal = parse(instruction)
        layout = lay_out(self._goal.task, np.random.default_rng([seed, list(TASKS).index(self._goal.task)]))
        start = np.array([*joints_for(*layout.tcp, layout.hand), _START_OPENING])
        self._scene.reset(start, layout.blocks, layout.mat, layout.table_speed)
        self._judge = Judge(self._goal, self._scene, self._leniency)
        self._held = start
        self._steps = 0

    def step(self, command: F64 | None) -> None:
        """One period under ``command`` f64[7]; None holds the pose."""
        if command is not None:
            self._held = np.minimum(np.maximum(command, self._scene.low), self._scene.high)
        self._scene.step(self._held, self._substeps)
        if command is not None:
            self._steps += not self._judge.done
            self._judge.watch(self._period_s)

    def measure(self) -> tuple[F64, F64 | None, F64]:
        """Position f64[7], velocity f64[7], no extras."""
        return self._scene.position, self._scene.velocity, np.zeros(0)

    def task(self) -> tuple[int, bool, bool]:
        return self._steps, self._judge.done and not self._endless, self._judge.success

    def capture(self, camera: str) -> Callable[[], U8]:
        return partial(self._paint, camera, self._scene.snapshot())

    def demonstrate(self, ahead_s: F64) -> F64:
        return demonstrate(self._scene, self._goal, ahead_s)

    def stop(self, category: StopCategory) -> None:
        """The servos, or for category 0 the brakes, hold the pose that was measured."""
        self._held = np.clip(self._scene.position, self._scene.low, self._scene.high)

    def close(self) -> None:
        """The painters belong to the threads that used them; they end with the process."""

    def _paint(self, camera: str, snapshot: Snapshot) -> U8:
        painter = self._painters.get(camera)
        if painter is None:
            painter = self._painters[camera] = Painter(self._scene.model, camera, *self._sizes[camera], self._gl)
        return painter.draw(snapshot)


def _camera(camera: DeviceCamera, options: Options) -> DeviceCamera:
    fault = options.cameras.get(camera.name, CameraOptions())
    return DeviceCamera(
        camera.name, camera.height, camera.width, camera.fps,
        round(fault.latency_ms * 1e6), round(fault.jitter_ms * 1e6), fault.drop,
    )  # fmt: skip


def _check(options: Options, context: DeviceContext, scene: Scene) -> None:
    """Refuse a config that does not fit the model."""
    if tuple(context.joints) != JOINTS:
        raise ConfigError(f"{', '.join(context.joints)} given, sim_arm has {', '.join(JOINTS)}", "$.joints")
    for joint, low, high, lowest, highest in zip(JOINTS, context.low, context.high, scene.low, scene.high, strict=True):
        if low < lowest or high > highest:
            raise ConfigError(f"{joint} may go [{low}, {high}], sim_arm's joint [{lowest}, {highest}]", "$.joints")
    if context.extras:
        raise ConfigError(f"{', '.join(context.extras)} given, sim_arm measures no extras", "$.extras")
    names = [camera.name for camera in context.cameras]
    for camera in context.cameras:
        if camera.name not in CAMERAS:
            raise ConfigError(f"there is no camera {camera.name!r}; {choices(camera.name, CAMERAS)}", "$.cameras")
        if camera.height > LARGEST[0] or camera.width > LARGEST[1]:
            raise ConfigError(
                f"{camera.name} is {camera.height}x{camera.width}, sim_arm draws at most {LARGEST[0]}x{LARGEST[1]}",
                "$.cameras",
            )
    for name in options.cameras:
        if name not in names:
            raise ConfigError(f"there is no camera {name!r}; {choices(name, names)}", "$.device.options.cameras")
    per_step = 1.0 / (options.rate_hz * scene.timestep)
    if abs(per_step - round(per_step)) > 1e-9:
        rate = 1.0 / scene.timestep
        raise ConfigError(
            f"{options.rate_hz:g} is no whole part of the physics' {rate:g} Hz; try {rate / round(per_step):g}",
            "$.device.options.rate_hz",
        )
