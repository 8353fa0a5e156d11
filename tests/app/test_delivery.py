"""A frame's fate is what the camera's latency, jitter and drop say, and a pure function of seed, camera and number."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_runtime.app.delivery import Delivery
from vla_runtime.core.protocols import DeviceCamera

MS = 1_000_000
times = st.integers(0, 10**12)
seeds = st.integers(0, 2**32 - 1)
numbers = st.integers(0, 2**40)


def delivery(name="front", seed=0, latency_ns=0, jitter_ns=0, drop=0.0):
    return Delivery(DeviceCamera(name, 8, 8, 30.0, latency_ns, jitter_ns, drop), seed)


def fates(of, count=4000):
    return [of.arrival_ns(seq, 0) for seq in range(count)]


@given(seeds, numbers, times, times, times)
def test_a_frame_arrives_after_the_latency_and_within_the_jitter(seed, seq, capture_ns, latency_ns, jitter_ns):
    arrival_ns = delivery(seed=seed, latency_ns=latency_ns, jitter_ns=jitter_ns).arrival_ns(seq, capture_ns)
    assert capture_ns + latency_ns <= arrival_ns <= capture_ns + latency_ns + max(0, jitter_ns - 1)


@given(seeds, numbers, times)
def test_a_camera_that_is_not_simulated_delivers_every_frame_at_its_capture(seed, seq, capture_ns):
    assert delivery(seed=seed).arrival_ns(seq, capture_ns) == capture_ns


@given(seeds, numbers)
def test_with_drop_1_nothing_arrives(seed, seq):
    assert delivery(seed=seed, drop=1.0).arrival_ns(seq, 0) is None


@given(seeds, st.lists(numbers, min_size=1, max_size=50), times)
def test_a_fate_depends_neither_on_what_was_asked_before_nor_on_the_capture(seed, asked, capture_ns):
    same = delivery(seed=seed, latency_ns=5, jitter_ns=1000, drop=0.5)
    for seq in asked:
        alone = delivery(seed=seed, latency_ns=5, jitter_ns=1000, drop=0.5).arrival_ns(seq, 0)
        assert same.arrival_ns(seq, capture_ns) == (None if alone is None else alone + capture_ns)


@given(seeds, numbers, st.floats(0, 1), st.floats(0, 1))
def test_a_frame_lost_at_one_drop_is_lost_at_every_higher_one_and_else_arrives_at_the_same_time(seed, seq, one, other):
    low, high = sorted((one, other))
    rare, often = (delivery(seed=seed, jitter_ns=MS, drop=drop).arrival_ns(seq, 0) for drop in (low, high))
    assert often in (None, rare)


@pytest.mark.parametrize("drop", [0.01, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(5))
def test_frames_are_lost_as_often_as_the_drop_says(drop, seed):
    lost = fates(delivery(seed=seed, drop=drop)).count(None) / 4000
    assert abs(lost - drop) < 5 * (drop * (1 - drop) / 4000) ** 0.5


@pytest.mark.parametrize("seed", range(5))
def test_the_jitter_is_uniform(seed):
    tenths = [arrival_ns * 10 // MS for arrival_ns in fates(delivery(seed=seed, jitter_ns=MS))]
    for tenth in range(10):
        assert abs(tenths.count(tenth) / 4000 - 0.1) < 5 * (0.1 * 0.9 / 4000) ** 0.5


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"name": "front"}, {"name": "wrist"}),
        ({"seed": 0}, {"seed": 1}),
        ({"name": "a", "seed": 11}, {"name": "1 a", "seed": 1}),
    ],
)
def test_cameras_and_seeds_are_independent(one, other):
    """Half is lost by each, so two independent ones agree on half."""
    first, second = (fates(delivery(drop=0.5, jitter_ns=MS, **which)) for which in (one, other))
    agree = sum((a is None) == (b is None) for a, b in zip(first, second, strict=True)) / 4000
    assert abs(agree - 0.5) < 5 * 0.5 / 4000**0.5
    both = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    assert not any(a == b for a, b in both[:100])


def test_with_more_jitter_than_a_period_frames_overtake_each_other():
    of = delivery(jitter_ns=100 * MS)
    arrivals = [of.arrival_ns(seq, seq * 33 * MS) for seq in range(100)]
    assert arrivals != sorted(arrivals)


def test_another_process_sees_the_same_fates():
    code = (
        "from vla_runtime.app.delivery import Delivery; from vla_runtime.core.protocols import DeviceCamera;"
        "of = Delivery(DeviceCamera('front', 8, 8, 30.0, 7, 1000, 0.3), 5);"
        "print([of.arrival_ns(seq, 0) for seq in range(50)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    ours = delivery(seed=5, latency_ns=7, jitter_ns=1000, drop=0.3)
    assert done.stdout.strip() == str(fates(ours, 50))


@pytest.mark.parametrize("wrong", [{"latency_ns": -1}, {"jitter_ns": -1}, {"drop": -0.1}, {"drop": 1.1},
                                   {"drop": float("nan")}])  # fmt: skip
def test_times_and_drops_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=r"camera 'front' with latency .* expected times of at least 0"):
        delivery(**wrong)
