"""A camera whose picture or number no longer changes is frozen, however fresh its stamps are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vla_runtime.core.types import Shot
from vla_runtime.plugins.planners.frozen import FrozenWatch

MS = 1_000_000


def watch(frames: list[tuple[int, int, int | None]], limit_ms: int) -> str:
    """The reason after ``frames``: (capture in ms, seq, mark)."""
    found = FrozenWatch(limit_ms * MS)
    for capture, seq, mark in frames:
        found.see(Shot(capture * MS, seq, lambda: None, mark))
    return found.reason()


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 2)), min_size=1, max_size=60), st.integers(1, 300))
def test_it_is_frozen_exactly_when_one_picture_lasted_longer_than_allowed(steps, limit_ms: int) -> None:
    frames, capture = [], 0
    for seq, (gap, picture) in enumerate(steps):
        capture += gap
        frames.append((capture, seq, picture))
    last = frames[-1][2]
    run = [capture for capture, _, picture in frames]
    for index in range(len(frames) - 1, -1, -1):
        if frames[index][2] != last:
            run = run[index + 1 :]
            break
    still = run[-1] - run[0]
    assert (watch(frames, limit_ms) != "") is (still > limit_ms)


def test_a_frame_number_that_stays_is_as_bad_as_a_picture() -> None:
    frames = [(10 * k, 5, k) for k in range(20)]
    assert watch(frames, 100) == "the same frame number for 190 ms, allowed 100 ms"
    assert watch([(10 * k, k, 5) for k in range(20)], 100) == "the same picture for 190 ms, allowed 100 ms"


def test_a_picture_that_changes_frees_the_camera() -> None:
    assert watch([(10 * k, k, 5) for k in range(20)] + [(200, 20, 6)], 100) == ""


def test_pictures_whose_checksum_is_not_known_are_told_apart_by_their_number() -> None:
    assert watch([(10 * k, k, None) for k in range(20)], 100) == ""
    assert "frame number" in watch([(10 * k, 5, None) for k in range(20)], 100)


def test_a_limit_of_zero_switches_the_watch_off() -> None:
    assert watch([(10 * k, 5, 5) for k in range(2000)], 0) == ""


def test_frames_seen_again_or_late_change_nothing() -> None:
    frames = [(10 * k, k, 5) for k in range(20)]
    assert watch([*frames, (50, 99, 7), frames[-1]], 100) == watch(frames, 100)
