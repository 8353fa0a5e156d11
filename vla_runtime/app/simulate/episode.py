"""One episode of the very same loop under a virtual clock: a pure function of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from vla_runtime.app.build import build_loop, camera_limits, joint_limits
from vla_runtime.app.config import RobotConfig
from vla_runtime.app.simulate.camera import Sight, SimulatedCamera
from vla_runtime.app.simulate.disturb import Disturbance, disturbance_scale
from vla_runtime.app.simulate.record import Several, VirtualLog, virtual_metadata
from vla_runtime.app.simulate.robot import SimulatedRobot
from vla_runtime.app.simulate.scenario import Outcome, Scenario
from vla_runtime.control.cause import Stop
from vla_runtime.control.clock import VirtualClock
from vla_runtime.control.safety import JointLimits
from vla_runtime.core.errors import ConfigError
from vla_runtime.core.protocols import Camera, Clock, Demonstrator, Device, Planner, Policy, Recorder
from vla_runtime.core.spec import PolicySpec
from vla_runtime.core.types import F64
from vla_runtime.plugins.planners.expert import Expert, expert_think
from vla_runtime.plugins.planners.inline import InlinePlanner
from vla_runtime.plugins.planners.observe import Observer, StateReader

__all__ = ["simulate"]


def simulate(
    config: RobotConfig,
    device: Device,
    policy: Policy | Expert,
    scenario: Scenario,
    *,
    watch: Sequence[Recorder] = (),
    log: Path | None = None,
    between: Callable[[Planner], Planner] = lambda planner: planner,
) -> Outcome:
    """Run one episode from the device's reset to the end of its motion. Real time plays no part.

    Args:
        policy: what plans. For an ``Expert`` the device must be a ``Demonstrator``.
        watch: told what the loop saw and did.
        log: the file to write the episode to.
        between: makes of the planner what the loop is given in its place.

    Raises:
        Refusal: the device refuses the instruction, a camera of the policy is not the device's, or the log cannot
            be written.
    """
    clock = VirtualClock()
    device.reset(scenario.seed, scenario.instruction)
    cameras = _cameras(config, device, clock, scenario.seed, _sight(policy, scenario, log))
    watched = _watched(policy.spec, cameras)
    limits = joint_limits(config)
    robot = SimulatedRobot(device, limits, clock, list(cameras.values()), _disturbance(config, limits, scenario))
    robot.wait_for_frames(watched)
    start_ns = clock.now()
    told = scenario.told or scenario.instruction
    timer = _Timer(clock, scenario.max_seconds)
    with ExitStack() as stack:
        file = None
        if log is not None:
            metadata = virtual_metadata(config, policy.spec, policy.hash, told, scenario.seed, start_ns)
            others = [camera for camera in cameras.values() if camera not in watched]
            file = stack.enter_context(VirtualLog(log, metadata, others))
        recorder = Several([*watch, file.recorder] if file is not None else watch)
        planner = between(_planner(config, device, policy, cameras, robot, scenario, file))
        loop = build_loop(
            config, policy.spec, policy_hash=policy.hash, instruction=told, start_ns=start_ns, clock=clock,
            robot=robot, planner=planner, recorder=recorder, stop=timer,
        )  # fmt: skip
        cause = loop.run()
        log_bytes = 0 if file is None else file.finish()
    task = None if loop.state is None else loop.state.task
    return Outcome(
        cause=cause,
        success=task is not None and task.success,
        timed_out=cause.text == timer.text,
        start_ns=start_ns,
        end_ns=loop.mode.entered_ns,
        metrics=loop.metrics,
        refused_commands=robot.refused_commands,
        log_bytes=log_bytes,
    )


class _Timer:
    """Asks for the end ``max_seconds`` after it was made."""

    def __init__(self, clock: Clock, max_seconds: float) -> None:
        self._clock = clock
        self._end_ns = clock.now() + round(max_seconds * 1e9)
        self.text = f"not done after {max_seconds:g} s"

    def __call__(self) -> Stop | None:
        return Stop("done", self.text) if self._clock.now() >= self._end_ns else None


def _sight(policy: Policy | Expert, scenario: Scenario, log: Path | None) -> Sight:
    """An expert looks at its frames for the log alone."""
    if isinstance(policy, Expert) and log is None:
        return "none"
    return "black" if scenario.dark else "full"


def _planner(
    config: RobotConfig,
    device: Device,
    policy: Policy | Expert,
    cameras: Mapping[str, Camera],
    robot: SimulatedRobot,
    scenario: Scenario,
    file: VirtualLog | None,
) -> InlinePlanner:
    states = StateReader([entry.name for entry in policy.spec.state], config.joint_names, config.extras)
    observer = Observer(
        policy.spec, cameras, states, round(config.policy.frame_timeout_ms * 1e6), camera_limits(config),
        round(config.policy.max_skew_ms * 1e6),
    )  # fmt: skip
    latency_ns = scenario.latency.under(scenario.seed)
    looked = (lambda observation, now_ns: None) if file is None else file.looked
    if isinstance(policy, Expert):
        assert isinstance(device, Demonstrator)
        think = expert_think(policy, device, lambda: robot.now_ns)
        return InlinePlanner(None, observer, latency_ns, think=think, looked=looked)
    return InlinePlanner(policy, observer, latency_ns, looked=looked)


def _cameras(config: RobotConfig, device: Device, clock: Clock, seed: int, sight: Sight) -> dict[str, SimulatedCamera]:
    """All of the device's, so that an episode is the same whoever looks at it and whether it is logged or not."""
    encodings = {camera.name: camera.encoding for camera in config.cameras}
    return {
        camera.name: SimulatedCamera(camera, encodings[camera.name], clock, clock.now(), seed, sight)
        for camera in device.cameras
    }


def _watched(spec: PolicySpec, cameras: Mapping[str, SimulatedCamera]) -> list[SimulatedCamera]:
    """Those that the policy looks through."""
    if missing := [camera.name for camera in spec.cameras if camera.name not in cameras]:
        raise ConfigError(
            f"the policy looks through {', '.join(missing)}, which is no camera of the device and so has no picture in "
            f"virtual time; the device's: {', '.join(cameras) or 'none'}",
            "$.cameras",
        )
    return [cameras[camera.name] for camera in spec.cameras]


def _disturbance(config: RobotConfig, limits: JointLimits, scenario: Scenario) -> Callable[[F64], F64]:
    if not scenario.disturb:
        return lambda command: command
    scale = disturbance_scale(scenario.disturb, limits, [joint.unit for joint in config.joints])
    return Disturbance(limits, scale, config.period_ns * 1e-9, scenario.seed)
