"""Of several cameras those frames are shown that belong together; of those the newest."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from vla_runtime.plugins.planners.match import match

CAPTURES = st.lists(st.integers(0, 60), min_size=1, max_size=6, unique=True).map(sorted)
CAMERAS = st.lists(CAPTURES, min_size=1, max_size=3).map(lambda found: dict(zip("abc", found, strict=False)))


@given(CAMERAS, st.integers(0, 60))
def test_no_set_whose_oldest_frame_is_newer_lies_within_the_skew(cameras: dict[str, list[int]], skew: int) -> None:
    sets = [chosen for chosen in product(*cameras.values()) if max(chosen) - min(chosen) <= skew]
    picked = match(cameras, skew)
    if picked is None:
        assert not sets
        return
    assert max(picked.values()) - min(picked.values()) <= skew
    assert all(capture in cameras[name] for name, capture in picked.items())
    assert min(picked.values()) == max(min(chosen) for chosen in sets)
    best = [chosen for chosen in sets if min(chosen) == min(picked.values())]
    assert all(sum(chosen) <= sum(picked.values()) for chosen in best)


@given(CAMERAS)
def test_where_the_newest_frames_belong_together_it_is_them(cameras: dict[str, list[int]]) -> None:
    newest = {name: found[-1] for name, found in cameras.items()}
    assert match(cameras, max(newest.values()) - min(newest.values())) == newest


def test_no_camera_needs_no_match() -> None:
    assert match({}, 0) == {}
