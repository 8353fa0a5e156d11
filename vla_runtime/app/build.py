"""The one place where parts are wired together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from vla_runtime.app.config import CameraConfig, ChunksConfig, RobotConfig
from vla_runtime.control.cause import Stop
from vla_runtime.control.health import LoopSettings
from vla_runtime.control.loop import ControlLoop
from vla_runtime.control.parts import Parts
from vla_runtime.control.safety import JointLimits, default_chain
from vla_runtime.control.scheduler import Scheduler
from vla_runtime.control.strategies import Blend, Ensemble, Latest, Strategy
from vla_runtime.core.protocols import Clock, DeviceCamera, DeviceContext, Planner, Recorder, Robot
from vla_runtime.core.spec import PolicySpec
from vla_runtime.core.types import F64
from vla_runtime.plugins.planners.fresh import CameraLimits
from vla_runtime.plugins.planners.settings import CameraSetting, PlannerSettings
from vla_runtime.plugins.registry import load_plugin, plugin_options

__all__ = [
    "build_loop",
    "build_robot",
    "camera_endpoint",
    "camera_limits",
    "dead_man_ns",
    "device_context",
    "joint_limits",
    "loop_settings",
    "planner_settings",
    "robot_endpoint",
]

_DEAD_MAN_PERIODS = 3
_DEAD_MAN_LEAST_NS = 20_000_000


def build_loop(
    config: RobotConfig,
    spec: PolicySpec,
    *,
    policy_hash: str,
    instruction: str,
    start_ns: int,
    clock: Clock,
    robot: Robot,
    planner: Planner,
    recorder: Recorder,
    stop: Callable[[], Stop | None],
    episode: int = 0,
    first_request: int = 0,
) -> ControlLoop:
    """One episode's loop around the given outside world. Live, simulated and replayed runs all begin here."""
    settings = replace(loop_settings(config), history_ns=_history_ns(config, spec))
    scheduler = Scheduler(
        joints=config.joint_names,
        chunk_length=spec.chunk_length,
        dt_ns=spec.dt_ns,
        policy_hash=policy_hash,
        replan_interval=config.policy.replan_interval,
        answer_timeout_ns=_ns(config.policy.answer_timeout_ms),
        max_age_ns=_ns(config.policy.max_plan_age_ms) or None,
        start_ns=start_ns,
        first_request=first_request,
        strategy=_strategy(config.chunks, spec.dt_ns),
        interpolation=[joint.interpolation or config.chunks.interpolation for joint in config.joints],
        lead_ns=_ns(config.chunks.actuation_lead_ms),
    )
    safety = default_chain(settings.limits, settings.period_ns)
    parts = Parts(clock, robot, planner, scheduler, safety, recorder, stop)
    return ControlLoop(parts, settings, instruction, start_ns, episode)


def _strategy(chunks: ChunksConfig, dt_ns: int) -> Strategy:
    match chunks.strategy:
        case "latest":
            return Latest()
        case "blend":
            return Blend(chunks.blend_rows, dt_ns)
        case "ensemble":
            return Ensemble(chunks.ensemble_decay)


def _history_ns(config: RobotConfig, spec: PolicySpec) -> int:
    """How old a state may be shown to the policy: as old as an image."""
    if spec.state_time != "capture":
        return 0
    looked_through = {camera.name for camera in spec.cameras}
    return max(
        (limits.max_age_ns for name, limits in camera_limits(config).items() if name in looked_through), default=0
    )


def camera_limits(config: RobotConfig) -> dict[str, CameraLimits]:
    """How fresh the frames of each camera must be, in the order of the config."""
    default_ms = config.policy.frame_timeout_ms
    return {
        camera.name: CameraLimits(
            _ns(default_ms if camera.max_age_ms is None else camera.max_age_ms), _ns(camera.frozen_ms)
        )
        for camera in config.cameras
    }


def joint_limits(config: RobotConfig) -> JointLimits:
    """The limits that the loop keeps, and the host once more."""
    return JointLimits(
        joints=config.joint_names,
        low=np.array([joint.position[0] for joint in config.joints]),
        high=np.array([joint.position[1] for joint in config.joints]),
        velocity=np.array([joint.velocity for joint in config.joints]),
        acceleration=_each(joint.acceleration for joint in config.joints),
        jerk=_each(joint.jerk for joint in config.joints),
        lead=np.array([np.inf if joint.lead is None else joint.lead for joint in config.joints]),
    )


