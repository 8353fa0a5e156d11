"""The delay estimate: the largest of the last ten, and no single slow one is held forever."""

from hypothesis import given, settings
from hypothesis import strategies as st

from vla_runtime.control.delay import DelayEstimate

WINDOW = 1_000


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 10_000)), max_size=40), st.integers(0, 1_500))
def test_the_estimate_is_the_largest_of_the_last_ten_inside_the_window(
    samples: list[tuple[int, int]], wait: int
) -> None:
    estimate = DelayEstimate(window_ns=WINDOW)
    now, added = 0, []
    for gap, delay in samples:
        now += gap
        estimate.add(delay, now)
        added.append((now, delay))
        assert estimate.at(now) == max(d for at, d in added[-10:] if now - at <= WINDOW)
    now += wait
    assert estimate.at(now) == max((d for at, d in added[-10:] if now - at <= WINDOW), default=0)


def test_there_is_no_delay_before_the_first_answer() -> None:
    assert DelayEstimate().at(0) == 0


def test_one_slow_start_is_forgotten_after_ten_answers() -> None:
    estimate = DelayEstimate()
    estimate.add(900, 0)
    for k in range(9):
        estimate.add(10, k)
        assert estimate.at(k) == 900
    estimate.add(10, 9)
    assert estimate.at(9) == 10


def test_one_slow_start_is_forgotten_after_the_window() -> None:
    estimate = DelayEstimate(window_ns=WINDOW)
    estimate.add(900, 0)
    assert estimate.at(WINDOW) == 900
    assert estimate.at(WINDOW + 1) == 0
