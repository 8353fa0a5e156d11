"""What a reduced file is calibrated on and judged with comes from logs, evenly, and from the policy's own robot."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("torch")

from exporters.precision.observations import read_observations
from vla_runtime.core.errors import LogError
from vla_runtime.core.spec import CameraSpec, PolicySpec, StateSpec

from ..learn.logs import TEXTS, spec, write_episode


def numbers(observations) -> list[int]:
    """Which samples they are: the writer puts a sample's number into its state and its pictures."""
    return [round(float(one.state[2])) for one in observations]


def test_episodes_are_calibrated_on_or_judged_with_never_both(tmp_path: Path) -> None:
    for episode in range(6):
        write_episode(tmp_path / f"{episode}.mcap", range(10 * episode + 1, 10 * episode + 9))
    found = read_observations(tmp_path, spec(), frames=12)
    assert len(found.calibrate) == len(found.judge) == 6
    assert {number // 10 for number in numbers(found.calibrate)} == {0, 2, 4}
    assert {number // 10 for number in numbers(found.judge)} == {1, 3, 5}
    assert len({number % 10 for number in numbers([*found.calibrate, *found.judge])}) >= 6
    one = found.calibrate[0]
    assert {name: image.shape for name, image in one.images.items()} == {"front": (12, 20, 3), "wrist": (9, 7, 3)}
    assert abs(float(one.images["front"].mean()) - numbers([one])[0]) < 3
    assert one.instruction == TEXTS[0]


def test_of_many_episodes_only_as_many_as_needed_are_read(tmp_path: Path) -> None:
    for episode in range(5):
        write_episode(tmp_path / f"{episode}.mcap", [10 * episode + 1, 10 * episode + 2])
    for passed_over in ("1", "3"):
        (tmp_path / f"{passed_over}.mcap").write_bytes(b"junk")
    found = read_observations(tmp_path, spec(), frames=2)
    assert [number // 10 for number in numbers([*found.calibrate, *found.judge])] == [0, 2]


def test_an_episode_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    write_episode(tmp_path / "a.mcap", range(1, 5))
    (tmp_path / "b.mcap").write_bytes(b"junk")
    found = read_observations(tmp_path, spec())
    assert sorted(numbers([*found.calibrate, *found.judge])) == [1, 2, 3, 4]


def test_one_episode_is_shared_out_frame_by_frame(tmp_path: Path) -> None:
    write_episode(tmp_path / "a.mcap", range(1, 9))
    found = read_observations(tmp_path, spec())
    assert not set(numbers(found.calibrate)) & set(numbers(found.judge))
    assert sorted(numbers([*found.calibrate, *found.judge])) == list(range(1, 9))


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        (spec(cameras=(CameraSpec("front", 12, 20), CameraSpec("wrist", 9, 8))), r"cameras .*9, 7.*expected .*9, 8"),
        (spec(cameras=(CameraSpec("front", 12, 20), CameraSpec("top", 9, 7))), r"cameras .*expected .*top"),
        (spec(state=(StateSpec("turn.position", "rad"),)), r"state inputs .*lift.*expected"),
    ],
)
def test_episodes_of_another_robot_are_refused(tmp_path: Path, contract: PolicySpec, message: str) -> None:
    write_episode(tmp_path / "a.mcap", range(1, 5))
    with pytest.raises(LogError, match=message):
        read_observations(tmp_path, contract)


def test_too_little_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="is no directory"):
        read_observations(tmp_path / "none", spec())
    with pytest.raises(LogError, match=r"there is no file \*\.mcap in it"):
        read_observations(tmp_path, spec())
    write_episode(tmp_path / "a.mcap", [1], instruction=TEXTS[1])
    with pytest.raises(LogError, match="holds 1 observations to calibrate on, expected at least 2"):
        read_observations(tmp_path, spec())
    alone = msgspec.structs.replace(spec().instruction, texts=("go up",))
    with pytest.raises(LogError, match=r"'go right', expected one of 'go up'"):
        read_observations(tmp_path, spec(instruction=alone))


def test_pictures_are_what_was_captured(tmp_path: Path) -> None:
    write_episode(tmp_path / "a.mcap", [100, 200])
    found = read_observations(tmp_path, spec())
    for one in (*found.calibrate, *found.judge):
        assert one.images["wrist"].dtype == np.uint8
        assert np.abs(one.images["wrist"].astype(int) - numbers([one])[0]).max() <= 3
