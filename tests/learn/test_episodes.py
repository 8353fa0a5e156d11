"""A logged episode gives exactly the samples that are whole in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vla_runtime.core.errors import LogError
from vla_runtime.learn.episodes import read_demonstration

from .logs import MS, chunk, picture, spec, state, write_episode


def test_every_chunk_comes_with_its_own_state_frames_and_instruction(tmp_path: Path) -> None:
    found = read_demonstration(write_episode(tmp_path / "a.mcap", (4, 5, 9), instruction="go right"))
    assert found.spec == spec()
    assert [sample.instruction for sample in found.samples] == ["go right"] * 3
    for sample, number in zip(found.samples, (4, 5, 9), strict=True):
        assert np.array_equal(sample.chunk, chunk(number, spec()).actions)
        assert sample.chunk.dtype == np.float32
        assert sample.state.tolist() == [10 + number, 20 + number, number]
        assert sample.frames == {"front": number, "wrist": number}
        assert found.frames.find("wrist", number).pixels().mean() == pytest.approx(number, abs=1)
    assert not found.skipped
    assert not found.truncated


def test_a_cut_file_gives_the_samples_before_the_cut(tmp_path: Path) -> None:
    path = write_episode(tmp_path / "a.mcap", range(1, 9), whole=False)
    data = path.read_bytes()
    counts = []
    for length in range(len(data), len(data) // 2, -200):
        path.write_bytes(data[:length])
        found = read_demonstration(path)
        assert found.truncated
        expected = [chunk(number, spec()).actions for number in range(1, 1 + len(found.samples))]
        assert all(np.array_equal(s.chunk, e) for s, e in zip(found.samples, expected, strict=True))
        counts.append(len(found.samples))
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == 8 > counts[-1] > 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"actions": np.zeros((4, 2), np.float32)}, "chunk of another shape"),
        ({"actions": np.zeros((3, 3), np.float32)}, "chunk of another shape"),
        ({"actions": np.full((3, 2), np.nan, np.float32)}, "chunk not finite"),
        ({"actions": np.full((3, 2), np.inf, np.float32)}, "chunk not finite"),
        ({"dt_ns": 20 * MS}, "chunk of another dt"),
        ({"frames": {"front": 2}}, "frame missing"),
        ({"frames": {"front": 2, "wrist": 77}}, "frame missing"),
        ({"request_seq": 77}, "request missing"),
    ],
)
def test_a_chunk_that_is_no_sample_is_counted_by_its_reason(tmp_path: Path, changes: dict, reason: str) -> None:
    path = write_episode(
        tmp_path / "a.mcap", (1, 2, 3), change=lambda made: replace(made, **changes) if made.seq == 2 else made
    )
    found = read_demonstration(path)
    assert found.skipped == {reason: 1}
    assert [sample.frames["front"] for sample in found.samples] == [1, 3]


def test_a_state_that_cannot_be_read_is_a_reason_too(tmp_path: Path) -> None:
    def odd(number: int):
        broken = {2: np.array([np.nan, 0.0]), 3: np.zeros(3)}
        return replace(state(number), position=broken.get(number, state(number).position))

    found = read_demonstration(write_episode(tmp_path / "a.mcap", (1, 2, 3), state_of=odd))
    assert len(found.samples) == 1
    assert set(found.skipped) == {"state not finite", "a state of 3 joints and 1 extras, the robot has (2, 1)"}


def test_a_frame_of_another_size_is_a_reason_too(tmp_path: Path) -> None:
    def odd(camera, number: int):
        return picture(replace_size(camera) if number == 2 and camera.name == "wrist" else camera, number)

    def replace_size(camera):
        return type(camera)(camera.name, camera.height + 1, camera.width)

    found = read_demonstration(write_episode(tmp_path / "a.mcap", (1, 2, 3), picture_of=odd))
    assert found.skipped == {"frame of another size": 1}


@pytest.mark.parametrize(
    "metadata", [{"spec": ""}, {"spec": "{}"}, {"config": "[]"}, {"config": '{"joints": 1}'}], ids=str
)
def test_a_log_that_does_not_say_what_it_was_is_refused(tmp_path: Path, metadata: dict[str, str]) -> None:
    with pytest.raises(LogError, match=r"a\.mcap does not say what its robot and its policy's contract were"):
        read_demonstration(write_episode(tmp_path / "a.mcap", metadata=metadata))


def test_the_state_of_a_sample_is_the_one_that_was_shown(tmp_path: Path) -> None:
    path = write_episode(tmp_path / "a.mcap", (4, 5), change=lambda made: replace(made, state=state(made.seq - 0.5)))
    assert [sample.state.tolist() for sample in read_demonstration(path).samples] == [
        [13.5, 23.5, 3.5],
        [14.5, 24.5, 4.5],
    ]
