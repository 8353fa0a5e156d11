"""Every instant gets the row of its time, whatever the delays; a chunk is taken whole or refused whole."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_runtime.control.scheduler import Scheduler
from vla_runtime.control.strategies import Blend, Ensemble, Latest
from vla_runtime.core.types import ActionChunk

MS = 1_000_000
DT, H, HASH = 20 * MS, 8, "cafe"
JOINTS = ("shoulder", "elbow")


def scheduler(replan_interval: int | None = None, **changes) -> Scheduler:
    settings = {"joints": JOINTS, "chunk_length": H, "dt_ns": DT, "policy_hash": HASH}
    return Scheduler(**(settings | {"replan_interval": replan_interval} | changes))


def clock_chunk(t0_ns: int, request_seq: int, seq: int = 0) -> ActionChunk:
    """Rows that say their own time in ms, which float32 holds exactly; the second joint says it negated."""
    times = (t0_ns + DT * np.arange(H)) / MS
    return ActionChunk(np.stack([times, -times], axis=1).astype(np.float32), t0_ns, DT, seq, request_seq, HASH)


def facts(plan: Scheduler, now_ns: int):
    """What a refused chunk must leave as it was."""
    action = plan.action_at(now_ns)
    return plan.chunk_seq, plan.used, plan.next_seq, None if action is None else action.tolist()


answers = st.lists(
    # How long the answer takes, how old its frames are when it is asked for, and how late a second copy of it comes.
    st.tuples(st.integers(0, 300), st.integers(0, 60), st.one_of(st.none(), st.integers(0, 400))),
    min_size=1,
    max_size=20,
)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([1, 2, 4, 8, None]), answers, st.lists(st.integers(1, 45), min_size=10, max_size=120))
def test_every_instant_gets_the_row_of_its_time(replan_interval, delays, ticks) -> None:
    plan = scheduler(replan_interval, answer_timeout_ns=50 * MS)
    now, coming, in_use, newest = 1_000 * MS, [], None, -1
    for tick in ticks:
        now += tick * MS
        if plan.wants_plan(now):
            seq = plan.next_request(now)
            delay, age, copy = delays[seq % len(delays)]
            chunk = clock_chunk(now - age * MS, seq, seq)
            coming += [(now + delay * MS, chunk)] + ([] if copy is None else [(now + (delay + copy) * MS, chunk)])
        for due, chunk in [entry for entry in coming if entry[0] <= now]:
            coming.remove((due, chunk))
            usable = chunk.request_seq > newest and now < chunk.t0_ns + H * DT
            assert (plan.accept(chunk, now) == "") is usable
            if usable:
                in_use, newest = chunk, chunk.request_seq
        action = plan.action_at(now)
        if in_use is None or now >= in_use.t0_ns + H * DT:
            assert action is None
            continue
        time, last = now / MS, (in_use.t0_ns + (H - 1) * DT) / MS
        assert action is not None
        assert action.tolist() == pytest.approx([min(time, last), -min(time, last)], abs=1e-9)
        assert 0 <= time - action[0] + 1e-9 < DT / MS
        assert plan.covered_ns == now
        assert plan.chunk_seq == in_use.seq


def test_rows_that_were_past_on_arrival_are_dropped() -> None:
    plan = scheduler()
    plan.accept(clock_chunk(0, plan.next_request(0)), 3 * DT + 5 * MS)
    assert plan.action_at(3 * DT + 5 * MS).tolist() == [65.0, -65.0]


def test_a_chunk_covers_its_rows_and_not_a_nanosecond_more() -> None:
    plan = scheduler()
    plan.accept(clock_chunk(DT, plan.next_request(DT)), DT)
    assert plan.action_at(DT - 1) is None
    assert plan.action_at(DT)[0] == 20.0
    assert plan.action_at((H + 1) * DT - 1)[0] == 160.0
    assert plan.action_at((H + 1) * DT) is None
    assert plan.covered_ns == (H + 1) * DT - 1


def test_without_a_chunk_there_is_no_action() -> None:
    plan = scheduler(start_ns=7)
    assert plan.action_at(1_000) is None
    assert (plan.chunk_seq, plan.covered_ns) == (-1, 7)


BAD = np.nan, np.inf, -np.inf
GOOD = clock_chunk(0, 0).actions


def with_value(value: float) -> np.ndarray:
    actions = GOOD.copy()
    actions[5, 1] = value
    return actions


REFUSED = {
    "another policy": ({"policy_hash": "beef"}, "policy hash", ["'beef'", "'cafe'"]),
    "a request never sent": ({"request_seq": 99}, "request", ["99"]),
    "a negative request": ({"request_seq": -1}, "request", ["-1"]),
    "a request already answered": ({"request_seq": 0}, "request", ["0", "superseded"]),
    "too few rows": ({"actions": GOOD[:-1]}, "shape", ["(7, 2)", "(8, 2)"]),
    "too many rows": ({"actions": np.vstack([GOOD, GOOD])}, "shape", ["(16, 2)", "(8, 2)"]),
    "too few joints": ({"actions": GOOD[:, :1]}, "shape", ["(8, 1)", "(8, 2)"]),
    "a batch of chunks": ({"actions": GOOD[None]}, "shape", ["(1, 8, 2)", "(8, 2)"]),
    "one number": ({"actions": np.float32(3)}, "shape", ["()", "(8, 2)"]),
    "another step": ({"dt_ns": DT + 1}, "dt", [str(DT + 1), str(DT)]),
    "no step": ({"dt_ns": 0}, "dt", ["0 ns", str(DT)]),
    **{str(value): ({"actions": with_value(value)}, "not finite", ["row 5", "elbow"]) for value in BAD},
    "only NaN": ({"actions": np.full_like(GOOD, np.nan)}, "not finite", ["row 0", "shoulder"]),
    "the future": ({"t0_ns": 3 * DT + 2 * MS}, "future", ["2.0 ms"]),
    "the past": ({"t0_ns": -5 * DT}, "past", ["160.0 ms"]),
    "too short a delay": ({"delay": 0}, "delay", ["0 rows", "0.50 have passed"]),
}


@pytest.mark.parametrize("which", sorted(REFUSED))
def test_a_chunk_is_refused_whole_and_leaves_the_plan_as_it_was(which: str) -> None:
    changes, kind, named = REFUSED[which]
    plan, now = scheduler(), 3 * DT
    assert plan.accept(clock_chunk(0, plan.next_request(0), seq=4), DT) == ""
    plan.next_request(DT)
    before = facts(plan, now)
    bad = replace(clock_chunk(now - 10 * MS, 1, seq=5), **changes)
    reason = plan.accept(bad, now)
    assert reason.partition(":")[0] == kind
    assert all(part in reason for part in named), reason
    assert facts(plan, now) == before
    assert plan.refused == {kind: 1}
    plan.accept(bad, now)
    assert plan.refused == {kind: 2}
    # The same request can still be answered well.
    assert plan.accept(clock_chunk(now - 10 * MS, 1, seq=6), now) == ""
    assert (plan.chunk_seq, plan.used) == (6, 2)


def test_an_older_request_is_refused_once_a_newer_one_was_answered() -> None:
    plan = scheduler(answer_timeout_ns=DT)
    first, second = plan.next_request(0), plan.next_request(DT)
    assert plan.accept(clock_chunk(DT, second, seq=1), 2 * DT) == ""
    assert plan.accept(clock_chunk(0, first, seq=2), 2 * DT).startswith("request:")
    assert plan.chunk_seq == 1


def test_an_older_request_that_is_answered_first_is_used_until_the_newer_one_is() -> None:
    plan = scheduler(answer_timeout_ns=DT)
    first, second = plan.next_request(0), plan.next_request(DT)
    assert plan.accept(clock_chunk(0, first, seq=1), 2 * DT) == ""
    assert not plan.wants_plan(2 * DT - 1)
    assert plan.accept(clock_chunk(DT, second, seq=2), 3 * DT) == ""
    assert plan.chunk_seq == 2


def test_request_numbers_go_on_over_episodes_so_that_no_late_answer_fits() -> None:
    earlier = scheduler()
    for now in range(3):
        earlier.next_request(now)
    later = scheduler(first_request=earlier.next_seq)
    assert later.next_request(0) == 3
    assert later.accept(clock_chunk(0, 2), 0).startswith("request:")
    assert later.accept(clock_chunk(0, 3), 0) == ""


def takeovers(plan: Scheduler, period: int, latency: int, ticks: int) -> list[tuple[int, int]]:
    """The times (request, takeover) of a planner that answers ``latency`` after it is asked, in the loop's order."""
    found, due = [], []
    for now in range(0, ticks * period, period):
        if plan.wants_plan(now):
            due.append((now, plan.next_request(now)))
        while due and now >= due[0][0] + latency:
            sent, seq = due.pop(0)
            assert plan.accept(clock_chunk(sent, seq), now) == ""
            found.append((sent, now))
        plan.action_at(now)
    return found


