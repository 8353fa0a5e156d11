"""Absolute deadlines: whatever the work takes, deadline k is start + k * period."""

import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_runtime.control.clock import SystemClock, VirtualClock
from vla_runtime.control.rate import Rate
from vla_runtime.core.protocols import Clock

START = 123_456_789


@settings(deadline=None, max_examples=300)
@given(st.integers(1, 50), st.lists(st.integers(0, 200), min_size=1, max_size=60))
def test_deadlines_never_drift_whatever_the_work_takes(period: int, work: list[int]) -> None:
    clock = VirtualClock(START)
    rate = Rate(period, clock.now())
    overruns, skipped = 0, 0
    for duration in work:
        before = rate.deadline_ns
        assert clock.now() == before
        clock.sleep_until(clock.now() + duration)
        deadline = rate.next_deadline(clock.now())
        # The phase is kept, the deadline is not past, and no earlier one was still to come.
        steps, phase = divmod(deadline - before, period)
        assert phase == 0
        assert steps >= 1
        assert deadline >= clock.now()
        assert steps == 1 or deadline - period < clock.now()
        overruns += duration > period
        skipped += steps - 1
        assert (rate.overruns, rate.skipped) == (overruns, skipped)
        clock.sleep_until(deadline)
    assert clock.now() == START + (len(work) + skipped) * period


def test_work_within_the_period_is_never_an_overrun() -> None:
    rate = Rate(10, 0)
    assert [rate.next_deadline(10 * k + spent) for k, spent in enumerate([0, 9, 10, 1])] == [10, 20, 30, 40]
    assert (rate.overruns, rate.skipped) == (0, 0)


def test_an_overrun_skips_what_it_missed_and_keeps_the_phase() -> None:
    rate = Rate(10, 5)
    assert rate.next_deadline(16) == 25
    assert (rate.overruns, rate.skipped) == (1, 1)
    assert rate.next_deadline(61) == 65
    assert (rate.overruns, rate.skipped) == (2, 4)
    assert rate.next_deadline(66) == 75
    assert (rate.overruns, rate.skipped) == (2, 4)


@pytest.mark.parametrize("period", [0, -1])
def test_a_rate_without_a_period_is_refused(period: int) -> None:
    with pytest.raises(ValueError, match=rf"period_ns is {period}, expected at least 1"):
        Rate(period, 0)


def test_virtual_time_moves_only_when_someone_sleeps_and_never_back() -> None:
    clock = VirtualClock(7)
    assert clock.now() == clock.now() == 7
    clock.sleep_until(100)
    assert clock.now() == 100
    clock.sleep_until(50)
    assert clock.now() == 100
    assert VirtualClock().now() == 0


@pytest.mark.parametrize("spin_us", [0, 200])
def test_the_system_clock_never_returns_early_or_goes_back(spin_us: int) -> None:
    clock = SystemClock(spin_us)
    for wait in (0, -1_000_000, 1_000, 2_000_000):
        deadline = clock.now() + wait
        clock.sleep_until(deadline)
        assert clock.now() >= deadline


def test_the_system_clock_sleeps_on_after_a_signal() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: seen.append(number))
    try:
        clock = SystemClock(spin_us=100)
        deadline = clock.now() + 60_000_000
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        clock.sleep_until(deadline)
        assert clock.now() >= deadline
        assert seen
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_both_clocks_are_clocks() -> None:
    assert isinstance(SystemClock(), Clock)
    assert isinstance(VirtualClock(), Clock)
