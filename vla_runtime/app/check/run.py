"""The check itself: start what a run starts, look at each part, measure the sleep. No command, no reset is sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, runtime_checkable

from vla_runtime.app.build import build_robot, planner_settings
from vla_runtime.app.check.cameras import watch_cameras
from vla_runtime.app.check.latency import measure_lateness
from vla_runtime.app.check.report import CheckReport, RobotSeen
from vla_runtime.app.config import RobotConfig
from vla_runtime.app.contract import check_contract
from vla_runtime.app.directories import run_directory, runtime_directory
from vla_runtime.app.load import load_config
from vla_runtime.app.local_host import LocalHost
from vla_runtime.app.realtime import asked_by_control, check_cores, enter_realtime, leave_realtime
from vla_runtime.app.run import RunOptions, open_planner, with_options
from vla_runtime.app.stop import StopSwitch
from vla_runtime.control.cause import Cause
from vla_runtime.control.clock import SystemClock
from vla_runtime.core.errors import Refusal, VlaError
from vla_runtime.core.types import RobotState

__all__ = ["Observable", "check"]

_READY_S = 30.0
_LOOK_S = 0.5
_SOON_S = 1.0
_SLOW = 0.8


def check(options: RunOptions, seconds: float, say: Callable[[str], None]) -> CheckReport:
    """Check everything that a run with ``options`` needs; measure lateness for ``seconds``.

    Args:
        say: told each finding, in a line.
    """
    switch = StopSwitch()
    report = CheckReport(say)
    with ExitStack() as stack, switch.signals():
        try:
            config = with_options(load_config(options.robot), options)
            check_cores(config.realtime)
            _Check(config, options, report, stack).go(seconds)
            report.end()
        except VlaError as error:
            report.cause = Cause("refused", str(error))
        except KeyboardInterrupt as error:
            report.cause = Cause("interrupted", str(error) or "SIGINT")
        finally:
            switch.armed = True  # a further Ctrl-C must not break the closing
    return report


@runtime_checkable
class Observable(Protocol):
    """A robot that can be looked at without an episode."""

    def connect(self) -> object:
        """Find it. May block."""
        ...

    def look(self, now_ns: int) -> Sequence[RobotState]:
        """As ``read``, with nobody commanding."""
        ...


class _Check:
    def __init__(self, config: RobotConfig, options: RunOptions, report: CheckReport, stack: ExitStack) -> None:
        self.config, self.options, self.report, self.stack = config, options, report, stack
        self.asked = asked_by_control(config.realtime)
        self.host: LocalHost | None = None

    def go(self, seconds: float) -> None:
        self._machine()
        self._joints()
        private = self.stack.enter_context(run_directory())
        ipc = self._host(private)
        self._policy(private, ipc)
        self._robot(ipc)
        self._cameras(ipc)
        self._latency(seconds)

    def _machine(self) -> None:
        machine = self.report.machine
        found = self.report.found
        kind = "PREEMPT_RT" if machine.preempt_rt else "without PREEMPT_RT"
        found("ok", "kernel", f"{machine.kernel}, {kind}; the clock counts {machine.clock_resolution_ns} ns")
        memory = "any memory" if machine.rights.memlock is None else f"{machine.rights.memlock >> 10} KiB"
        found("ok", "rights", f"SCHED_FIFO up to {machine.rights.rtprio or 'none'}; may lock {memory}")
        isolated = f", isolated {_list(machine.isolated)}" if machine.isolated else ""
        found("ok", "cores", f"{_list(machine.cores)}; this process may use {_list(machine.allowed)}{isolated}")
        governors = ", ".join(machine.governors)
        level = "warning" if set(machine.governors) - {"performance"} else "ok"
        found(level, "governor", governors or "none: the clock frequency is not ours to set")

    def _joints(self) -> None:
        joints = self.report.joints_without_jerk_limit = tuple(
            joint.name for joint in self.config.joints if joint.acceleration is None or joint.jerk is None
        )
        if joints:
            self.report.found("warning", "joints", f"no limit on acceleration and jerk of {', '.join(joints)}")
        else:
            self.report.found("ok", "joints", "all limited in position, speed, acceleration and jerk")

    def _host(self, private: Path) -> Path:
        if self.config.host == "local" and self.options.ipc is None:
            self.host = LocalHost(self.options.robot, private)
            self.stack.callback(self.host.close)
            return private
        return self.options.ipc or runtime_directory(self.config.name)

    def _policy(self, private: Path, ipc: Path) -> None:
        """In a planner process, as in a run. It ends before the cameras are opened here: some can be opened once."""
        with ExitStack() as stack:
            planner = open_planner(self.config, private, ipc)
            stack.callback(planner.close)
            try:
                spec = planner.wait_ready(_READY_S)
                check_contract(spec, self.config, self.config.instruction)
            except Refusal as error:
                self.report.found("refused", "policy", str(error))
                return
            self.report.policy_name, self.report.policy_hash = spec.name, planner.policy_hash
            self.report.policy_rtc = planner.rtc
            text = f"{spec.name} ({planner.policy_hash}): contract and golden sample hold; rtc {planner.rtc}"
            self.report.found("ok", "policy", text)

    def _robot(self, ipc: Path) -> None:
        states: list[RobotState] = []
        age_ns = 0
        try:
            with ExitStack() as stack:
                robot = build_robot(self.config, ipc, self.host.gone if self.host else lambda: "")
                stack.callback(robot.close)
                if not isinstance(robot, Observable):
                    self.report.found("warning", "robot", "cannot be looked at before an episode begins: no look()")
                    return
                robot.connect()
                end = time.monotonic() + _LOOK_S
                while time.monotonic() < end:
                    time.sleep(0.002)
                    seen = robot.look(time.monotonic_ns())
                    if seen:
                        age_ns = max(age_ns, time.monotonic_ns() - seen[-1].stamp_ns)
                    states += seen
        except VlaError as error:
            self.report.found("refused", "robot", str(error))
            return
        if not states:
            self.report.found("warning", "robot", "answers, but measures nothing")
            return
        rate = len(states) / _LOOK_S
        self.report.robot = RobotSeen(rate, age_ns / 1e6)
        self.report.found("ok", "robot", f"answers: {rate:.0f} states/s, at most {age_ns / 1e6:.1f} ms old")
        self._pose(states[-1])

    def _pose(self, state: RobotState) -> None:
        for joint, position in zip(self.config.joints, state.position.tolist(), strict=True):
            low, high = joint.position
            if not low <= position <= high:
                text = f"{joint.name} is at {position:.4g}, its limits are {low} to {high}: a run would not start"
                self.report.found("warning", "pose", text)

    def _cameras(self, ipc: Path) -> None:
        try:
            sights = self.report.cameras = watch_cameras(planner_settings(self.config, ipc).cameras)
        except VlaError as error:
            self.report.found("refused", "cameras", str(error))
            return
        for camera in self.config.cameras:
            sight, what = sights[camera.name], f"camera {camera.name}"
            if sight.first_s is None or sight.age_ms is None:
                self.report.found("refused", what, "no frame within 5 s")
                continue
            fps = sight.fps or 0.0
            text = (
                f"first frame after {sight.first_s:.2f} s, {fps:.1f} of {camera.fps:g} frames/s, "
                f"at most {sight.age_ms:.0f} ms old"
            )
            slow = sight.first_s > _SOON_S or fps < _SLOW * camera.fps
            late = sight.age_ms > self.config.policy.frame_timeout_ms
            self.report.found("warning" if slow or late else "ok", what, text)

    def _latency(self, seconds: float) -> None:
        """Last, with the host and its cameras at work."""
        granted = self.report.realtime = enter_realtime(self.asked)
        try:
            if granted.denied:
                self.report.found("warning", "real-time", granted.advice)
            elif granted.asked:
                self.report.found("ok", "real-time", granted.as_text())
            else:
                self.report.found("ok", "real-time", "not asked for: the config has no section realtime")
            found = self.report.lateness = measure_lateness(
                SystemClock(self.asked.spin_us), self.config.period_ns, seconds, self.report.say
            )
        finally:
            leave_realtime()
        late = [found.late.quantile(share) or 0 for share in (0.5, 0.99, 0.999)] + [found.late.largest]
        p50, p99, p999, largest = (f"{value / 1e3:.0f}" for value in late)
        text = (
            f"{self.config.control.rate_hz:g} Hz for {seconds:g} s: p50 {p50}, p99 {p99}, p99.9 {p999}, "
            f"max {largest} µs late, {found.missed} deadlines missed"
        )
        self.report.found("warning" if found.missed else "ok", "latency", text)


def _list(cores: tuple[int, ...]) -> str:
    return ", ".join(map(str, cores))
