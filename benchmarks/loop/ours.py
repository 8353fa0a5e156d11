"""Our control loop as ``vla-run`` wires it, measured from outside: by the clock that it is given."""

from __future__ import annotations

import time
from array import array
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import msgspec
import numpy as np
import yaml

from benchmarks.loop.block import Block
from benchmarks.loop.cores import Cores
from vla_runtime.app.build import build_loop, build_robot, planner_settings
from vla_runtime.app.config import RealtimeConfig, RobotConfig
from vla_runtime.app.contract import check_contract
from vla_runtime.app.directories import run_directory
from vla_runtime.app.load import load_config
from vla_runtime.app.local_host import LocalHost
from vla_runtime.app.realtime import Collector, Granted, asked_by_control, enter_realtime, leave_realtime, where_to_run
from vla_runtime.control.cause import Stop
from vla_runtime.control.clock import SystemClock
from vla_runtime.core.protocols import Recorder
from vla_runtime.episode.log import NullRecorder
from vla_runtime.episode.passes import PassLog
from vla_runtime.episode.process import RecorderProcess
from vla_runtime.plugins.planners.process import ProcessPlanner

__all__ = ["ROBOT", "OurLoop"]

ROBOT = Path(__file__).with_name("robot.yaml")
_READY_S = 60.0


class _Watch(SystemClock):
    """Notes how late each wake-up is, and how long the loop computed before it."""

    def __init__(self, spin_us: int) -> None:
        super().__init__(spin_us)
        self.late, self.compute = array("q"), array("q")
        self.first_ns = self.last_ns = self._woken_ns = 0

    def sleep_until(self, deadline_ns: int) -> None:
        self.compute.append(time.monotonic_ns() - self._woken_ns)
        super().sleep_until(deadline_ns)
        self._woken_ns = woken_ns = time.monotonic_ns()
        self.late.append(woken_ns - deadline_ns)
        self.first_ns = self.first_ns or deadline_ns
        self.last_ns = deadline_ns


class OurLoop:
    """Host, planner and recorder processes, and one episode for each block. A context manager."""

    def __init__(self, directory: Path, cores: Cores, priority: int, spin_us: int) -> None:
        self._directory, self._cores = directory, cores
        self._config = _config(cores, priority, spin_us)
        self._collector = Collector()
        self.period_ns = self._config.period_ns
        self.policy_file = Path(self._config.policy.file)
        self.chunks = self.dropped = 0
        self._episodes = self._next_request = 0

    def __enter__(self) -> OurLoop:
        with ExitStack() as stack:
            private = stack.enter_context(run_directory())
            robot = private / "robot.yaml"
            robot.write_text(yaml.safe_dump(msgspec.to_builtins(self._config)))
            host = LocalHost(str(robot), private)
            stack.callback(host.close)
            self._log = RecorderProcess(private / "log", where_to_run(self._config.realtime, "recorder"))
            stack.callback(self._log.close)
            settings = planner_settings(self._config, private, self._log.frame_endpoint)
            timeouts_ns = (round(self._config.policy.hang_timeout_ms * 1e6),
                           round(self._config.policy.heartbeat_timeout_ms * 1e6))  # fmt: skip
            cores = where_to_run(self._config.realtime, "planner")
            self._planner = ProcessPlanner(settings, private, *timeouts_ns, cores)
            stack.callback(self._planner.close)
            self._spec = self._planner.wait_ready(_READY_S)
            check_contract(self._spec, self._config, self._config.instruction)
            self._robot = build_robot(self._config, private, host.gone)
            stack.callback(self._robot.close)
            self._stack = stack.pop_all()
        self.granted = self._enter()
        self._leave()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self._stack.close()

    def block(self, deadlines: int, warm_up: int, *, logged: bool) -> Block:
        """One episode of ``warm_up + deadlines`` periods, of which the last are kept."""
        self._episodes += 1
        self._robot.reset(self._episodes, 0, self._config.instruction)
        watch = _Watch(self.granted.spin_us)
        length_ns = (warm_up + deadlines) * self.period_ns
        loop = build_loop(
            self._config, self._spec, policy_hash=self._planner.policy_hash, instruction=self._config.instruction,
            start_ns=watch.now(), clock=watch, robot=self._robot, planner=self._planner,
            recorder=self._recorder(logged), episode=self._episodes, first_request=self._next_request,
            stop=lambda: Stop("done", "the block is over") if watch.last_ns - watch.first_ns >= length_ns else None,
        )  # fmt: skip
        self._enter()
        before = self._collector.collections
        try:
            with self._collector.kept_out():
                cause = loop.run()
        finally:
            self._leave()
        if cause.kind != "done":
            raise SystemExit(f"the loop ended before its time: {cause.text}")
        self._next_request = loop.parts.scheduler.next_seq
        self.chunks += loop.metrics.chunks_used
        if logged:
            self.dropped += self._log.close_episode(30.0).dropped
        late = np.array(watch.late, dtype=np.int64)[warm_up:]
        begun = (watch.last_ns - watch.first_ns) // self.period_ns + 1
        compute = np.array(watch.compute, dtype=np.int64)[1 + warm_up :]
        collections = self._collector.collections - before
        return Block(late, begun - warm_up, compute, collections, loop.metrics.durations.tick)

    def _enter(self) -> Granted:
        """As ``vla-run`` does before its first episode."""
        return enter_realtime(asked_by_control(self._config.realtime))

    def _leave(self) -> None:
        leave_realtime()
        self._cores.stand_aside()

    def _recorder(self, logged: bool) -> Recorder:
        if not logged:
            return NullRecorder()
        about = {"config": msgspec.json.encode(self._config).decode(), "spec": self._spec.to_json().decode()}
        self._log.open(self._directory / f"{self._episodes}.mcap", about)
        return PassLog(self._log)


def _config(cores: Cores, priority: int, spin_us: int) -> RobotConfig:
    config = load_config(str(ROBOT))
    realtime = RealtimeConfig(priority=priority, host_priority=min(2 * priority, 90), lock_memory=priority > 0,
                              spin_us=spin_us, cpus=cores.config())  # fmt: skip
    return msgspec.structs.replace(config, realtime=realtime)
