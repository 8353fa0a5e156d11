"""The planner of virtual time: a chunk comes exactly its latency after the request, and says when it was seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_runtime.core.protocols import Planner
from vla_runtime.core.types import PlannerStatus
from vla_runtime.plugins.planners.inline import InlinePlanner
from vla_runtime.plugins.planners.observe import Observer, StateReader

from .policies import ACTIONS, EXTRAS, JOINTS, MS, NOW, SPEC, Policy, cameras, frame, request


def planner(latency_ns=lambda seq: 0, policy: Policy | None = None, **frames) -> InlinePlanner:
    reader = StateReader([entry.name for entry in SPEC.state], JOINTS, EXTRAS)
    observer = Observer(SPEC, cameras(**frames), reader, 100 * MS)
    return InlinePlanner(policy or Policy(), observer, latency_ns)


def test_it_is_a_planner() -> None:
    assert isinstance(planner(), Planner)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 100)), min_size=1, max_size=20))
def test_one_chunk_is_made_at_a_time_of_the_newest_request_and_comes_its_latency_later(requests) -> None:
    latencies = [latency * MS for _, latency in requests]
    inline = planner(latencies.__getitem__, front=frame(-1_000), wrist=frame(-1_000, (2, 3)))
    asked = dict(zip(np.cumsum([gap for gap, _ in requests]).tolist(), range(len(requests)), strict=True))
    found, expected, waiting, busy_until = {}, {}, None, None
    for ms in range(max(asked) + 202):
        now = NOW + ms * MS
        if ms in asked:  # in the loop's order: first it asks, then it polls
            inline.request(request(asked[ms], now))
            waiting = asked[ms]
        found |= {chunk.request_seq: now for chunk in inline.poll(now)}
        while waiting is not None or busy_until is not None:
            if busy_until is None:
                current, waiting, busy_until = waiting, None, now + latencies[waiting]
            if busy_until > now:
                break
            expected[current], busy_until = now, None
    assert found == expected
    assert len(requests) - 1 in found


def test_without_latency_a_chunk_is_there_in_the_same_tick() -> None:
    inline = planner()
    inline.request(request(4))
    (chunk,) = inline.poll(NOW)
    assert chunk.request_seq == 4
    assert np.array_equal(chunk.actions, ACTIONS)
    assert inline.poll(NOW) == []


def test_a_nanosecond_early_is_too_early() -> None:
    inline = planner(lambda seq: 30 * MS)
    inline.request(request())
    assert inline.poll(NOW + 30 * MS - 1) == []
    assert len(inline.poll(NOW + 30 * MS)) == 1


def test_of_the_requests_that_come_meanwhile_the_newest_is_taken_when_the_planner_is_free() -> None:
    inline = planner([50 * MS, 10 * MS, 30 * MS].__getitem__)
    for seq in range(3):
        inline.request(request(seq))
    assert [chunk.request_seq for chunk in inline.poll(NOW + 60 * MS)] == [0]
    assert inline.poll(NOW + 89 * MS) == []
    (chunk,) = inline.poll(NOW + 90 * MS)
    assert chunk.request_seq == 2


def test_the_chunk_begins_at_the_capture_and_not_at_the_request_or_its_arrival() -> None:
    inline = planner(lambda seq: 70 * MS, front=frame(35), wrist=frame(20, (2, 3)))
    inline.request(request())
    (chunk,) = inline.poll(NOW + 70 * MS)
    assert chunk.t0_ns == NOW - 35 * MS


def test_chunks_are_numbered_from_zero() -> None:
    inline = planner()
    for number, seq in enumerate((5, 6, 9)):
        inline.request(request(seq))
        assert [(chunk.seq, chunk.request_seq) for chunk in inline.poll(NOW)] == [(number, seq)]


@pytest.mark.parametrize("late", [None, frame(500)])
def test_without_a_fresh_frame_there_is_no_chunk_and_the_status_names_the_camera(late) -> None:
    policy = Policy()
    inline = planner(policy=policy, front=late)
    inline.request(request())
    assert inline.poll(NOW + 1_000 * MS) == []
    assert policy.asked == []
    status = inline.status(NOW)
    assert status.up
    assert "camera 'front'" in status.failure


def test_a_frame_that_comes_after_all_puts_the_planner_up_again() -> None:
    shown = cameras(front=None)
    observer = Observer(SPEC, shown, StateReader([], JOINTS, EXTRAS), 100 * MS)
    inline = InlinePlanner(Policy(), observer)
    assert inline.status(NOW) == PlannerStatus(up=True)
    inline.request(request(0))
    assert inline.status(NOW).failure
    shown["front"].frame = frame()
    inline.request(request(1))
    assert inline.status(NOW) == PlannerStatus(up=True)
    assert [chunk.request_seq for chunk in inline.poll(NOW)] == [1]


def test_closing_the_planner_closes_its_policy() -> None:
    policy = Policy()
    planner(policy=policy).close()
    assert policy.closed
