"""A policy that answers with the true time shows every error of an executor: 100 Hz control, a 10 Hz policy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_runtime.control.cause import Stop
from vla_runtime.control.scheduler import Scheduler
from vla_runtime.control.strategies import Blend, Ensemble, Latest, Strategy
from vla_runtime.core.types import ActionChunk

from .world import HASH, JOINTS, Robot, World

MS = 1_000_000
PERIOD, DT, H = 10 * MS, 100 * MS, 16
SPEED = 0.5
"""Units a second: what a row says of its time. One control period's motion is 0.005."""

delays = st.lists(st.integers(0, 300 * MS), min_size=1, max_size=40)
strategies = st.sampled_from([Latest(), Blend(4, DT), Ensemble(0.01)])
interpolations = st.sampled_from(["linear", "cubic", "min_jerk"])


def clock_chunk(t0_ns: int, request_seq: int) -> ActionChunk:
    times = (t0_ns + DT * np.arange(H)) * 1e-9 * SPEED
    return ActionChunk(np.stack([times, -times], axis=1).astype(np.float32), t0_ns, DT, request_seq, request_seq, HASH)


def run(delays_ns, strategy: Strategy, interpolation: str = "linear", age_ns: int = 0, ticks: int = 300):
    """(time, action, newest chunk) of every tick, a chunk coming as late as ``delays_ns`` says, in turn."""
    plan = Scheduler(
        joints=JOINTS, chunk_length=H, dt_ns=DT, policy_hash=HASH, replan_interval=1, strategy=strategy,
        interpolation=[interpolation] * len(JOINTS),
    )  # fmt: skip
    coming: list[tuple[int, ActionChunk]] = []
    found = []
    for k in range(ticks):
        now = 1_000 * MS + k * PERIOD
        if plan.wants_plan(now):
            seq = plan.next_request(now)
            coming.append((now + delays_ns[seq % len(delays_ns)], clock_chunk(now - age_ns, seq)))
        for due in [entry for entry in coming if entry[0] <= now]:
            coming.remove(due)
            assert plan.accept(due[1], now) == ""
        found.append((now, plan.action_at(now), plan.plan))
    return found


@settings(deadline=None, max_examples=100)
@given(delays, strategies, interpolations, st.integers(0, 50 * MS))
def test_the_action_is_that_of_its_time_within_one_periods_motion(delays_ns, strategy, interpolation, age_ns) -> None:
    """And once there is a chunk there is always one: no tick starves."""
    begun = False
    for now, action, _ in run(delays_ns, strategy, interpolation, age_ns):
        if action is None:
            assert not begun
            continue
        begun = True
        error = np.abs(action - np.array([1, -1]) * now * 1e-9 * SPEED).max()
        assert error <= SPEED * PERIOD * 1e-9 * 1e-3  # a thousandth of the motion of one period: float32 rows
    assert begun


@settings(deadline=None, max_examples=100)
@given(delays, st.integers(0, 50 * MS))
def test_the_executed_row_is_always_the_row_of_its_time_none_early_late_or_twice(delays_ns, age_ns) -> None:
    """A held row is executed from its own instant on, until the next one's: by as many ticks as lie in between."""
    ticks_by_row: dict[tuple[int, int], int] = {}
    for now, action, plan in run(delays_ns, Latest(), "hold", age_ns):
        if action is None:
            continue
        row = round((action[0] / SPEED * 1e9 - plan.chunk.t0_ns) / DT)
        assert plan.chunk.actions[row, 0] == action[0]
        assert 0 <= now - (plan.chunk.t0_ns + row * DT) < DT
        ticks_by_row[plan.chunk.seq, row] = ticks_by_row.get((plan.chunk.seq, row), 0) + 1
    assert ticks_by_row
    assert max(ticks_by_row.values()) <= DT // PERIOD


@pytest.mark.parametrize("strategy", [Latest(), Blend(4, DT), Ensemble(0.01)])
def test_what_the_robot_is_sent_is_the_action_of_its_time(strategy: Strategy) -> None:
    """The whole loop, its limits included, with delays from 0 to 300 ms."""
    delays_ms = [0, 300, 40, 170, 5, 250]
    period, step = 5 * MS, 20 * MS

    def answer(request):
        t0 = request.stamp_ns
        times = (t0 + step * np.arange(64)) * 1e-9 * SPEED - 0.75
        rows = np.stack([times, -times], axis=1).astype(np.float32)
        chunk = ActionChunk(rows, t0, step, request.seq, request.seq, HASH)
        return [(delays_ms[request.seq % len(delays_ms)] * MS, chunk)]

    world = World(
        answer, Robot((-0.25, 0.25)), {2_000 * MS: Stop("done", "enough")}, chunk_length=64, replan_interval=4,
        strategy=strategy, answer_timeout_ns=1_000 * MS,
    )  # fmt: skip
    world.run()
    following = [tick for tick in world.ticks if tick.mode == "running"]
    assert len(following) > 200
    for tick in following[20:]:
        assert tick.command[0] == pytest.approx(tick.now_ns * 1e-9 * SPEED - 0.75, abs=SPEED * period * 1e-9)
