"""Quantiles within 1 % of the sorted list's, and merging is concatenating."""

from math import ceil

from hypothesis import given, settings
from hypothesis import strategies as st

from vla_runtime.control.histogram import Histogram

LARGEST = 1 << 42
values = st.one_of(st.integers(0, 300), st.integers(0, LARGEST), st.integers(0, 42).map(lambda power: 1 << power))
# Multiples of 1/1024, so that q times a count is exact.
shares = st.integers(0, 1024).map(lambda k: k / 1024)


def filled(numbers) -> Histogram:
    histogram = Histogram()
    for number in numbers:
        histogram.add(number)
    return histogram


def facts(histogram: Histogram):
    return histogram.count, histogram.largest, [histogram.quantile(k / 64) for k in range(65)]


@settings(deadline=None, max_examples=100)
@given(st.lists(values, min_size=1, max_size=80), st.lists(shares, min_size=1, max_size=5))
def test_a_quantile_is_within_one_percent_of_the_exact_one(numbers: list[int], qs: list[float]) -> None:
    histogram = filled(numbers)
    ranked = sorted(numbers)
    for q in [*qs, 0.0, 1.0]:
        exact = ranked[max(ceil(q * len(ranked)), 1) - 1]
        found = histogram.quantile(q)
        assert found is not None
        assert abs(found - exact) <= 0.01 * exact
    assert histogram.count == len(numbers)
    assert histogram.largest == ranked[-1]


@settings(deadline=None, max_examples=50)
@given(st.lists(values, max_size=30), st.lists(values, max_size=30))
def test_merging_two_equals_recording_both_in_one(first: list[int], second: list[int]) -> None:
    merged = filled(first)
    merged.merge(filled(second))
    assert facts(merged) == facts(filled(first + second))


def test_small_values_are_exact() -> None:
    for value in range(128):
        assert filled([value]).quantile(0.5) == value


def test_an_empty_histogram_knows_no_quantile() -> None:
    assert Histogram().quantile(0.5) is None
    assert (Histogram().count, Histogram().largest) == (0, 0)


def test_what_is_out_of_range_counts_as_the_nearest_that_is_not() -> None:
    assert filled([-5]).quantile(1.0) == 0
    assert filled([LARGEST * 1000]).quantile(1.0) == LARGEST


def test_no_quantile_is_above_the_largest_value() -> None:
    for value in (129, 1_000_003, 20_000_001):
        histogram = filled([value] * 3)
        assert histogram.quantile(1.0) <= value


@settings(deadline=None, max_examples=50)
@given(st.lists(values, max_size=80), st.lists(st.integers(0, 2 * LARGEST), min_size=1, max_size=6))
def test_a_cumulative_count_is_right_for_a_bound_moved_by_one_percent(numbers: list[int], bounds: list[int]) -> None:
    for bound, found in zip(bounds, filled(numbers).cumulative(bounds), strict=True):
        least, most = (sum(number <= bound * factor for number in numbers) for factor in (0.99, 1.01))
        assert least <= found <= most


@settings(deadline=None, max_examples=50)
@given(st.lists(values, max_size=80))
def test_the_total_is_within_one_percent(numbers: list[int]) -> None:
    assert abs(filled(numbers).total() - sum(numbers)) <= 0.01 * sum(numbers)


def test_a_cleared_histogram_is_an_empty_one() -> None:
    histogram = filled([1, 2, 10**9])
    histogram.clear()
    assert facts(histogram) == facts(Histogram())
    histogram.add(7)
    assert facts(histogram) == facts(filled([7]))


def test_a_count_is_that_of_the_values_even_for_those_out_of_range() -> None:
    assert filled([-1, -(1 << 60), 0, 5, 1 << 60, LARGEST, LARGEST + 1]).count == 7
