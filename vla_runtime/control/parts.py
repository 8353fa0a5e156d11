"""What a loop is made of: the places where real, simulated and replayed runs differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vla_runtime.control.cause import Stop
from vla_runtime.control.safety import SafetyChain
from vla_runtime.control.scheduler import Scheduler
from vla_runtime.core.protocols import Clock, Planner, Recorder, Robot

__all__ = ["Parts"]


@dataclass(frozen=True, slots=True)
class Parts:
    """``stop`` is polled once a tick: what asks the run to end from outside, or None."""

    clock: Clock
    robot: Robot
    planner: Planner
    scheduler: Scheduler
    safety: SafetyChain
    recorder: Recorder
    stop: Callable[[], Stop | None]
