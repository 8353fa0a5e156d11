"""A LeRobot data set that is not what it says: the error names the file, what was found and what was expected."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from vla_runtime.core.errors import ConfigError, LogError, MissingExtra
from vla_runtime.learn.sets.open import open_set

from .made import LENGTHS, action_of, frames, write_video
from .made_lerobot import edit_feature, edit_info, edit_table, episodes_of, write_v21, write_v30

KEY = "observation.images.top"
TABLE = "data/chunk-000/episode_000001.parquet"
VIDEO = f"videos/chunk-000/{KEY}/episode_000001.mp4"


def refused(path: Path, episode: int = 1, **options: object) -> str:
    """The message with which reading ``episode`` is refused."""
    with pytest.raises(LogError) as caught:
        open_set(path, 4, **options).read(episode)
    return str(caught.value)


def test_a_cut_video_is_named_with_the_row_it_lacks(copy) -> None:
    path = copy("v2.1")
    (path / VIDEO).unlink()
    write_video(path / VIDEO, frames(1, "top", length=3), 30)
    assert refused(path).startswith(
        f"{path / VIDEO} has no frame for row 3: found 3 frames from 0.000 s to 0.067 s, expected one at 0.100 s (of 5"
    )


def test_a_shared_video_that_is_cut_is_named_for_the_episode_that_lacks_frames_only(copy) -> None:
    path = copy("v3.0")
    video = path / f"videos/{KEY}/chunk-000/file-000.mp4"
    video.unlink()
    write_video(video, frames(0, "top"), 30)
    open_set(path, 4).read(0)
    assert f"{video} has no frame for row 0: found " in refused(path)


def test_a_clip_shorter_than_its_rows_is_refused_and_no_frame_of_the_next_episode_is_taken(copy) -> None:
    path = copy("v3.0")
    edit_table(episodes_of(path), **{f"videos__{KEY}__to_timestamp": [7 / 30, 14 / 30, 12 / 30]})
    message = refused(path, episode=0)
    assert "episode 0 takes 0.233 s of it, expected 9 frames at 30 a second, 0.300 s" in message
    assert str(path / f"videos/{KEY}/chunk-000/file-000.mp4") in message


def test_a_video_of_another_rate_is_refused(copy) -> None:
    path = copy("v2.1")
    (path / VIDEO).unlink()
    write_video(path / VIDEO, frames(1, "top"), 15)
    assert f"{path / VIDEO} has no frame for row 1" in refused(path)


def test_a_file_that_is_no_video_is_named(copy) -> None:
    path = copy("v2.1")
    whole = (path / VIDEO).read_bytes()
    (path / VIDEO).write_bytes(whole[: len(whole) // 2])
    assert refused(path).startswith(f"{path / VIDEO} cannot be decoded")


def test_a_missing_video_is_named(copy) -> None:
    path = copy("v2.1")
    (path / VIDEO).unlink()
    assert refused(path) == f"{path / VIDEO} is missing, expected a video with 5 frames"


def test_an_image_of_another_size_is_named(lerobot: str, copy) -> None:
    path = copy(lerobot)
    edit_feature(path, KEY, shape=[64, 48, 3])
    assert "an image of camera 'top' is 32x48, expected 64x48" in refused(path)


def test_a_missing_table_is_named(copy) -> None:
    path = copy("v2.1")
    (path / TABLE).unlink()
    assert refused(path) == f"{path / TABLE} is missing, expected a parquet file"


def test_a_cut_table_is_named(copy) -> None:
    path = copy("v2.1")
    (path / TABLE).write_bytes((path / TABLE).read_bytes()[:200])
    assert refused(path).startswith(f"{path / TABLE} cannot be read: ")


@pytest.mark.parametrize(("column", "values", "said"), [
    ("frame_index", [0, 1, 3, 4, 5], "frame_index of episode 1 is 3 in row 2, expected 2"),
    ("timestamp", [0.0, 1 / 30, 2 / 30, 3 / 30 + 1 / 50, 4 / 30], "row 3 of episode 1 has timestamp 0.1200 s, expected "
     "0.1000 s at 30 a second"),
    ("timestamp", [0.0, 1 / 30, float("nan"), 3 / 30, 4 / 30], "row 2 of episode 1 has timestamp nan s"),
    ("task_index", [1, 1, 7, 1, 1], "task_index 7 is no task of an episode; known: [0, 1]"),
    ("episode_index", [1, 1, 1, 1, 2], "has 4 rows of episode 1, expected 5"),
    ("task_index", [1, 1, None, 1, 1], "task_index is int64 with 1 empty rows, expected numbers"),
    ("action", [*([[0.0, 0.0, 0.0]] * 4), [0.0, float("nan"), 0.0]], "action: row 4, dimension 1 is nan, expected "
     "finite numbers"),
    ("observation.state", [[float("inf"), 0.0], *([[0.0, 0.0]] * 4)], "observation.state: row 0, dimension 0 is inf"),
])  # fmt: skip
def test_a_wrong_table_is_named_with_the_row(column: str, values: list[object], said: str, copy) -> None:
    path = copy("v2.1")
    edit_table(path / TABLE, **{column: values})
    message = refused(path)
    assert message.startswith(str(path / TABLE))
    assert said in message
    open_set(path, 4).read(0)


def test_rows_of_another_place_in_a_shared_table_are_refused(copy) -> None:
    path = copy("v3.0")
    edit_table(episodes_of(path), dataset_from_index=[0, 8, 14], dataset_to_index=[9, 13, 26])
    assert "index of episode 1 is 9 in row 0, expected 8" in refused(path)


def test_vectors_of_another_length_are_refused(copy) -> None:
    path = copy("v2.1")
    edit_feature(path, "action", shape=[4], names=None)
    assert f"{path / TABLE}: action has 3 numbers in row 0, expected 4" in refused(path)


def test_an_image_that_is_not_embedded_or_cut_is_named(tmp_path: Path) -> None:
    path = write_v21(tmp_path / "set", {"top": "png"})
    edit_table(path / TABLE, **{KEY: [{"bytes": None, "path": "a.png"}] * 5})
    assert refused(path) == f"{path / TABLE}: {KEY} holds no image in row 0, expected one embedded as bytes"
    edit_table(path / TABLE, **{KEY: [{"bytes": b"no image", "path": "a.png"}] * 5})
    assert f"{path / TABLE}: {KEY}, row 0: 8 bytes that are no image" in refused(path)


@pytest.mark.parametrize(("changes", "said"), [
    ({"codebase_version": "v1.6"}, "codebase_version 'v1.6', expected one of v2.0, v2.1, v3.0"),
    ({"codebase_version": "v3.1"}, "codebase_version 'v3.1'"),
    ({"fps": 0}, "has fps 0.0"),
    ({"fps": "fast"}, "$.fps"),
    ({"total_episodes": 4}, "says total_episodes 4, found 3"),
    ({"total_frames": 27}, "says total_frames 27, found 26"),
    ({"data_path": "data/{nothing}.parquet"}, "'data/{nothing}.parquet' cannot be filled in"),
    ({"data_path": "../../etc/passwd"}, "expected a path below"),
    ({"video_path": None}, "expected a path below"),
])  # fmt: skip
def test_a_wrong_info_file_is_named(lerobot: str, changes: dict[str, object], said: str, copy) -> None:
    path = copy(lerobot)
    edit_info(path, **changes)
    message = refused(path)
    assert said in message
    assert str(path / "meta/info.json") in message


@pytest.mark.parametrize(("key", "changes", "said"), [
    ("action", {"names": ["a", "b"]}, "has 2 names, expected 3: a, b"),
    ("action", {"names": ["a", "b", "a"]}, "has names twice: a"),
    ("action", {"dtype": "string"}, "is string of shape [3], expected numbers of shape [D]"),
    (KEY, {"shape": [32, 48, 1], "names": None}, "has shape [32, 48, 1], expected height, width and 3 channels"),
])  # fmt: skip
def test_a_wrong_feature_is_named(lerobot: str, key: str, changes: dict[str, object], said: str, copy) -> None:
    path = copy(lerobot)
    edit_feature(path, key, **changes)
    assert f"{path / 'meta/info.json'}: feature {key!r} {said}" in refused(path)


def test_a_missing_feature_is_named_with_those_there_are(lerobot: str, made: dict[str, Path]) -> None:
    message = refused(made[lerobot], action=["actions"])
    assert "has no feature 'actions'; valid: action, episode_index" in message
    assert "did you mean 'action'?" in message


def test_a_column_that_the_info_file_promises_is_missed_in_the_table(lerobot: str, copy) -> None:
    path = copy(lerobot)
    features = json.loads((path / "meta/info.json").read_text())["features"]
    edit_info(path, features=features | {"velocity": {"dtype": "float32", "shape": [2], "names": None}})
    assert "has no column velocity; found: observation.state, action" in refused(path, state=["velocity"])


def test_two_cameras_with_the_same_last_part_are_refused(copy) -> None:
    path = copy("v2.1")
    features = json.loads((path / "meta/info.json").read_text())["features"]
    edit_info(path, features=features | {"observation.depth.top": features[KEY]})
    assert f"{KEY!r} and 'observation.depth.top' have the same last part 'top'" in refused(path)


def test_an_unknown_camera_is_refused_with_those_there_are(lerobot: str, made: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="has no RGB camera 'tops'; valid: top, wrist; did you mean 'top'"):
        open_set(made[lerobot], 4, cameras=["tops"])


@pytest.mark.parametrize(("line", "said"), [
    ('{"episode_index": 1, "length": "five"}', "line 2: Expected `int`, got `str`"),
    ("{", "line 2: Input data was truncated"),
    ('{"episode_index": 0, "length": 9}', "lists episode 0 twice"),
])  # fmt: skip
def test_a_wrong_line_of_the_list_of_episodes_is_named(line: str, said: str, copy) -> None:
    path = copy("v2.1")
    file = path / "meta/episodes.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], line, lines[2]]))
    message = refused(path)
    assert message.startswith(str(file))
    assert said in message


def test_a_task_of_an_episode_that_is_not_listed_is_named(copy) -> None:
    path = copy("v2.1")
    (path / "meta/tasks.jsonl").write_text('{"task_index": 0, "task": "pick it up"}\n')
    assert "an episode's task 'put it down' is not in the data set's list of tasks" in refused(path)


@pytest.mark.parametrize("name", ["meta/tasks.jsonl", "meta/episodes.jsonl"])
def test_a_missing_list_of_v21_is_named(name: str, copy) -> None:
    path = copy("v2.1")
    (path / name).unlink()
    assert str(path / name) in refused(path)


def test_missing_metadata_of_v30_is_named(copy) -> None:
    path = copy("v3.0")
    (path / "meta/tasks.parquet").unlink()
    assert refused(path) == f"{path / 'meta/tasks.parquet'} is missing, expected a parquet file"
    shutil.rmtree(path / "meta/episodes")
    assert str(path / "meta/episodes") in refused(path)


def test_an_episode_without_a_place_is_refused(copy) -> None:
    path = copy("v3.0")
    edit_table(episodes_of(path), data__file_index=[0, None, 1])
    assert refused(path) == f"{episodes_of(path)}: data/file_index is empty for episode 1"


def test_an_episode_listed_twice_is_refused(copy) -> None:
    path = copy("v3.0")
    shutil.copy(episodes_of(path), episodes_of(path).with_name("file-001.parquet"))
    assert "file-001.parquet lists episode 0 a second time" in refused(path)


@pytest.mark.parametrize(("package", "what"), [("pyarrow", "parquet files"), ("av", "videos")])
def test_a_missing_package_says_what_brings_it(
    package: str, what: str, made: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_set(made["v2.1"], 4)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"reading {what} needs .*vla-runtime\[data\]"):
        source.read(0)


def test_a_rate_or_an_instruction_that_contradicts_the_data_set_is_refused(lerobot: str, made: dict[str, Path]) -> None:
    open_set(made[lerobot], 4, rate_hz=30)
    with pytest.raises(ConfigError, match=r"rate_hz 25 given, .* says 30"):
        open_set(made[lerobot], 4, rate_hz=25)
    with pytest.raises(ConfigError, match="holds its own"):
        open_set(made[lerobot], 4, instruction="do it")


def test_what_is_refused_leaves_the_other_episodes_readable(copy) -> None:
    path = copy("v2.1")
    (path / VIDEO).unlink()
    source = open_set(path, 4)
    with pytest.raises(LogError):
        source.read(1)
    action = source.read(2)["vla_action", "chunk"][:, 0].numpy()
    assert np.allclose(action, [action_of(2, row) for row in range(LENGTHS[2])])


def test_a_data_set_without_cameras_has_states_and_actions(tmp_path: Path) -> None:
    for write in (write_v21, write_v30):
        source = open_set(write(tmp_path / write.__name__, {}), 4)
        assert source.facts.cameras == {}
        assert source.read(2).batch_size == (LENGTHS[2],)
