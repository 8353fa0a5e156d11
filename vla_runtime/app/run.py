"""``vla-run``: start the parts, check the policy against the robot, run episodes, and leave nothing behind."""

from __future__ import annotations

import platform
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from vla_runtime import __version__
from vla_runtime.app.build import build_loop, build_robot, planner_settings
from vla_runtime.app.config import RobotConfig
from vla_runtime.app.contract import check_contract
from vla_runtime.app.directories import run_directory, runtime_directory
from vla_runtime.app.load import load_config
from vla_runtime.app.local_host import LocalHost
from vla_runtime.app.metrics_port import listen
from vla_runtime.app.realtime import (
    Collector,
    asked_by_control,
    check_cores,
    enter_realtime,
    leave_realtime,
    where_to_run,
)
from vla_runtime.app.report import RunReport
from vla_runtime.app.stop import StopSwitch
from vla_runtime.control.cause import Cause
from vla_runtime.control.clock import SystemClock
from vla_runtime.control.loop import ControlLoop
from vla_runtime.core.errors import ConfigError, Refusal, VlaError
from vla_runtime.core.protocols import Recorder, StopCategory
from vla_runtime.core.spec import PolicySpec
from vla_runtime.episode.log import NullRecorder
from vla_runtime.episode.passes import PassLog
from vla_runtime.episode.process import RecorderProcess
from vla_runtime.plugins.planners.process import ProcessPlanner

__all__ = ["RunOptions", "open_planner", "run", "with_options"]

_POLICY_TYPES = {".onnx": "onnx", ".ts": "torchscript"}
_READY_S = 30.0
_SAY_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line adds to a config. ``ipc``: where a host that is already running has its sockets."""

    robot: str
    duration_s: float | None = None
    episodes: int | None = None
    policy: str | None = None
    instruction: str | None = None
    log_directory: str | None = None
    seed: int = 0
    ipc: Path | None = None


def run(
    options: RunOptions, say: Callable[[str], None], started_ns: int, warn: Callable[[str], None] | None = None
) -> RunReport:
    """Run episodes until the options or something else end it. What goes wrong is the report's cause.

    Args:
        say: told, in a line, how far the run has come.
        started_ns: when the process began, for the report.
        warn: told what is worth knowing even by those who read no progress; ``say`` if left out.
    """
    switch = StopSwitch(options.duration_s)
    report = RunReport(Cause("done", ""))
    with ExitStack() as stack, switch.signals():
        try:
            config = with_options(load_config(options.robot), options)
            check_cores(config.realtime)
            _Run(config, options, say, warn or say, switch, report, stack, started_ns).go()
        except Refusal as error:
            report.cause = Cause("refused", str(error))
        except VlaError as error:
            report.cause = Cause("fault", str(error))
        except KeyboardInterrupt as error:
            report.cause = Cause("interrupted", str(error) or "SIGINT")
        finally:
            switch.armed = True  # a further Ctrl-C must not break the closing
    return report


def with_options(config: RobotConfig, options: RunOptions) -> RobotConfig:
    """The config that the command line makes of ``config``.

    Raises:
        ConfigError: the policy file does not exist or has a suffix that names no policy type.
    """
    policy = config.policy
    if options.policy is not None:
        suffix = Path(options.policy).suffix
        if suffix not in _POLICY_TYPES:
            raise ConfigError(f"policy file {options.policy!r} should end in one of {', '.join(sorted(_POLICY_TYPES))}")
        policy = msgspec.structs.replace(policy, file=str(Path(options.policy)), type=_POLICY_TYPES[suffix])
    if not _is_file(policy.file):
        where = "--policy" if options.policy is not None else "$.policy.file"
        raise ConfigError(f"there is no policy file {policy.file!r}", where)
    log = config.log if options.log_directory is None else msgspec.structs.replace(
        config.log, directory=options.log_directory
    )  # fmt: skip
    instruction = config.instruction if options.instruction is None else options.instruction
    return msgspec.structs.replace(config, policy=policy, log=log, instruction=instruction)


def open_planner(config: RobotConfig, private: Path, ipc: Path, frame_endpoint: str = "") -> ProcessPlanner:
    """Start the planner process; its own socket lies in ``private``, the cameras' in ``ipc``."""
    settings = planner_settings(config, ipc, frame_endpoint)
    hang_ns, heartbeat_ns = (
        round(ms * 1e6) for ms in (config.policy.hang_timeout_ms, config.policy.heartbeat_timeout_ms)
    )
    return ProcessPlanner(settings, private, hang_ns, heartbeat_ns, where_to_run(config.realtime, "planner"))


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:  # a name too long, a folder that may not be read
        return False


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make {str(path)!r}: {error.strerror}", "log directory") from error


