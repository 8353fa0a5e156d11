"""What makes a virtual episode, beside the robot's config and the policy; and what became of it."""

from __future__ import annotations

from dataclasses import dataclass

from vla_runtime.app.simulate.latency import AT_ONCE, Latency
from vla_runtime.control.cause import Cause
from vla_runtime.control.metrics import LoopMetrics

__all__ = ["Outcome", "Scenario"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One episode.

    ``instruction`` is what the device is told, ``told`` what the policy is told instead ("": the same). A chunk comes
    ``latency`` after its request. ``dark``: the policy's cameras show black. ``disturb``: rad, see ``Disturbance``.
    An episode that does not end by itself is stopped after ``max_seconds``.
    """

    seed: int
    instruction: str
    told: str = ""
    latency: Latency = AT_ONCE
    max_seconds: float = 60.0
    dark: bool = False
    disturb: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """``start_ns``: the first tick. ``end_ns``: the last. ``success``: what the robot's task said in the end.

    ``timed_out``: it was ended by ``max_seconds``. ``log_bytes``: the size of its file, 0 for none.
    """

    cause: Cause
    success: bool
    timed_out: bool
    start_ns: int
    end_ns: int
    metrics: LoopMetrics
    refused_commands: int
    log_bytes: int
