"""A directory of episodes becomes two sets that share no episode, and what does not belong is refused by name."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from tensordict.utils import is_non_tensor

from vla_runtime.core.errors import LogError
from vla_runtime.core.instructions import sha1_mod
from vla_runtime.core.spec import ActionSpec, CameraSpec
from vla_runtime.learn import frames
from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.data import sample_buffer
from vla_runtime.learn.dataset import load_dataset
from vla_runtime.learn.keys import CHUNK, IMAGE, INSTRUCTION_ID, IS_PAD, STATE
from vla_runtime.learn.scaling import Scaling

from .logs import TEXTS, chunk, spec, write_episode


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Twelve episodes of three samples: number n belongs to episode n // 10, instructions in turn."""
    for episode in range(12):
        numbers = [10 * episode + i for i in range(1, 4)]
        write_episode(tmp_path / f"e{episode:02}.mcap", numbers, instruction=TEXTS[episode % 2])
    return tmp_path


def numbers_of(samples) -> list[int]:
    """Which samples these are, by their chunks."""
    return samples[CHUNK][:, 0, 0].round().int().tolist()


def test_image_state_instruction_and_chunk_of_a_sample_belong_together(directory: Path) -> None:
    data = load_dataset(directory, val_fraction=0)
    assert data.facts.name == "sort"
    assert data.facts.actions == {"lift": "m", "turn": "rad"}
    assert list(data.facts.cameras.items()) == [("front", (12, 20)), ("wrist", (9, 7))]
    assert data.facts.instructions == sorted(TEXTS)
    numbers = numbers_of(data.train)
    assert numbers == [10 * episode + i for episode in range(12) for i in range(1, 4)]
    for row, number in enumerate(numbers):
        assert np.array_equal(data.train[CHUNK][row].numpy(), chunk(number, spec()).actions)
        assert data.train[STATE][row].tolist() == [10 + number, 20 + number, number]
        assert data.train[INSTRUCTION_ID][row] == sha1_mod(TEXTS[number // 10 % 2], 256)
        for camera in ("front", "wrist"):
            assert data.train[IMAGE, camera][row].float().mean().item() == pytest.approx(number, abs=1)
    assert data.train[IMAGE, "front"].shape == (36, 3, 12, 20)
    assert data.train[IMAGE, "wrist"].dtype == torch.uint8
    assert not data.train[IS_PAD].any()
    assert not any(is_non_tensor(value) for value in data.train[:3].values(True, True))


def test_a_buffer_over_it_gives_normalised_samples_and_keeps_them_raw(directory: Path) -> None:
    data = load_dataset(directory)
    contract = make_spec(data.facts, data.train[STATE], data.train[CHUNK])
    before = data.train[CHUNK].clone()
    sample = sample_buffer(data.train, Scaling.from_spec(contract), 500).sample()
    assert sample[CHUNK].mean().abs() < 0.5
    assert sample[IMAGE, "front"].dtype == torch.uint8
    assert torch.equal(data.train[CHUNK], before)


@pytest.mark.parametrize(("fraction", "held"), [(0.0, 0), (0.05, 1), (0.25, 3), (0.9, 10)])
def test_whole_episodes_are_held_out_and_every_instruction_keeps_one(
    directory: Path, fraction: float, held: int
) -> None:
    data = load_dataset(directory, val_fraction=fraction, seed=3)
    assert (data.episodes, data.held_out) == (12 - held, held)
    train, validation = ({number // 10 for number in numbers_of(part)} for part in (data.train, data.validation))
    assert train.isdisjoint(validation)
    assert train | validation == set(range(12))
    assert len(validation) == held
    assert {episode % 2 for episode in train} == {0, 1}


def test_the_seed_chooses_who_is_held_out(directory: Path) -> None:
    chosen = {seed: tuple(numbers_of(load_dataset(directory, seed=seed).validation)) for seed in (0, 0, 1, 2, 3, 4)}
    assert numbers_of(load_dataset(directory, seed=1).validation) == list(chosen[1])
    assert len(set(chosen.values())) > 1


def test_a_single_episode_is_trained_on(tmp_path: Path) -> None:
    write_episode(tmp_path / "a.mcap")
    data = load_dataset(tmp_path, val_fraction=0.5)
    assert (data.episodes, data.held_out) == (1, 0)
    assert len(data.validation) == 0


def test_files_without_samples_are_left_out_and_said_why(directory: Path) -> None:
    (directory / "empty.mcap").write_bytes(b"")
    (directory / "foreign.mcap").write_bytes(b"not an mcap file at all")
    (directory / "notes.txt").write_text("no episode, and not looked at")
    write_episode(directory / "idle.mcap", ())
    write_episode(directory / "deaf.mcap", (1, 2), ask=lambda number: False)
    write_episode(directory / "cut.mcap", (121, 122), whole=False)
    write_episode(directory / "half.mcap", (131, 132), ask=lambda number: number != 132)
    data = load_dataset(directory, val_fraction=0)
    assert set(data.unusable) == {"empty.mcap", "foreign.mcap", "idle.mcap", "deaf.mcap"}
    assert "is empty" in data.unusable["empty.mcap"]
    assert "no MCAP file" in data.unusable["foreign.mcap"]
    assert "holds no chunk to learn from: it holds none" in data.unusable["idle.mcap"]
    assert "holds no chunk to learn from: request missing" in data.unusable["deaf.mcap"]
    assert {121, 122, 131} <= set(numbers_of(data.train))
    assert data.truncated == 1
    assert data.skipped == {"request missing": 1}
    assert data.episodes == 14


OTHERS = {
    "joints": {"actions": (ActionSpec("lift", "m", 0, 1), ActionSpec("tilt", "rad", 0, 1))},
    "state inputs": {"state": spec().state[:2], "normalisation": msgspec.structs.replace(
        spec().normalisation, state_mean=(0.0, 0.0), state_std=(1.0, 1.0))},
    "cameras": {"cameras": (CameraSpec("front", 12, 20),)},
    "chunk length": {"chunk_length": 4},
    "dt_ns": {"dt_ns": 1_000_000},
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(OTHERS))
def test_episodes_that_disagree_are_refused_with_both_names(directory: Path, what: str) -> None:
    write_episode(directory / "other.mcap", contract=spec(**OTHERS[what]))
    with pytest.raises(LogError, match=rf"e00\.mcap and .*other\.mcap do not belong together: {what} "):
        load_dataset(directory)


def test_tasks_of_one_robot_may_be_mixed(directory: Path) -> None:
    write_episode(directory / "other.mcap", contract=spec(name="expert-lift"), instruction="lift it")
    data = load_dataset(directory)
    assert data.facts.name == "lift+sort"
    assert data.facts.instructions == ["go left", "go right", "lift it"]


def test_instructions_that_would_share_an_id_get_a_larger_vocabulary(tmp_path: Path) -> None:
    same = next(f"text {i}" for i in range(10_000) if sha1_mod(f"text {i}", 256) == sha1_mod(TEXTS[0], 256))
    write_episode(tmp_path / "a.mcap")
    assert load_dataset(tmp_path).facts.text_vocab == 256
    write_episode(tmp_path / "b.mcap", instruction=same)
    facts = load_dataset(tmp_path).facts
    assert facts.text_vocab > 256
    assert len({facts.encoding().encode(text) for text in facts.instructions}) == 2


def test_a_directory_without_episodes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"holds no episode to learn from: there is no file \*\.mcap in it"):
        load_dataset(tmp_path)
    (tmp_path / "a.mcap").write_bytes(b"")
    with pytest.raises(LogError, match=r"holds no episode to learn from: .*is empty"):
        load_dataset(tmp_path)
    with pytest.raises(LogError, match="is no directory, expected one with episodes"):
        load_dataset(tmp_path / "a.mcap")


def test_a_frame_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    path = write_episode(tmp_path / "a.mcap", (1, 2))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"\xff\xd8\xff", b"\x00\x00\x00"))
    with pytest.raises(LogError, match=r"a\.mcap: frame \d of camera '\w+' cannot be decoded: jpeg"):
        load_dataset(tmp_path)


def test_images_that_do_not_fit_into_memory_are_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "_available_bytes", lambda: 30_000)
    with pytest.raises(LogError, match=r"the images of 36 samples take .* train on fewer episodes"):
        load_dataset(directory)
