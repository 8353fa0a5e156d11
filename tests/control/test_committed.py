"""What a policy is told of its previous chunk is what the robot was told, after limits."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vla_runtime.control.cause import Stop
from vla_runtime.control.committed import Committed
from vla_runtime.control.interpolation import Trajectory
from vla_runtime.control.safety import JointLimits
from vla_runtime.control.strategies import Blend, Plan
from vla_runtime.core.types import ActionChunk, CommittedChunk

from .world import DT, HASH, HIGH, JOINTS, LOW, MS, PERIOD, VELOCITY, H, Robot, World, constant, rows

LIMITS = JointLimits(JOINTS, np.array(LOW), np.array(HIGH), np.array(VELOCITY))
NOW = 1_000 * MS


def plan(actions, t0_ns: int = NOW, lead_ns: int = 0) -> Plan:
    chunk = ActionChunk(np.asarray(actions, dtype=np.float32), t0_ns, DT, 0, 0, HASH)
    begin_ns = t0_ns - lead_ns
    return Plan(chunk, Trajectory(chunk.actions, DT), begin_ns, begin_ns, begin_ns + H * DT)


def chunk(memory: Committed, followed: Plan | None, now_ns: int) -> CommittedChunk | None:
    return memory.chunk(followed, followed.at if followed else _nowhere, now_ns)


def _nowhere(instant_ns: int) -> list[float]:
    raise AssertionError("there is no plan to ask")


def committed(*sent: tuple[int, tuple[float, float]]) -> Committed:
    memory = Committed(LIMITS, H, DT, PERIOD)
    for at_ns, command in sent:
        memory.add(np.array(command), at_ns)
    return memory


def test_before_the_first_command_nothing_is_committed() -> None:
    assert chunk(committed(), plan(rows(0, 0)), NOW) is None


def test_without_a_plan_the_robot_stays_where_it_was_told_to_be() -> None:
    found = chunk(committed((NOW - PERIOD, (0.1, 0.2)), (NOW, (0.25, 0.5))), None, NOW)
    assert found is not None
    assert (found.t0_ns, found.dt_ns) == (NOW, DT)
    assert found.actions.tolist() == [[0.25, 0.5]] * H
    assert found.end_ns == NOW


def test_a_plan_says_where_to_go_until_its_last_row_is_over() -> None:
    told = committed((NOW, (0.25, 0.5)))
    end_ns = NOW + H * DT
    for now_ns in (NOW, end_ns - 1):
        found = chunk(told, plan(rows(0.3, 0.3)), now_ns)
        assert found is not None
        assert found.end_ns == end_ns
    found = chunk(told, plan(rows(0.3, 0.3)), end_ns)
    assert found is not None
    assert (found.t0_ns, found.end_ns) == (end_ns, end_ns)
    assert found.actions.tolist() == [[0.25, 0.5]] * H


def test_rows_whose_time_has_come_are_what_was_sent_then_and_not_what_was_wanted() -> None:
    sent = [(NOW + k * PERIOD, (k / 64, 0.0)) for k in range(13)]
    found = chunk(committed(*sent), plan(rows(0.9, 0.9)), NOW + 12 * PERIOD)
    assert found is not None
    assert found.actions[:4, 0].tolist() == [0, 4 / 64, 8 / 64, 12 / 64]


@given(st.integers(0, PERIOD - 1), st.integers(1, H * 4 - 1))
def test_a_robot_that_was_sent_along_a_plan_is_committed_to_it_whenever_its_ticks_were(
    phase_ns: int, ticks: int
) -> None:
    """Rows fall between two ticks, and the newest command is a tick old: a row is off by a quarter of its way at most,
    where the plan turns between two ticks."""
    followed = plan(rows(0.0, 0.1, rise=0.01), NOW)
    first = NOW + phase_ns
    sent = [(at, tuple(followed.at(at))) for at in range(first, first + ticks * PERIOD, PERIOD)]
    found = chunk(committed(*sent), followed, first + ticks * PERIOD)
    assert found is not None
    coming = -(-phase_ns // DT)  # what was before the first command is not known
    assert np.allclose(found.actions[coming:], followed.chunk.actions[coming:], atol=0.01 * PERIOD / DT / 4 + 1e-6)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=H, max_size=H), st.integers(0, H * 4))
def test_rows_to_come_are_inside_the_limits_and_no_faster_than_the_joints(wanted, ticks: int) -> None:
    now = NOW + ticks * PERIOD
    found = chunk(committed((now, (0.5, -0.5))), plan(wanted), now)
    assert found is not None
    coming = [i for i in range(H) if NOW + i * DT > now]
    before = np.array([0.5, -0.5])
    for i in coming:
        row = found.actions[i]
        assert (row >= np.array(LOW) - 1e-6).all()
        assert (row <= np.array(HIGH) + 1e-6).all()
        assert (np.abs(row - before) <= np.array(VELOCITY) * DT / 1e9 + 1e-6).all()
        before = row


def test_a_request_of_the_loop_says_what_the_loop_sent() -> None:
    world = World(constant(0.6, -0.1, delay_ns=10 * MS), Robot((0.2, -0.1)), {300 * MS: Stop("done", "enough")},
                  replan_interval=2)  # fmt: skip
    world.run()
    first, *later = world.planner.requests
    assert first.committed is None
    assert later
    assert first.takeover_ns == 0
    sent = dict(world.robot.writes)
    for request in later:
        assert request.takeover_ns == request.stamp_ns + 10 * MS
        told = request.committed
        assert told is not None
        for i, row in enumerate(told.actions):
            at = told.t0_ns + i * told.dt_ns
            if at < request.stamp_ns and at in sent:
                assert row.tolist() == np.array(sent[at], dtype=np.float32).tolist()


def test_rows_to_come_are_those_of_the_strategy_and_not_of_one_chunk() -> None:
    blend = Blend(4, DT)
    old, new = plan(rows(0.0, 0.0)), plan(rows(0.03, 0.03), NOW + DT)
    plans = blend.follow((old,), new)
    told = committed((NOW + DT, (0.0, 0.0)))
    found = told.chunk(plans[-1], lambda instant_ns: blend.at(plans, instant_ns), NOW + DT)
    assert found is not None
    path = [blend.at(plans, NOW + (1 + i) * DT)[0] for i in range(H)]
    assert found.actions[1:, 0].tolist() == np.array(path[1:], dtype=np.float32).tolist()
    assert 0.0 < path[1] < path[2] < path[4] == np.float32(0.03)


def test_with_a_lead_a_row_is_the_command_sent_so_much_earlier() -> None:
    lead = 2 * PERIOD
    sent = [(NOW + k * PERIOD, (k / 64, 0.0)) for k in range(13)]
    found = chunk(committed(*sent), plan(rows(0.9, 0.9), NOW + lead, lead), NOW + 12 * PERIOD)
    assert found is not None
    assert (found.t0_ns, found.end_ns) == (NOW + lead, NOW + lead + H * DT)
    assert found.actions[:4, 0].tolist() == [0, 4 / 64, 8 / 64, 12 / 64]
