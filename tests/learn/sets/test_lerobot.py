"""LeRobot data sets, v2.1 and v3.0: what is read is what was written, row by row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from vla_runtime.core.instructions import sha1_mod
from vla_runtime.learn.keys import CHUNK, IMAGE, INSTRUCTION_ID, IS_PAD, STATE
from vla_runtime.learn.sets.open import open_set

from .made import ACTIONS, CAMERAS, HEIGHT, LENGTHS, STATES, TEXTS, WIDTH, action_of, state_of, task_of, told_by
from .made_lerobot import edit_feature, edit_info, edit_table, episodes_of, write_v21, write_v30

H = 8
EPISODES = range(len(LENGTHS))


def seen(data: torch.Tensor) -> list[tuple[int, int, str]]:
    return [told_by(image) for image in data.numpy()]


def test_the_facts_are_those_of_the_files(lerobot: str, made: dict[str, Path]) -> None:
    source = open_set(made[lerobot], H, units="rad")
    assert source.lengths == list(LENGTHS)
    facts = source.facts
    assert facts.name == "blocks"
    assert facts.actions == dict.fromkeys(ACTIONS, "rad")
    assert facts.state == dict.fromkeys(STATES, "rad")
    assert facts.cameras == dict.fromkeys(CAMERAS, (HEIGHT, WIDTH))
    assert facts.instructions == list(TEXTS)
    assert (facts.dt_ns, facts.chunk_length, facts.state_time) == (33_333_333, H, "capture")


def test_every_row_has_its_own_state_instruction_and_first_action(lerobot: str, made: dict[str, Path]) -> None:
    source = open_set(made[lerobot], H)
    for episode in EPISODES:
        data = source.read(episode)
        steps = range(LENGTHS[episode])
        assert data.batch_size == (LENGTHS[episode],)
        assert torch.equal(data[STATE], torch.tensor([state_of(episode, row) for row in steps]))
        assert torch.equal(data[CHUNK][:, 0], torch.tensor([action_of(episode, row) for row in steps]))
        expected = sha1_mod(TEXTS[task_of(episode)], source.facts.text_vocab)
        assert data[INSTRUCTION_ID].tolist() == [expected] * LENGTHS[episode]
        assert data[INSTRUCTION_ID].dtype == torch.int64


def test_a_chunk_never_leaves_its_episode(lerobot: str, made: dict[str, Path]) -> None:
    source = open_set(made[lerobot], H)
    for episode in EPISODES:
        data, last = source.read(episode), LENGTHS[episode] - 1
        assert data[CHUNK].shape == (LENGTHS[episode], H, len(ACTIONS))
        for row in range(LENGTHS[episode]):
            rows = [action_of(episode, min(row + ahead, last)) for ahead in range(H)]
            assert torch.equal(data[CHUNK][row], torch.tensor(rows))
            assert data[IS_PAD][row].tolist() == [row + ahead > last for ahead in range(H)]


@pytest.mark.parametrize("kind", ["video", "png", "jpeg"])
@pytest.mark.parametrize("write", [write_v21, write_v30])
def test_frames_belong_to_their_rows(write: Callable[..., Path], kind: str, tmp_path: Path) -> None:
    source = open_set(write(tmp_path / "set", {"top": kind, "wrist": "png"}), H)
    for episode in reversed(EPISODES):
        data = source.read(episode)
        for camera in CAMERAS:
            assert data[IMAGE][camera].dtype == torch.uint8
            assert data[IMAGE][camera].shape == (LENGTHS[episode], 3, HEIGHT, WIDTH)
            assert seen(data[IMAGE][camera]) == [(episode, row, camera) for row in range(LENGTHS[episode])]


@pytest.mark.parametrize("fps", [7, 50])
def test_frames_belong_to_their_rows_at_any_rate(fps: int, tmp_path: Path) -> None:
    source = open_set(write_v30(tmp_path / "set", {"top": "video"}, fps), H)
    assert source.facts.dt_ns == round(1e9 / fps)
    for episode in EPISODES:
        assert seen(source.read(episode)[IMAGE]["top"]) == [(episode, row, "top") for row in range(LENGTHS[episode])]


def test_the_order_of_cameras_does_not_matter(lerobot: str, made: dict[str, Path]) -> None:
    one, other = (open_set(made[lerobot], H, cameras=order) for order in (CAMERAS, CAMERAS[::-1]))
    assert list(one.facts.cameras) == list(CAMERAS)
    assert list(other.facts.cameras) == list(CAMERAS[::-1])
    for camera in CAMERAS:
        assert torch.equal(one.read(1)[IMAGE][camera], other.read(1)[IMAGE][camera])


def test_only_the_cameras_that_are_wanted_are_read(lerobot: str, copy) -> None:
    path = copy(lerobot)
    for video in path.glob("videos/**/*.mp4"):
        if "top" in str(video):
            video.unlink()
    data = open_set(path, H, cameras=["wrist"]).read(2)
    assert list(data[IMAGE].keys()) == ["wrist"]


def test_a_depth_camera_is_left_out(lerobot: str, copy) -> None:
    path = copy(lerobot)
    edit_feature(path, "observation.images.wrist", info={"video.is_depth_map": True}, shape=[HEIGHT, WIDTH, 1])
    source = open_set(path, H)
    assert list(source.facts.cameras) == ["top"]
    assert list(source.read(0)[IMAGE].keys()) == ["top"]


def test_images_are_resized_by_area(tmp_path: Path) -> None:
    path = write_v21(tmp_path / "set", {"top": "png"})
    source = open_set(path, H, size=(HEIGHT // 4, WIDTH // 4))
    assert source.facts.cameras == {"top": (HEIGHT // 4, WIDTH // 4)}
    small = source.read(2)[IMAGE]["top"].double()
    large = open_set(path, H).read(2)[IMAGE]["top"].double()
    means = large.reshape(LENGTHS[2], 3, HEIGHT // 4, 4, WIDTH // 4, 4).mean((3, 5))
    assert (small - means).abs().max() <= 0.5


def test_shapes_may_be_written_channels_first(lerobot: str, copy) -> None:
    path = copy(lerobot)
    edit_feature(path, "observation.images.top", shape=[3, HEIGHT, WIDTH], names=["channels", "height", "width"])
    edit_feature(path, "observation.images.wrist", shape=[3, HEIGHT, WIDTH], names=None)
    assert open_set(path, H).facts.cameras == dict.fromkeys(CAMERAS, (HEIGHT, WIDTH))


@pytest.mark.parametrize(("names", "expected"), [
    (None, ["action_0", "action_1", "action_2"]),
    ([["a", "b", "c"]], ["a", "b", "c"]),
    ({"motors": ["a", "b", "c"]}, ["a", "b", "c"]),
    ({"left": ["a", "b"], "right": ["a"]}, ["left.a", "left.b", "right.a"]),
    ({"c": 2, "a": 0, "b": 1}, ["a", "b", "c"]),
])  # fmt: skip
def test_names_come_in_every_spelling(names: object, expected: list[str], copy) -> None:
    path = copy("v2.1")
    edit_feature(path, "action", names=names)
    assert list(open_set(path, H).facts.actions) == expected


def test_several_features_make_one_vector(lerobot: str, made: dict[str, Path]) -> None:
    source = open_set(made[lerobot], H, state=["observation.state", "action"])
    assert list(source.facts.state) == [*STATES, *ACTIONS]
    row = source.read(1)[STATE][3]
    assert row.tolist() == pytest.approx([*state_of(1, 3), *action_of(1, 3)])


def test_only_tasks_that_were_done_are_instructions(copy) -> None:
    path = copy("v2.1")
    tasks = path / "meta" / "tasks.jsonl"
    tasks.write_text(tasks.read_text() + '{"task_index": 2, "task": "never done"}\n')
    assert open_set(path, H).facts.instructions == list(TEXTS)


def test_version_2_0_is_read_like_2_1(copy) -> None:
    path = copy("v2.1")
    edit_info(path, codebase_version="v2.0")
    assert open_set(path, H).lengths == list(LENGTHS)


def test_episodes_may_lie_in_any_order_of_the_list(copy) -> None:
    path = copy("v2.1")
    lines = path / "meta" / "episodes.jsonl"
    lines.write_text("\n".join(reversed(lines.read_text().splitlines())))
    source = open_set(path, H)
    assert source.lengths == list(LENGTHS)
    assert seen(source.read(1)[IMAGE]["top"])[0] == (1, 0, "top")


def test_a_clip_that_begins_between_two_frames_is_matched_to_the_nearest(copy) -> None:
    path = copy("v3.0")
    begin = [0.3 / 30, (9 - 0.3) / 30, 0.3 / 30]
    edit_table(episodes_of(path), **{"videos__observation.images.top__from_timestamp": begin})
    source = open_set(path, H, cameras=["top"])
    for episode in (0, 1):
        assert seen(source.read(episode)[IMAGE]["top"]) == [(episode, row, "top") for row in range(LENGTHS[episode])]


def test_reading_twice_gives_the_same(lerobot: str, made: dict[str, Path]) -> None:
    source = open_set(made[lerobot], H)
    once, again = source.read(1), source.read(1)
    assert bool((once == again).all())
    assert not np.shares_memory(once[IMAGE]["top"].numpy(), again[IMAGE]["top"].numpy())