@pytest.mark.parametrize("period", [DT, DT // 4])
@pytest.mark.parametrize("replan_interval", [1, 2, 4, 8, None])
def test_without_delay_a_plan_is_replaced_exactly_after_its_interval(replan_interval, period: int) -> None:
    found = takeovers(scheduler(replan_interval), period, 0, 400)
    steps = H if replan_interval is None else replan_interval
    assert found == [(k * steps * DT, k * steps * DT) for k in range(len(found))]
    assert len(found) == -(-400 * period // (steps * DT))


@pytest.mark.parametrize("latency_ms", [5, 15, 20, 40, 75])
@pytest.mark.parametrize("replan_interval", [1, 2, 4, 8, None])
def test_with_delay_the_request_goes_out_earlier_by_the_delay(replan_interval, latency_ms: int) -> None:
    period, latency = 5 * MS, latency_ms * MS
    found = takeovers(scheduler(replan_interval), period, latency, 400)
    steps = (H if replan_interval is None else replan_interval) * DT
    # The last rows of a whole chunk are not waited for; a planner slower than the interval is asked again at once.
    interval = max(min(steps, H * DT - latency), latency + period)
    assert found == [(k * interval, k * interval + latency) for k in range(len(found))]
    assert len(found) >= 10


def test_with_delay_every_tick_is_covered_where_that_is_possible() -> None:
    for replan_interval in (1, 2, 4, None):
        plan, due = scheduler(replan_interval), []
        for now in range(0, 3_000 * MS, 5 * MS):
            if plan.wants_plan(now):
                due.append((now, plan.next_request(now)))
            while due and now >= due[0][0] + 60 * MS:
                sent, seq = due.pop(0)
                assert plan.accept(clock_chunk(sent, seq), now) == ""
            assert (plan.action_at(now) is not None) is (now >= 60 * MS)


def test_an_unanswered_request_is_repeated_after_the_timeout_and_not_before() -> None:
    plan = scheduler(answer_timeout_ns=50 * MS)
    assert plan.next_request(0) == 0
    assert not plan.wants_plan(50 * MS - 1)
    assert plan.wants_plan(50 * MS)
    assert plan.next_request(50 * MS) == 1
    assert not plan.wants_plan(100 * MS - 1)
    assert plan.wants_plan(100 * MS)


@pytest.mark.parametrize(
    "change", [{"actions": np.full_like(GOOD, np.nan)}, {"policy_hash": "beef"}, {"t0_ns": 10**15}]
)
def test_a_refused_answer_is_asked_for_again_at_once(change) -> None:
    plan = scheduler(answer_timeout_ns=1_000 * MS)
    plan.next_request(0)
    assert plan.accept(replace(clock_chunk(0, 0), **change), MS) != ""
    assert plan.wants_plan(2 * MS)


@given(st.integers(0, H - 1), st.integers(0, H * DT - 1), st.integers(0, 3 * DT))
def test_a_chunk_that_continues_too_few_rows_for_its_real_delay_is_refused(delay: int, late: int, lead: int) -> None:
    plan = scheduler(lead_ns=lead)
    refusal = plan.accept(replace(clock_chunk(0, plan.next_request(0)), delay=delay), late)
    if late + lead >= H * DT:
        assert refusal.startswith("past:")
    else:
        assert refusal.startswith("delay:") is (late + lead > delay * DT)
        assert bool(refusal) is refusal.startswith("delay:")


def test_after_such_a_refusal_the_next_request_allows_for_the_delay_that_was() -> None:
    plan = scheduler()
    assert plan.accept(replace(clock_chunk(0, plan.next_request(0)), delay=1), DT) == ""
    plan.next_request(2 * DT)
    assert plan.takeover_at(2 * DT) == 3 * DT
    assert plan.accept(replace(clock_chunk(2 * DT, 1), delay=1), 5 * DT).startswith("delay:")
    assert plan.wants_plan(5 * DT)
    assert plan.takeover_at(5 * DT) == 8 * DT


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 4 * DT), st.integers(0, 3 * DT), st.integers(0, H * DT))
def test_with_a_lead_every_row_is_sent_so_much_before_its_time(lead: int, late: int, into: int) -> None:
    plan = scheduler(lead_ns=lead)
    t0 = 1_000 * MS
    if plan.accept(clock_chunk(t0, plan.next_request(t0)), t0 + late):
        assert late + lead >= H * DT
        return
    now = t0 + late + into
    action = plan.action_at(now)
    meant = (now + lead) / MS
    if now + lead >= t0 + H * DT:
        assert action is None
    else:
        assert action[0] == pytest.approx(min(meant, (t0 + (H - 1) * DT) / MS), abs=1e-9)
    assert plan.takeover_at(now) == now + late + lead


def test_where_a_plan_ran_out_only_a_blend_coasts_and_it_begins_where_the_plan_ended() -> None:
    for strategy, coasts in ((Latest(), False), (Ensemble(0.01), False), (Blend(4, DT), True)):
        plan = scheduler(strategy=strategy)
        assert plan.coast_at(0) is None
        plan.accept(clock_chunk(0, plan.next_request(0)), 0)
        assert plan.coast_at(H * DT - 1) is None
        assert (plan.coast_at(H * DT) is not None) is coasts
    last = plan.action_at(H * DT - 1)
    assert plan.coast_at(H * DT)[0] == pytest.approx(last[0], abs=1e-4)
    assert plan.covered_ns == H * DT - 1
    assert plan.coast_at(50 * DT)[0] == pytest.approx((H - 1) * 20 + 4 / 3 * 20)
    plan.drop()
    assert plan.coast_at(50 * DT) is None


@settings(deadline=None, max_examples=200)
@given(st.integers(1, H * 20), st.integers(1, 60))
def test_no_row_is_blended_from_once_it_is_too_old(limit_ms: int, after_ms: int) -> None:
    """What coasts goes at most as far beyond the age limit as the row after it, and a blend's share of the way."""
    plan = scheduler(strategy=Blend(4, DT), max_age_ns=limit_ms * MS)
    plan.accept(clock_chunk(0, plan.next_request(0)), 0)
    coasting = plan.coast_at((limit_ms + after_ms) * MS)
    assert coasting[0] <= limit_ms + 20 + 4 / 3 * 20 + 1e-9


@pytest.mark.parametrize("wrong", [0, -1, H + 1])
def test_a_replan_interval_that_does_not_fit_the_chunk_is_refused(wrong: int) -> None:
    with pytest.raises(ValueError, match=rf"replan_interval is {wrong}, expected 1 to the chunk length {H}, or none"):
        scheduler(wrong)


@given(st.integers(1, 2 * H * 20), st.integers(0, 2 * H * 20))
def test_a_plan_is_followed_neither_beyond_its_rows_nor_when_it_is_too_old(limit_ms: int, age_ms: int) -> None:
    plan = scheduler(1, max_age_ns=limit_ms * MS)
    t0 = 1_000 * MS
    plan.accept(clock_chunk(t0, plan.next_request(t0)), t0)
    assert (plan.action_at(t0 + age_ms * MS) is not None) is (age_ms < min(limit_ms, H * 20))


def test_a_chunk_that_is_too_old_on_arrival_is_refused() -> None:
    for age_ms, reason in ((49, ""), (50, "past: captured 50.0 ms ago, no row is followed after 50.0 ms")):
        plan = scheduler(max_age_ns=50 * MS)
        now = 1_000 * MS
        assert plan.accept(clock_chunk(now - age_ms * MS, plan.next_request(now)), now) == reason


def test_the_next_plan_is_asked_for_before_this_one_is_too_old() -> None:
    plan = scheduler(max_age_ns=50 * MS)
    t0 = 1_000 * MS
    plan.accept(clock_chunk(t0, plan.next_request(t0)), t0)
    assert not plan.wants_plan(t0 + 49 * MS)
    assert plan.wants_plan(t0 + 50 * MS)
