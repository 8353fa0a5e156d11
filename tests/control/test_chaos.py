"""Whatever robot, planner, clock and operator do: nothing outside the limits is sent, and the run ends."""

import math
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import Phase, event, find, given, settings
from hypothesis import strategies as st

from vla_runtime.control.cause import Stop
from vla_runtime.control.clock import VirtualClock
from vla_runtime.core.types import RobotState

from .world import DT, HASH, MS, PERIOD, Robot, World, assert_sent_only_what_may_be_sent, chunk, rows

VALUES = [math.nan, math.inf, -math.inf, 3.4e38, -3.4e38, 1e-45, -0.0, 1.0, -1.0, 2.0, -2.0, 0.3, -0.3]
POSES = [(0.0, 0.0), (1.0, -2.0), (-1.0, 2.0), (0.999999, -1.999999), (1.0000001, 0.0), (math.nan, 0.0)]

value = st.one_of(st.sampled_from(VALUES), st.floats(-3, 3, width=32), st.floats(width=32))
plain = st.floats(-0.125, 0.125, width=32)
good = st.fixed_dictionaries(
    {
        "rows": st.tuples(plain, plain, st.floats(-0.0625, 0.0625, width=32)),
        "delay_ms": st.integers(0, 60),
        "age_ms": st.integers(0, 30),
        "copies": st.just(1),
        "fault": st.just(""),
    }
)
bad = st.fixed_dictionaries(
    {
        "rows": st.tuples(value, value, st.floats(-3, 3, width=32)),
        "delay_ms": st.integers(0, 400),
        "age_ms": st.integers(-200, 500),
        "copies": st.integers(0, 2),
        "fault": st.sampled_from(["", "shape", "dt", "hash", "request", "nan"]),
    }
)
# Beyond the limits, and near enough to the poses on them to be begun.
beyond = st.tuples(good, st.sampled_from([1, -1])).map(
    lambda drawn: drawn[0] | {"rows": (1.125 * drawn[1], -2.125 * drawn[1], 0.0)}
)
answer = st.one_of(good, good, beyond, bad)
# What the robot measures in a tick: itself, nothing, an old stamp, another place, or no numbers.
measured = st.sampled_from(["", "", "", "", "nothing", "old", "elsewhere", "nan"])
stops = st.dictionaries(
    st.integers(0, 900).map(lambda ms: ms * MS),
    st.builds(Stop, st.sampled_from(["done", "interrupted", "fault"]), st.just("asked"), st.booleans()),
    max_size=2,
)
lateness = st.lists(st.sampled_from([0, 0, 0, 1, MS, 4 * MS, 7 * MS, 40 * MS]), min_size=1, max_size=10)


class LateClock(VirtualClock):
    """Wakes up late, by each of ``late`` in turn."""

    def __init__(self, late) -> None:
        super().__init__(1_000 * MS)
        self._late, self._sleeps = late, 0

    def sleep_until(self, deadline_ns: int) -> None:
        super().sleep_until(deadline_ns + self._late[self._sleeps % len(self._late)])
        self._sleeps += 1


class FickleRobot(Robot):
    """Its measurements are what ``script`` says, over and over."""

    script = ("",)
    measured = begun_at = (math.nan, math.nan)

    def read(self, now_ns):
        states = [self._distorted(state) for state in super().read(now_ns)]
        what = self.script[self.reads % len(self.script)]
        if not states or what == "nothing":
            return []
        self.measured = tuple(states[-1].position.tolist())
        return states

    def _distorted(self, state: RobotState) -> RobotState:
        match self.script[self.reads % len(self.script)]:
            case "old":
                return replace(state, stamp_ns=state.stamp_ns - 60 * MS)
            case "elsewhere":
                return replace(state, position=state.position + 0.4)
            case "nan" if self.writes:
                return replace(state, position=np.full(2, np.nan))
        return state

    def write(self, command, now_ns: int) -> None:
        if not self.writes:
            self.begun_at = self.measured
        super().write(command, now_ns)


def answering(script):
    def answer(request):
        what = script[request.seq % len(script)]
        base, elbow, rise = what["rows"]
        with np.errstate(over="ignore", invalid="ignore"):
            actions = rows(base, elbow, rise=rise)
        changes = {"t0_ns": request.stamp_ns - what["age_ms"] * MS}
        match what["fault"]:
            case "shape":
                actions = actions[1:]
            case "nan":
                actions[-1, -1] = np.nan
            case "dt":
                changes["dt_ns"] = DT // 2
            case "hash":
                changes["policy_hash"] = HASH + "!"
            case "request":
                changes["request_seq"] = request.seq - 1
        return [
            (what["delay_ms"] * MS * copy, chunk(request, actions, **changes)) for copy in range(1, what["copies"] + 1)
        ]

    return answer