class _Run:
    """One ``vla-run``. ``stack`` closes, in reverse order, whatever was opened."""

    def __init__(
        self,
        config: RobotConfig,
        options: RunOptions,
        say: Callable[[str], None],
        warn: Callable[[str], None],
        switch: StopSwitch,
        report: RunReport,
        stack: ExitStack,
        started_ns: int,
    ) -> None:
        self.config, self.options, self.say, self.warn, self.switch = config, options, say, warn, switch
        self.report, self.stack, self.started_ns = report, stack, started_ns
        self.asked = asked_by_control(config.realtime)
        self.clock = SystemClock(self.asked.spin_us)
        self.host: LocalHost | None = None
        self.recorder: RecorderProcess | None = None
        self.next_request = 0
        self.said_ns = 0

    def go(self) -> None:
        ipc = self._start()
        spec = self.planner.wait_ready(_READY_S)
        check_contract(spec, self.config, self.config.instruction)
        self.say(f"policy {spec.name} ({self.planner.policy_hash}): contract and golden sample hold")
        self.robot = build_robot(self.config, ipc, self.host.gone if self.host else lambda: "")
        self.stack.callback(self._close_robot)
        self.say(f"waiting for robot {self.config.name}; instruction: {self.config.instruction!r}")
        self._enter_realtime()
        self.collector = Collector()
        while self._episode(spec):
            if self.switch.stop is not None:  # it was thrown between the loop's end and now
                self.report.cause = Cause(self.switch.stop.kind, self.switch.stop.text)
                break

    def _enter_realtime(self) -> None:
        """Last of all: the processes and threads that are there by now stay as they are."""
        granted = self.report.realtime = enter_realtime(self.asked)
        self.stack.callback(leave_realtime)
        if granted.denied:
            self.warn(f"vla-run {granted.advice}")

    def _start(self) -> Path:
        """Start the processes, all at once: each takes its time to import what it needs."""
        private = self.stack.enter_context(run_directory())
        ipc = private
        listener = listen(self.config.metrics)
        if listener is not None:
            self.stack.callback(listener.close)
        if self.config.host == "local" and self.options.ipc is None:
            self.host = LocalHost(self.options.robot, ipc)
            self.stack.callback(self._close_host)
        else:
            ipc = self.options.ipc or runtime_directory(self.config.name)
        frame_endpoint = ""
        if self.config.log.directory:
            _make_directory(Path(self.config.log.directory))
        if self.config.log.directory or listener is not None:
            cores = where_to_run(self.config.realtime, "recorder")
            self.recorder = RecorderProcess(private / "log", cores, listener)
            self.stack.callback(self.recorder.close)
        if self.recorder is not None and self.config.log.directory:
            frame_endpoint = self.recorder.frame_endpoint
        self.planner = open_planner(self.config, private, ipc, frame_endpoint)
        self.stack.callback(self._close_planner)
        return ipc

    def _episode(self, spec: PolicySpec) -> bool:
        """Run one episode; True if another may follow."""
        index = self.report.episodes
        seed = self.options.seed + index
        self.robot.reset(index, seed, self.config.instruction)
        start_ns = self.clock.now()
        log = self._open_log(spec, index, seed, start_ns)
        loop = build_loop(
            self.config, spec, policy_hash=self.planner.policy_hash, instruction=self.config.instruction,
            start_ns=start_ns, clock=self.clock, robot=self.robot, planner=self.planner, recorder=log,
            stop=self.switch.poll, episode=index, first_request=self.next_request,
        )  # fmt: skip
        # Until the episode is counted and its log has its end, a signal waits.
        self.switch.armed = True
        try:
            return self._account(loop, self._run(loop))
        finally:
            self._close_log()
            self.switch.armed = False

    def _run(self, loop: ControlLoop) -> Cause:
        try:
            with self.collector.kept_out():
                return loop.run()
        except BaseException:
            self.robot.stop(StopCategory.CONTROLLED_THEN_OFF)
            raise

    def _account(self, loop: ControlLoop, cause: Cause) -> bool:
        report = self.report
        self.next_request = loop.parts.scheduler.next_seq
        report.metrics.merge(loop.metrics)
        report.gc_collections = self.collector.collections
        if report.start_to_first_command_ms is None and loop.metrics.first_command_ns is not None:
            report.start_to_first_command_ms = (loop.metrics.first_command_ns - self.started_ns) / 1e6
        report.cause = cause
        task = None if loop.state is None else loop.state.task
        report.episodes += 1
        report.successes += task is not None and task.success
        seconds = sum(loop.metrics.mode_ns.values()) / 1e9
        now_ns = self.clock.now()
        if now_ns - self.said_ns >= _SAY_NS:
            self.said_ns = now_ns
            self.say(f"episode {loop.episode}: {cause.text}; {loop.metrics.ticks} ticks, {seconds:.1f} s")
        over = cause.kind == "done" and task is not None and task.done
        return over and (self.options.episodes is None or report.episodes < self.options.episodes)

    def _open_log(self, spec: PolicySpec, index: int, seed: int, start_ns: int) -> Recorder:
        if self.recorder is None:
            return NullRecorder()
        wall = datetime.now(timezone.utc)
        name = f"{self.config.name}-{wall:%Y%m%dT%H%M%S%f}-{index:04d}.mcap"
        path = Path(self.config.log.directory) / name if self.config.log.directory else None
        metadata = {
            "config": msgspec.json.encode(self.config).decode(),
            "spec": spec.to_json().decode(),
            "policy_hash": self.planner.policy_hash,
            "instruction": self.config.instruction,
            "episode": str(index),
            "seed": str(seed),
            "start_ns": str(start_ns),
            "first_request": str(self.next_request),
            "wall_time": wall.isoformat(),
            "clocks": msgspec.json.encode(self._clocks()).decode(),
            "vla_runtime": __version__,
            "python": platform.python_version(),
        }
        self.recorder.open(path, metadata)
        if path is not None:
            self.report.logs.append(str(path))
        return PassLog(self.recorder)

    def _close_log(self) -> None:
        if self.recorder is not None:
            status = self.recorder.close_episode()
            self.report.log_dropped += status.dropped
            self.report.log_error = self.report.log_error or status.error

    def _close_robot(self) -> None:
        self.report.unsent_commands = getattr(self.robot, "unsent", 0)
        self.report.malformed["robot"] = getattr(self.robot, "malformed", 0)
        self.report.clocks = self._clocks()
        self.robot.close()

    def _clocks(self) -> dict[str, dict[str, float]]:
        """How far the clocks of other machines are from ours, ahead of it above 0, and by how much that may be off."""
        now_ns = self.clock.now()
        robot = getattr(self.robot, "clock_offset", lambda now_ns: None)(now_ns)
        found = self.planner.clocks | ({} if robot is None else {"robot": robot})
        return {name: {"offset_ms": clock.ns / 1e6, "error_ms": clock.error_ns / 1e6} for name, clock in found.items()}

    def _close_planner(self) -> None:
        self.report.planner_restarts = self.planner.restarts
        self.report.malformed["planner"] = self.planner.malformed
        self.report.malformed["cameras"] = self.planner.camera_malformed
        self.report.cameras = self.planner.camera_counts
        self.planner.close()

    def _close_host(self) -> None:
        assert self.host is not None
        self.report.host = self.host.close()
