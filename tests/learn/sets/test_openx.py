"""Open X-Embodiment as torchrl stores it: written by torchrl's own code, read the same by both."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from tensordict import TensorDict

from vla_runtime.core.errors import ConfigError, LogError
from vla_runtime.core.instructions import sha1_mod
from vla_runtime.learn.keys import CHUNK, IMAGE, INSTRUCTION_ID, IS_PAD, STATE
from vla_runtime.learn.sets.open import open_set

from .made import HEIGHT, LENGTHS, TEXTS, WIDTH, action_of, state_of, task_of, told_by
from .made_openx import NAME, openx

EPISODES = range(len(LENGTHS))


def test_the_facts_are_those_of_the_files(made: dict[str, Path]) -> None:
    source = open_set(made["openx"], 4, rate_hz=5, units="m")
    assert source.lengths == list(LENGTHS)
    facts = source.facts
    assert facts.name == NAME
    assert facts.actions == {"action_0": "m", "action_1": "m", "action_2": "m"}
    assert facts.state == {"state_0": "m", "state_1": "m"}
    assert facts.cameras == {"image": (HEIGHT, WIDTH)}
    assert facts.instructions == sorted(TEXTS)
    assert (facts.dt_ns, facts.chunk_length, facts.state_time) == (200_000_000, 4, "capture")


def test_every_row_is_as_it_was_written_and_chunks_stay_in_their_episode(made: dict[str, Path]) -> None:
    source = open_set(made["openx"], 4, rate_hz=5)
    for episode in reversed(EPISODES):
        data, length = source.read(episode), LENGTHS[episode]
        assert data.batch_size == (length,)
        assert [told_by(image)[:2] for image in data[IMAGE]["image"].numpy()] == [
            (episode, row) for row in range(length)
        ]
        assert torch.equal(data[STATE], torch.tensor([state_of(episode, row) for row in range(length)]))
        expected = sha1_mod(TEXTS[task_of(episode)], source.facts.text_vocab)
        assert data[INSTRUCTION_ID].tolist() == [expected] * length
        for row in range(length):
            rows = [action_of(episode, min(row + ahead, length - 1)) for ahead in range(4)]
            assert torch.equal(data[CHUNK][row], torch.tensor(rows))
            assert data[IS_PAD][row].tolist() == [row + ahead >= length for ahead in range(4)]


def test_torchrls_own_replay_buffer_holds_the_same(made: dict[str, Path]) -> None:
    with warnings.catch_warnings():
        # Of a pickle, which we do not load.
        warnings.simplefilter("ignore", FutureWarning)
        buffer = openx.OpenXExperienceReplay(NAME, root=made["openx"].parent, download=False, streaming=False)
    theirs = buffer[:]
    source = open_set(made["openx"], 1, rate_hz=5)
    ours = torch.cat([source.read(episode) for episode in EPISODES])
    assert torch.equal(ours[IMAGE]["image"], theirs["observation", "image"])
    assert torch.equal(ours[STATE], theirs["observation", "state"].float())
    assert torch.equal(ours[CHUNK][:, 0], theirs["action"].float())
    assert theirs["episode"].unique_consecutive(return_counts=True)[1].tolist() == source.lengths


def test_images_are_resized_and_stay_in_order(made: dict[str, Path]) -> None:
    source = open_set(made["openx"], 4, rate_hz=5, size=(16, 24))
    assert source.facts.cameras == {"image": (16, 24)}
    images = source.read(2)[IMAGE]["image"].numpy()
    assert [told_by(image)[:2] for image in images] == [(2, row) for row in range(LENGTHS[2])]


def test_no_pickle_is_ever_loaded(copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = copy("openx")
    pickles = list(path.glob("**/pickle.pkl"))
    assert pickles
    for file in pickles:
        file.write_bytes(b"cposix\nsystem\n(S'touch pwned'\ntR.")
    source = open_set(path, 4, rate_hz=5)
    for episode in EPISODES:
        source.read(episode)
    assert list(source.facts.cameras) == ["image"]
    assert not (tmp_path / "pwned").exists()


def test_an_instruction_that_is_a_pickle_is_refused(copy) -> None:
    path = copy("openx")
    meta = path / "language_instruction/meta.json"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"data": "pickle.pkl"}))
    (meta.parent / "pickle.pkl").write_bytes(b"")
    with pytest.raises(LogError, match="language_instruction is a pickle"):
        open_set(path, 4, rate_hz=5)


def in_parts(path: Path) -> Path:
    """A data set whose action is in parts and that names its instruction in the observation."""
    steps = 7
    data = TensorDict(
        {
            "observation": {"pose": torch.arange(2.0 * steps).reshape(steps, 2)},
            "action": {
                "world": torch.arange(3.0 * steps).reshape(steps, 3),
                "grip": torch.ones(steps),
                "terminate": torch.zeros(steps, 3, dtype=torch.int32),
            },
            "episode": torch.tensor([0, 0, 0, 4, 4, 4, 4], dtype=torch.int32),
            "next": {"done": torch.tensor([0, 0, 1, 0, 0, 0, 1], dtype=torch.bool)[:, None]},
        },
        [steps],
    )
    data.memmap(path)
    return path


def test_an_action_in_parts_is_joined_with_the_parts_names(tmp_path: Path) -> None:
    source = open_set(in_parts(tmp_path / "set"), 2, rate_hz=3, state=["pose"], instruction="wipe the table")
    assert list(source.facts.actions) == ["world_0", "world_1", "world_2", "grip_0"]
    assert source.lengths == [3, 4]
    data = source.read(1)
    assert data[CHUNK][0, 0].tolist() == [9.0, 10.0, 11.0, 1.0]
    assert source.facts.instructions == ["wipe the table"]
    assert source.facts.cameras == {}


def test_without_an_instruction_or_a_rate_or_a_state_it_is_refused(tmp_path: Path) -> None:
    path = in_parts(tmp_path / "set")
    with pytest.raises(ConfigError, match="does not say how many steps a second"):
        open_set(path, 2)
    with pytest.raises(LogError, match="holds no language_instruction"):
        open_set(path, 2, rate_hz=3, state=["pose"])
    with pytest.raises(LogError, match="has no tensor 'state'; valid: pose"):
        open_set(path, 2, rate_hz=3, instruction="wipe")
    with pytest.raises(ConfigError, match="named 'image'; valid: none"):
        open_set(path, 2, rate_hz=3, state=["pose"], cameras=["image"])


def test_a_cut_file_is_named_with_its_size(copy) -> None:
    path = copy("openx")
    file = path / "action.memmap"
    file.write_bytes(file.read_bytes()[:-8])
    source = open_set(path, 4, rate_hz=5)
    with pytest.raises(LogError) as caught:
        source.read(0)
    assert str(caught.value) == f"{file} has 616 bytes, expected 624 for float64 of shape [26, 3]"


def test_a_number_that_is_not_finite_is_named(copy) -> None:
    path = copy("openx")
    values = np.memmap(path / "action.memmap", np.float64, "r+", shape=(26, 3))
    values[11, 1] = np.nan
    values.flush()
    source = open_set(path, 4, rate_hz=5)
    source.read(0)
    with pytest.raises(LogError, match=r"action.memmap from step 9: row 2, dimension 1 is nan"):
        source.read(1)


def test_an_episode_that_ends_inside_itself_is_refused(copy) -> None:
    path = copy("openx")
    done = np.memmap(path / "next/done.memmap", np.bool_, "r+", shape=(26, 1))
    done[4] = True
    done.flush()
    with pytest.raises(LogError, match="ends episode 0 at its step 4, expected 9 steps"):
        open_set(path, 4, rate_hz=5)


def test_an_episode_in_two_places_is_refused(copy) -> None:
    path = copy("openx")
    numbers = np.memmap(path / "episode.memmap", np.int32, "r+", shape=(26,))
    numbers[20:] = 0
    numbers.flush()
    with pytest.raises(LogError, match="steps of an episode are not together"):
        open_set(path, 4, rate_hz=5)


def test_a_number_of_steps_that_disagrees_is_refused(copy) -> None:
    path = copy("openx")
    meta = path / "meta.json"
    entries = json.loads(meta.read_text())
    entries["action"]["shape"] = [25, 3]
    meta.write_text(json.dumps(entries))
    with pytest.raises(LogError, match=r"action.memmap has 25 steps, expected the 26 of episode.memmap"):
        open_set(path, 4, rate_hz=5)


def test_texts_that_are_too_few_are_refused(copy) -> None:
    path = copy("openx")
    meta = path / "language_instruction/meta.json"
    entries = json.loads(meta.read_text())
    meta.write_text(json.dumps(entries | {"data": entries["data"][:-1]}))
    with pytest.raises(LogError, match="has 25 texts, expected 26"):
        open_set(path, 4, rate_hz=5)