worlds = st.fixed_dictionaries(
    {
        "answers": st.lists(answer, min_size=1, max_size=6),
        "measured": st.lists(measured, min_size=1, max_size=12),
        "pose": st.one_of(st.tuples(plain, plain), st.sampled_from(POSES)),
        "stuck": st.booleans(),
        "silent_ms": st.one_of(st.none(), st.none(), st.integers(0, 900)),
        "lost_ms": st.one_of(st.none(), st.none(), st.integers(0, 900)),
        "stops": stops,
        "late": lateness,
        "replan_interval": st.sampled_from([1, 2, 4, 8, None]),
        "tolerance": st.sampled_from([0.25, 1e9]),
        "smooth": st.booleans(),
    }
)

search = settings(deadline=None, max_examples=5_000, database=None, phases=[Phase.generate])


def build(facts) -> World:
    robot = FickleRobot(facts["pose"], facts["stuck"])
    robot.script = facts["measured"]
    for name, ms in (("silent_from_ns", facts["silent_ms"]), ("lost_at_ns", facts["lost_ms"])):
        if ms is not None:
            setattr(robot, name, (1_000 + ms) * MS)
    # A run has a duration; without one a good plan may go on for ever.
    ends = {1_000 * MS: Stop("done", "the duration is over")}
    return World(
        answering(facts["answers"]), robot, facts["stops"] | ends, clock=LateClock(facts["late"]),
        tolerance=(facts["tolerance"],) * 2, replan_interval=facts["replan_interval"], most_ticks=400,
        smooth=facts["smooth"],
    )  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(worlds)
def test_nothing_sent_is_ever_outside_limits_and_every_run_ends(facts) -> None:
    world = build(facts)
    cause = world.run()
    event(f"ended {world.ticks[-1].mode}, {cause.kind}")
    assert_sent_only_what_may_be_sent(world.commands, world.robot.begun_at, facts["smooth"])
    assert cause.kind in ("done", "refused", "fault", "interrupted")
    assert cause.text
    # Exactly one request to stop, at the very end, and nothing is sent before the robot is known or after the end.
    assert [tick.mode in ("stopped", "faulted") for tick in world.ticks] == [False] * (len(world.ticks) - 1) + [True]
    assert len(world.robot.stops) == 1
    for tick in world.ticks:
        assert (tick.command is not None) is (tick.mode in ("aligning", "running", "holding", "stopping"))
    assert world.robot.writes == [(tick.now_ns, tick.command) for tick in world.ticks if tick.command is not None]
    # No two ticks for one deadline, and each names why the mode is what it is.
    deadlines = [tick.now_ns - tick.late_ns for tick in world.ticks]
    assert deadlines == sorted(set(deadlines))
    assert all((deadline - world.start) % PERIOD == 0 for deadline in deadlines)
    assert all(tick.cause for tick in world.ticks if tick.mode != "idle")
    assert sum(world.loop.metrics.mode_ns.values()) == world.ticks[-1].now_ns - world.start


@settings(deadline=None, max_examples=60)
@given(worlds)
def test_the_same_inputs_give_the_same_ticks(facts) -> None:
    first, second = build(facts), build(facts)
    assert first.run() == second.run()
    # repr, because NaN differs from itself.
    assert [repr(tick) for tick in first.ticks] == [repr(tick) for tick in second.ticks]
    assert repr(first.robot.writes) == repr(second.robot.writes)
    assert first.recorder.refusals == second.recorder.refusals


@pytest.mark.parametrize("mode", ["idle", "aligning", "running", "holding", "stopping", "stopped", "faulted"])
def test_the_chaos_reaches_every_mode(mode: str) -> None:
    def reaches(facts) -> bool:
        world = build(facts)
        world.run()
        return any(tick.mode == mode for tick in world.ticks)

    find(worlds, reaches, settings=search, random=Random(0))


@pytest.mark.parametrize("kind", ["done", "refused", "fault", "interrupted"])
def test_the_chaos_reaches_every_kind_of_end(kind: str) -> None:
    find(worlds, lambda facts: build(facts).run().kind == kind, settings=search, random=Random(0))
