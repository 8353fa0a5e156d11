"""The work of the campaign's processes: an episode of the arm, or a trial without one, by job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import msgspec

from benchmarks.chunks.executors import TASK, Executor, executor, robot_config
from benchmarks.chunks.restart import Restart
from benchmarks.chunks.trials import trial
from vla_runtime.app.config import RobotConfig
from vla_runtime.app.evaluate.result import EpisodeResult, result_of
from vla_runtime.app.evaluate.trace import Trace
from vla_runtime.app.simulate import Latency, Scenario, instructions_of, open_demonstrator, open_policy, simulate
from vla_runtime.app.simulate.latency import Pattern
from vla_runtime.core.protocols import Device, Policy

__all__ = ["Job", "open_work"]


class Job(msgspec.Struct, frozen=True):
    """Episode ``index`` of a cell. ``kind``: ``track``, or a trial's."""

    kind: str
    executor: str
    pattern: Pattern
    latency_ns: int
    seed: int
    index: int


@contextmanager
def open_work(setup: bytes) -> Iterator[Callable[[bytes], bytes]]:
    """For ``simulate.pool``: from a ``Job`` to an ``EpisodeResult`` or a ``Trial``, as JSON."""
    with ExitStack() as stack:
        arm = _Arm(stack)

        def work(data: bytes) -> bytes:
            job = msgspec.json.decode(data, type=Job)
            one, latency = executor(job.executor), Latency(job.latency_ns, job.pattern)
            if job.kind == "track":
                return msgspec.json.encode(arm.episode(one, latency, job.seed, job.index))
            return msgspec.json.encode(trial(job.kind, one, latency, job.seed))  # type: ignore[arg-type]

        yield work


class _Arm:
    """The device, opened when it is first needed, and each executor's policy."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._device: Device | None = None
        self._texts: tuple[str, ...] = ()
        self._opened: dict[str, tuple[RobotConfig, Policy]] = {}

    def episode(self, one: Executor, latency: Latency, seed: int, index: int) -> EpisodeResult:
        config, policy = self._open(one)
        assert self._device is not None
        scenario = Scenario(seed, self._texts[index % len(self._texts)], latency=latency)
        trace = Trace()
        more: dict[str, Any] = {"between": Restart} if one.restart else {}
        outcome = simulate(config, self._device, policy, scenario, watch=[trace], **more)
        units = [joint.unit for joint in config.joints]
        return result_of(scenario, outcome, trace, units, config.period_ns * 1e-9, None)

    def _open(self, one: Executor) -> tuple[RobotConfig, Policy]:
        if one.name not in self._opened:
            config = robot_config(one)
            if self._device is None:
                self._device = self._stack.enter_context(closing(open_demonstrator(config)))
                self._texts = instructions_of(self._device, TASK)
            self._opened[one.name] = config, self._stack.enter_context(closing(open_policy(config, self._texts)))
        return self._opened[one.name]
