"""What a tick's facts mean for the mode: a pure function from a situation to events, highest rank first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np

from vla_runtime.control.cause import Cause, Stop
from vla_runtime.control.mode import Event, Mode
from vla_runtime.control.safety import JointLimits
from vla_runtime.core.types import F64, PlannerStatus, RobotState

__all__ = ["LoopSettings", "Situation", "health"]

_REST = Cause("done", "at rest")
_KNOWN = Cause("done", "the robot's state is known")
_ALIGNED = Cause("done", "the robot is where the policy wants to begin")
_PLANNED = Cause("done", "a valid plan is here")


@dataclass(frozen=True, slots=True, eq=False)
class LoopSettings:
    """The loop's constants: times in ns, ``align_tolerance`` f64[D] in each joint's unit.

    ``history_ns``: how far back a request tells what the robot measured; 0 for a policy that does not look back.
    """

    period_ns: int
    limits: JointLimits
    align_tolerance: F64
    state_timeout_ns: int = 100_000_000
    hold_timeout_ns: int = 3_000_000_000
    settle_ns: int = 100_000_000
    gap_timeout_ns: int = 250_000_000
    history_ns: int = 0


class Situation(msgspec.Struct, frozen=True, eq=False):
    """What is known in one tick, before its mode is decided.

    ``gap_ns``: since the tick before, None in the first. ``still_ns``: since when the mode lasts and no command has
    moved. ``covered_ns``: when a row last covered a tick. ``opening``: row 0 of the first plan, until it was found near
    enough. ``aligned``: the last command was the policy's own, not one on the way to it.
    """

    now_ns: int
    gap_ns: int | None
    mode: Mode
    still_ns: int
    state: RobotState | None
    wanted: F64 | None
    covered_ns: int
    opening: F64 | None
    aligned: bool
    stop: Stop | None
    planner: PlannerStatus


def health(now: Situation, settings: LoopSettings) -> Iterator[tuple[Event, Cause]]:
    """The events of this tick, in order of rank."""
    state, stop = now.state, now.stop
    if stop is not None and (stop.emergency or stop.kind == "fault"):
        yield Event.FAULT, Cause(stop.kind, stop.text)
    if now.gap_ns is not None and not 0 < now.gap_ns <= settings.gap_timeout_ns:
        yield (
            Event.FAULT,
            Cause(
                "fault",
                f"the loop stood still: {now.gap_ns / 1e6:.0f} ms between two ticks, "
                f"expected above 0 and at most {settings.gap_timeout_ns / 1e6:.0f} ms",
            ),
        )
    if state is not None:
        age_ns = now.now_ns - state.stamp_ns
        if age_ns > settings.state_timeout_ns:
            yield (
                Event.FAULT,
                Cause(
                    "fault",
                    f"the robot's state is {age_ns / 1e6:.0f} ms old, allowed {settings.state_timeout_ns / 1e6:.0f} ms",
                ),
            )
        if now.mode is Mode.IDLE and (outside := _outside_limits(state, settings)):
            yield Event.REFUSE, Cause("refused", outside)
        if now.opening is not None and (far := _too_far(now.opening, state, settings)):
            yield Event.REFUSE, Cause("refused", far)
    if stop is not None:
        yield Event.STOP, Cause(stop.kind, stop.text)
    if state is not None and state.task is not None and state.task.done:
        yield Event.STOP, Cause("done", "success" if state.task.success else "the episode is over")
    without_plan_ns = now.now_ns - now.covered_ns
    if now.wanted is None and without_plan_ns >= settings.hold_timeout_ns:
        missing = "no state from the robot" if state is None else "no valid plan"
        yield Event.HOLD_TIMEOUT, Cause("fault", f"{missing} for {without_plan_ns / 1e9:.1f} s{_planner(now.planner)}")
    if now.now_ns - now.still_ns >= settings.settle_ns:
        yield Event.SETTLED, _REST
    if state is not None:
        yield Event.START, _KNOWN
    if now.aligned:
        yield Event.ALIGNED, _ALIGNED
    if now.wanted is None:
        yield Event.STARVED, Cause("done", f"no row of a plan covers this tick{_planner(now.planner)}")
    else:
        yield Event.PLAN, _PLANNED


def _planner(status: PlannerStatus) -> str:
    if status.up:
        return f"; {status.failure}" if status.failure else ""
    return f"; the planner is down: {status.failure or 'starting'}"


def _outside_limits(state: RobotState, settings: LoopSettings) -> str:
    limits = settings.limits
    inside = (state.position >= limits.low) & (state.position <= limits.high)
    if inside.all():
        return ""
    i = int(np.flatnonzero(~inside)[0])
    return (
        f"joint {limits.joints[i]!r} is at {state.position[i]:.4g}, outside its limits "
        f"[{limits.low[i]:.4g}, {limits.high[i]:.4g}]; bring it back by hand first"
    )


def _too_far(opening: F64, state: RobotState, settings: LoopSettings) -> str:
    near = np.abs(opening - state.position) <= settings.align_tolerance
    if near.all():
        return ""
    i = int(np.flatnonzero(~near)[0])
    return (
        f"the policy's first action for joint {settings.limits.joints[i]!r} is {opening[i]:.4g}, the joint is measured "
        f"at {state.position[i]:.4g}: farther than align_tolerance {settings.align_tolerance[i]:.4g}"
    )
