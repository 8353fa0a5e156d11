"""Another machine's clock is known to within what is said, however it is set, drifts, and however late answers come."""

from __future__ import annotations

import time

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from vla_runtime.wire.clock import ClockClient, ClockService, Ping, encode
from vla_runtime.wire.offset import MAX_DRIFT, ClockOffset, Offset
from vla_runtime.wire.sockets import open_socket

MS = 1_000_000
HOUR = 3_600_000_000_000


class Foreign:
    """A clock an hour ahead that runs ``drift`` too fast."""

    def __init__(self, drift: float = 0.0, ahead_ns: int = HOUR) -> None:
        self.drift, self.ahead_ns, self.start_ns = drift, ahead_ns, time.monotonic_ns()

    def at(self, now_ns: int) -> int:
        return now_ns + self.ahead_ns + round(self.drift * (now_ns - self.start_ns))

    def __call__(self) -> int:
        return self.at(time.monotonic_ns())


EXCHANGES = st.lists(
    st.tuples(st.integers(0, 3_000 * MS), st.integers(0, 50 * MS), st.integers(0, 50 * MS)), min_size=1, max_size=40
)


@given(EXCHANGES, st.floats(-0.9 * MAX_DRIFT, 0.9 * MAX_DRIFT), st.integers(-(10**18), 10**18), st.integers(0, 10**11))
def test_the_true_offset_is_never_outside_what_is_said(exchanges, drift: float, ahead_ns: int, later_ns: int) -> None:
    """``exchanges``: pause before it, way there, way back."""
    clock, now = ClockOffset(), 10**15
    start = now

    def true(at_ns: int) -> int:
        return ahead_ns + round(drift * (at_ns - start))

    shortest = 10**18
    for pause, there, back in exchanges:
        now += pause
        heard = now + there
        clock.exchange(now, heard + true(heard), heard + back)
        now = heard + back
        shortest = min(shortest + 2 * MAX_DRIFT * (pause + there + back) + 8, there + back)
        found = clock.at(now)
        assert abs(found.ns - true(now)) <= found.error_ns + 1
        assert found.error_ns <= shortest / 2 + MAX_DRIFT * 100 * MS + 8
    found = clock.at(now + later_ns)
    assert abs(found.ns - true(now + later_ns)) <= found.error_ns + 1
    assert clock.steps == 0


def test_nothing_is_known_before_the_first_exchange() -> None:
    assert ClockOffset().at(0) is None


def test_an_error_grows_with_the_drift_that_is_allowed() -> None:
    clock = ClockOffset()
    clock.exchange(0, HOUR, 2 * MS)
    assert clock.at(2 * MS) == Offset(HOUR - MS, MS + round(MAX_DRIFT * 2 * MS) + 2)
    assert clock.at(2 * MS + 10**10).error_ns == pytest.approx(MS + MAX_DRIFT * 10**10, abs=500)


@given(st.integers(-HOUR, HOUR).filter(lambda jump: abs(jump) > 10 * MS))
def test_a_clock_that_is_set_is_followed_from_the_next_exchange_on(jump: int) -> None:
    clock = ClockOffset()
    for k in range(5):
        clock.exchange(k * 100 * MS, HOUR + k * 100 * MS, k * 100 * MS + MS)
    clock.exchange(10**9, HOUR + jump + 10**9, 10**9 + MS)
    assert clock.steps == 1
    assert abs(clock.at(10**9 + MS).ns - HOUR - jump) <= MS


def test_an_exchange_that_cannot_be_is_passed_over() -> None:
    clock = ClockOffset()
    clock.exchange(10, 5, 9)  # heard before it was asked
    assert clock.at(20) is None


@pytest.mark.parametrize("drift", [0.0, 150e-6, -150e-6])
def test_a_clock_an_hour_away_is_measured_over_a_socket_to_within_the_error_that_is_said(tmp_path, drift) -> None:
    foreign = Foreign(drift)
    service = ClockService(f"ipc://{tmp_path}/clock", foreign)
    client = ClockClient(f"ipc://{tmp_path}/clock")
    try:
        end = time.monotonic() + 30
        for _ in range(20):
            while (found := client.at(now := time.monotonic_ns())) is None or found.error_ns > 5 * MS:
                assert time.monotonic() < end
                time.sleep(0.01)
            assert abs(found.ns - (foreign.at(now) - now)) <= found.error_ns + 1
            time.sleep(0.05)
        foreign.ahead_ns -= 2 * HOUR
        while client.steps == 0:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert abs(client.at(now := time.monotonic_ns()).ns - (foreign.at(now) - now)) <= 1_000 * MS
    finally:
        client.close()
        service.close()


def test_a_clock_service_that_comes_later_is_found_and_garbage_does_not_end_it(tmp_path) -> None:
    client = ClockClient(f"ipc://{tmp_path}/clock")
    time.sleep(0.05)
    assert client.at(time.monotonic_ns()) is None
    service = ClockService(f"ipc://{tmp_path}/clock")
    stranger = open_socket(zmq.Context.instance(), zmq.DEALER, connect=f"ipc://{tmp_path}/clock")
    stranger.send(b"\xc1")
    stranger.send_multipart([b"a", encode(Ping(1))])
    stranger.close(100)
    try:
        end = time.monotonic() + 30
        while client.at(time.monotonic_ns()) is None:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert abs(client.at(now := time.monotonic_ns()).ns) <= client.at(now).error_ns
    finally:
        client.close()
        service.close()