def _each(values: Iterable[float | None]) -> F64 | None:
    """f64[D], or None if the joints have none: ``load.py`` sees to it that all have, or no joint has."""
    found = [value for value in values if value is not None]
    return np.array(found) if found else None


def loop_settings(config: RobotConfig) -> LoopSettings:
    """The config's limits and times as the loop uses them."""
    return LoopSettings(
        period_ns=config.period_ns,
        limits=joint_limits(config),
        align_tolerance=np.array([joint.align_tolerance for joint in config.joints]),
        state_timeout_ns=_ns(config.control.state_timeout_ms),
        hold_timeout_ns=_ns(config.control.hold_timeout_ms),
        settle_ns=_ns(config.control.settle_ms),
        gap_timeout_ns=_ns(config.control.gap_timeout_ms),
    )


def planner_settings(config: RobotConfig, ipc: Path, frame_endpoint: str = "") -> PlannerSettings:
    """What the planner process must know."""
    return PlannerSettings(
        endpoint="",
        parent_pid=0,
        policy_type=config.policy.type,
        policy_file=config.policy.file,
        threads=config.policy.threads,
        joints=config.joint_names,
        extras=config.extras,
        cameras=tuple(
            CameraSetting(
                camera.name,
                camera.type,
                camera_endpoint(camera, ipc),
                camera.options,
                limits.max_age_ns,
                limits.frozen_ns,
                _clock_endpoint(camera, config, ipc),
            )
            for camera, limits in zip(config.cameras, camera_limits(config).values(), strict=True)
        ),
        frame_timeout_ns=_ns(config.policy.frame_timeout_ms),
        max_skew_ns=_ns(config.policy.max_skew_ms),
        frame_endpoint=frame_endpoint,
        sampling=config.policy.sampling,
    )


def build_robot(config: RobotConfig, ipc: Path, alive: Callable[[], str]) -> Robot:
    """The robot that the config's ``robot`` names. ``alive`` says why a local host can no longer answer."""
    plugin = load_plugin("robots", config.robot.type, "$.robot.type")
    options = plugin_options(plugin, config.robot.options, "$.robot.options")
    robot: Robot = plugin(
        robot_endpoint(config, ipc), config.joint_names, config.extras, config.period_ns, options, alive
    )
    return robot


def robot_endpoint(config: RobotConfig, ipc: Path) -> str:
    """Where the robot's host listens."""
    return config.robot.endpoint or f"ipc://{ipc}/robot"


def _clock_endpoint(camera: CameraConfig, config: RobotConfig, ipc: Path) -> str:
    """Where the machine that stamps the camera's frames says its time; "" for this one."""
    return {"local": "", "robot": robot_endpoint(config, ipc)}.get(camera.clock, camera.clock)


def camera_endpoint(camera: CameraConfig, ipc: Path) -> str:
    """Where the camera publishes."""
    return camera.endpoint or f"ipc://{ipc}/camera.{camera.name}"


def device_context(config: RobotConfig) -> DeviceContext:
    """What the config says of the device that ``vla-host`` drives."""
    return DeviceContext(
        joints=config.joint_names,
        low=tuple(joint.position[0] for joint in config.joints),
        high=tuple(joint.position[1] for joint in config.joints),
        extras=config.extras,
        # A camera of another type is read directly: the host does not publish it.
        cameras=tuple(DeviceCamera(c.name, c.height, c.width, c.fps) for c in config.cameras if c.type == "zmq"),
    )


def dead_man_ns(config: RobotConfig, period_ns: int) -> int:
    """How old a command may grow before the host stops the robot: max(3 T, 20 ms) unless the config says otherwise."""
    if config.device is not None and config.device.dead_man_ms is not None:
        return _ns(config.device.dead_man_ms)
    return max(_DEAD_MAN_PERIODS * period_ns, _DEAD_MAN_LEAST_NS)


def _ns(milliseconds: float) -> int:
    return round(milliseconds * 1e6)
