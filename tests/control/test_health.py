"""Each fact of a tick gives its event and no other, and the gravest event comes first."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_runtime.control.cause import Cause, Stop
from vla_runtime.control.health import LoopSettings, Situation, health
from vla_runtime.control.mode import Event, Mode
from vla_runtime.control.safety import JointLimits
from vla_runtime.core.types import PlannerStatus, RobotState, TaskStatus

MS = 1_000_000
NOW = 10_000 * MS
LIMITS = JointLimits(("base", "elbow"), np.array([-1.0, -2.0]), np.array([1.0, 2.0]), np.array([1.0, 1.0]))
SETTINGS = LoopSettings(5 * MS, LIMITS, np.array([0.1, 0.5]), 100 * MS, 3_000 * MS, 80 * MS)


def state(position=(0.0, 0.0), age_ms: float = 1.0, task: TaskStatus | None = None) -> RobotState:
    return RobotState(np.array(position), None, NOW - round(age_ms * MS), 0, task=task)


def situation(**changes) -> Situation:
    fields = {
        "now_ns": NOW,
        "gap_ns": 5 * MS,
        "mode": Mode.RUNNING,
        "still_ns": NOW,
        "state": state(),
        "wanted": np.zeros(2),
        "covered_ns": NOW,
        "opening": None,
        "aligned": False,
        "stop": None,
        "planner": PlannerStatus(up=True),
    }
    return Situation(**(fields | changes))


def events(**changes) -> list[tuple[Event, Cause]]:
    return list(health(situation(**changes), SETTINGS))


def names(**changes) -> list[Event]:
    return [event for event, _ in events(**changes)]


def cause_of(event: Event, **changes) -> Cause:
    return dict(events(**changes))[event]


def test_when_all_is_well_there_is_a_state_and_a_plan() -> None:
    assert names() == [Event.START, Event.PLAN]


def test_before_the_first_state_nothing_is_known() -> None:
    assert names(state=None, wanted=None, mode=Mode.IDLE) == [Event.STARVED]


def test_a_state_older_than_allowed_is_a_fault_that_names_both_ages() -> None:
    assert names(state=state(age_ms=100)) == [Event.START, Event.PLAN]
    assert names(state=state(age_ms=100.001))[0] is Event.FAULT
    assert cause_of(Event.FAULT, state=state(age_ms=250)) == Cause(
        "fault", "the robot's state is 250 ms old, allowed 100 ms"
    )


@pytest.mark.parametrize(("position", "joint", "value"), [((1.01, 0), "base", "1.01"), ((0, -2.5), "elbow", "-2.5")])
def test_a_start_outside_the_limits_is_refused_and_the_joint_is_named(position, joint: str, value: str) -> None:
    cause = cause_of(Event.REFUSE, mode=Mode.IDLE, state=state(position))
    assert cause.kind == "refused"
    assert repr(joint) in cause.text
    assert value in cause.text
    assert "[-1, 1]" in cause.text or "[-2, 2]" in cause.text
    assert Event.REFUSE not in names(mode=Mode.RUNNING, state=state(position))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_start_at_no_number_is_refused(bad: float) -> None:
    assert Event.REFUSE in names(mode=Mode.IDLE, wanted=None, state=state((0.0, bad)))


def test_a_start_on_a_limit_is_inside() -> None:
    assert Event.REFUSE not in names(mode=Mode.IDLE, wanted=None, state=state((1.0, -2.0)))


def test_a_first_action_too_far_is_refused_with_joint_values_and_tolerance() -> None:
    far = {"mode": Mode.ALIGNING, "state": state((0.25, 0.5)), "opening": np.array([0.3, 1.25])}
    cause = cause_of(Event.REFUSE, **far)
    assert cause.kind == "refused"
    for part in ("'elbow'", "1.25", "0.5", "align_tolerance 0.5"):
        assert part in cause.text
    assert Event.REFUSE not in names(**(far | {"opening": None}))
    assert Event.REFUSE not in names(**(far | {"opening": np.array([0.35, 1.0])}))
    assert Event.REFUSE in names(**(far | {"opening": np.array([0.25, math.nan])}))


def test_a_stop_gives_the_event_of_its_kind() -> None:
    for kind in ("done", "refused", "interrupted"):
        assert names(stop=Stop(kind, "why"))[0] is Event.STOP
        assert cause_of(Event.STOP, stop=Stop(kind, "why")) == Cause(kind, "why")
    for stop in (Stop("fault", "why"), Stop("interrupted", "why", emergency=True)):
        assert names(stop=stop)[:2] == [Event.FAULT, Event.STOP]
        assert cause_of(Event.FAULT, stop=stop) == Cause(stop.kind, "why")


def test_a_task_that_is_done_stops_the_run_and_says_how_it_went() -> None:
    assert Event.STOP not in names(state=state(task=TaskStatus(0, 5, False, False)))
    assert cause_of(Event.STOP, state=state(task=TaskStatus(0, 5, True, True))) == Cause("done", "success")
    assert cause_of(Event.STOP, state=state(task=TaskStatus(0, 5, True, False))).kind == "done"


def test_too_long_without_a_plan_times_out_and_says_what_is_missing() -> None:
    late = {"wanted": None, "covered_ns": NOW - 3_000 * MS}
    assert names(**(late | {"covered_ns": NOW - 3_000 * MS + 1})) == [Event.START, Event.STARVED]
    assert names(**late) == [Event.HOLD_TIMEOUT, Event.START, Event.STARVED]
    assert cause_of(Event.HOLD_TIMEOUT, **late) == Cause("fault", "no valid plan for 3.0 s")
    assert cause_of(Event.HOLD_TIMEOUT, **late, state=None).text.startswith("no state from the robot for 3.0 s")
    down = PlannerStatus(up=False, failure="camera 'front' has sent no frame")
    assert cause_of(Event.HOLD_TIMEOUT, **late, planner=down).text.endswith("camera 'front' has sent no frame")
    no_plan = PlannerStatus(up=True, failure="camera 'front' has sent no frame")
    assert cause_of(Event.HOLD_TIMEOUT, **late, planner=no_plan).text.endswith("camera 'front' has sent no frame")
    assert cause_of(Event.STARVED, wanted=None, planner=PlannerStatus(up=False)).text.endswith("starting")


@pytest.mark.parametrize("gap_ns", [0, -1, 250 * MS + 1, 10**12])
def test_a_loop_that_stood_still_or_went_back_is_a_fault(gap_ns: int) -> None:
    assert names(gap_ns=gap_ns)[0] is Event.FAULT
    assert "two ticks" in cause_of(Event.FAULT, gap_ns=gap_ns).text


@pytest.mark.parametrize("gap_ns", [None, 1, 250 * MS])
def test_ticks_in_time_are_no_fault(gap_ns: int | None) -> None:
    assert Event.FAULT not in names(gap_ns=gap_ns)


def test_a_robot_settles_a_time_after_the_last_motion() -> None:
    assert Event.SETTLED not in names(still_ns=NOW - 80 * MS + 1)
    assert Event.SETTLED in names(still_ns=NOW - 80 * MS)


def test_aligned_is_said_when_it_is_so() -> None:
    assert Event.ALIGNED in names(aligned=True)
    assert Event.ALIGNED not in names(aligned=False)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(list(Mode)),
    st.integers(0, 5_000),
    st.one_of(st.none(), st.builds(state, st.tuples(st.floats(-3, 3), st.floats()), st.floats(0, 200))),
    st.one_of(st.none(), st.builds(lambda *row: np.array(row), st.floats(-3, 3), st.floats(-3, 3))),
    st.integers(0, 5_000),
    st.booleans(),
    st.booleans(),
    st.one_of(st.none(), st.builds(Stop, st.sampled_from(["done", "fault", "interrupted"]), st.text(), st.booleans())),
)
def test_events_come_in_order_of_rank_and_a_plan_is_either_there_or_not(
    mode, entered, robot, wanted, covered, checked, aligned, stop
) -> None:
    found = names(
        mode=mode, still_ns=NOW - entered * MS, state=robot, wanted=wanted, covered_ns=NOW - covered * MS,
        opening=None if checked else wanted, aligned=aligned, stop=stop,
    )  # fmt: skip
    ranks = [list(Event).index(event) for event in found]
    assert ranks == sorted(ranks)
    assert (Event.PLAN in found) is (wanted is not None)
    assert (Event.STARVED in found) is (wanted is None)
    assert Event.RESET not in found
