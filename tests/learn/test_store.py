"""A store holds what its source gave, whole or not at all, and nothing that a policy cannot be trained on."""

from __future__ import annotations

import json
import os
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from tensordict import TensorDict
from tensordict.utils import is_non_tensor
from torchrl.data import TensorDictReplayBuffer, TensorStorage

from vla_runtime.core.errors import ConfigError, LogError
from vla_runtime.learn.keys import CHUNK, IMAGE, INSTRUCTION_ID, IS_PAD, STATE
from vla_runtime.learn.sets.options import SetOptions
from vla_runtime.learn.sets.source import Source
from vla_runtime.learn.store.layout import read_record
from vla_runtime.learn.store.mcap import McapEpisodes
from vla_runtime.learn.store.open import in_memory, open_store
from vla_runtime.learn.store.sources import open_source
from vla_runtime.learn.store.split import split
from vla_runtime.learn.store.write import store_bytes, write_store

from .logs import write_episode
from .recorded import TEXTS, Recorded

LENGTHS = [4, 1, 0, 7, 2]


@pytest.fixture
def source() -> Recorded:
    return Recorded(LENGTHS)


@pytest.fixture
def store(source: Recorded, tmp_path: Path) -> Path:
    write_store(source, tmp_path / "store")
    return tmp_path / "store"


def same(ours: TensorDict, theirs: TensorDict) -> bool:
    keys = set(theirs.keys(True, True))
    return keys == set(ours.keys(True, True)) and all(torch.equal(ours[key], theirs[key]) for key in keys)


def test_every_episode_comes_back_bit_for_bit(source: Recorded, store: Path) -> None:
    found: Source = open_store(store)
    assert list(found.lengths) == LENGTHS
    for episode in range(len(LENGTHS)):
        assert same(found.read(episode), source.read(episode))


def test_a_store_of_a_store_is_the_same_store(store: Path, tmp_path: Path) -> None:
    write_store(open_source(store), tmp_path / "again")
    files = sorted(path.relative_to(store) for path in store.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*.*"))
    for file in files:
        assert (store / file).read_bytes() == (tmp_path / "again" / file).read_bytes()


def test_memory_and_disk_hold_the_same(source: Recorded, store: Path) -> None:
    ours, theirs = in_memory(source), open_store(store)
    assert same(ours.samples, theirs.samples)
    assert ours.statistics == theirs.statistics
    for a, b in zip(ours.moments, theirs.moments, strict=True):
        assert np.array_equal(a.state.squares, b.state.squares)
        assert np.array_equal(a.action.mean, b.action.mean)


def test_the_statistics_are_those_of_the_samples_without_padding(source: Recorded, store: Path) -> None:
    found = read_record(store).statistics
    episodes = [source.read(episode) for episode in range(len(LENGTHS))]
    states = torch.cat([of[STATE] for of in episodes]).double().numpy()
    actions = torch.cat([of[CHUNK][~of[IS_PAD]] for of in episodes]).double().numpy()
    for columns, values in ((found.state, states), (found.action, actions)):
        assert [column.count for column in columns] == [len(values)] * 2
        for name, expected in {
            "mean": values.mean(0), "std": values.std(0), "min": values.min(0), "max": values.max(0),
            "q01": np.quantile(values, 0.01, axis=0), "q99": np.quantile(values, 0.99, axis=0),
        }.items():  # fmt: skip
            np.testing.assert_allclose([getattr(column, name) for column in columns], expected, rtol=1e-12)


def test_the_library_opens_the_layout_by_itself(source: Recorded, store: Path) -> None:
    samples = TensorDict.load_memmap(store / "samples")
    assert samples[IMAGE, "front"].shape == (sum(LENGTHS), 6, 8, 3)
    batch = TensorDictReplayBuffer(storage=TensorStorage(samples), batch_size=5).sample()
    assert batch[CHUNK].shape == (5, 3, 2)
    assert torch.equal(samples[IMAGE, "front"][:4], source.read(0)[IMAGE, "front"].permute(0, 2, 3, 1))


def test_images_lie_as_they_were_captured(store: Path) -> None:
    for image in open_store(store).samples[IMAGE].values():
        assert image.permute(0, 2, 3, 1).is_contiguous()


def test_instructions_are_ids_with_their_texts_beside(store: Path) -> None:
    opened = open_store(store)
    assert not any(is_non_tensor(value) for value in opened.samples.values(True, True))
    assert opened.samples[INSTRUCTION_ID].dtype == torch.int64
    texts = read_record(store).instructions
    assert [texts[number] for number in opened.samples[INSTRUCTION_ID].tolist()] == (
        [TEXTS[0]] * 4 + [TEXTS[1]] + [TEXTS[1]] * 7 + [TEXTS[0]] * 2
    )
    for path in (store / "samples").rglob("*"):
        assert path.is_dir() or not any(text.encode() in path.read_bytes() for text in TEXTS)


def test_facts_and_floats_are_kept_exactly(source: Recorded, store: Path) -> None:
    facts = read_record(store).facts
    assert (facts.actions, facts.state, facts.cameras) == (
        source.facts.actions, source.facts.state, source.facts.cameras)  # fmt: skip
    assert (tuple(facts.instructions), facts.dt_ns, facts.chunk_length) == (TEXTS, 50_000_000, 3)
    raw = json.loads((store / "store.json").read_text())["statistics"]["state"][1]["mean"]
    assert raw == read_record(store).statistics.state[1].mean


def test_a_state_alone_can_be_stored(tmp_path: Path) -> None:
    source = Recorded([3, 2], cameras={})
    write_store(source, tmp_path / "store")
    assert same(open_store(tmp_path / "store").read(1), source.read(1))
    assert list(open_store(tmp_path / "store").samples[IMAGE].keys()) == []


class Broken(Recorded):
    """Raises, or gives something wrong, in its fourth episode."""

    def __init__(self, how: object) -> None:
        super().__init__(LENGTHS)
        self.how = how

    def read(self, episode: int) -> TensorDict:
        data = super().read(episode)
        if episode == 3:
            if isinstance(self.how, BaseException):
                raise self.how
            self.how(data)
        return data


def put(key: object, place: object, value: float) -> object:
    return lambda data: data[key].__setitem__(place, value)


@pytest.mark.parametrize(("how", "message"), [
    (put(STATE, (5, 1), float("nan")), "episode 3 holds nan in state 'turn.position' of its sample 5"),
    (put(CHUNK, (6, 2, 0), float("inf")), "episode 3 holds inf in action 'lift' of its sample 6"),
    (put(INSTRUCTION_ID, 0, 9999), r"episode 3 has instruction ids \[9999\], known are"),
    (lambda data: data.set(STATE, data[STATE].double()), r"episode 3 has .*'state'.* torch.float64, expected"),
    (lambda data: data.set((IMAGE, "front"), data[IMAGE, "front"].permute(0, 2, 3, 1)),
     r"episode 3 has .*'front'.* of shape .* expected \[7, 6, 8, 3\]"),
    (lambda data: data.__delitem__((IMAGE, "wrist")), r"episode 3 has no tensor .*'wrist'"),
], ids=["nan state", "infinite action", "unknown id", "other type", "other shape", "camera missing"])  # fmt: skip
def test_what_cannot_be_trained_on_is_refused_by_name_and_leaves_nothing(
    how: object, message: str, tmp_path: Path
) -> None:
    with pytest.raises(LogError, match=message):
        write_store(Broken(how), tmp_path / "store")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(LogError, match=message):
        in_memory(Broken(how))


@pytest.mark.parametrize("cause", [KeyboardInterrupt(), RuntimeError("decoder")], ids=repr)
def test_an_interrupted_store_leaves_nothing(cause: BaseException, tmp_path: Path) -> None:
    with pytest.raises(type(cause)):
        write_store(Broken(cause), tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


def test_a_failing_disk_is_told_from_a_failing_source(
    source: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LogError, match=r"episode 3 cannot be read: .*gone"):
        write_store(Broken(OSError(5, "gone")), tmp_path / "store")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(LogError, match=r"cannot write .*store: No space left on device"):
        write_store(source, tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


def test_there_is_no_store_before_it_is_whole(tmp_path: Path) -> None:
    seen = []

    def look(data: TensorDict) -> None:
        seen.extend([(tmp_path / "store").exists(), len(list(tmp_path.iterdir()))])

    write_store(Broken(look), tmp_path / "store")
    assert seen == [False, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_full_disk_is_refused_before_anything_is_read(
    source: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(store_bytes(source.facts, sum(LENGTHS))))
    monkeypatch.setattr(source, "read", lambda episode: pytest.fail("read"))
    with pytest.raises(LogError, match="GB are free on that disk"):
        write_store(source, tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_refused(source: Recorded, store: Path, tmp_path: Path) -> None:
    with pytest.raises(LogError, match="is there already"):
        write_store(source, store)
    with pytest.raises(LogError, match="does not exist"):
        write_store(source, tmp_path / "a" / "b")
    with pytest.raises(LogError, match="hold no sample"):
        write_store(Recorded([0, 0]), tmp_path / "none")
    with pytest.raises(LogError, match="without '/'"):
        write_store(Recorded([1], cameras={"a/b": (2, 2)}), tmp_path / "slash")


def test_a_damaged_store_is_refused_by_file(store: Path) -> None:
    chunk = store / "samples" / "vla_action" / "chunk.memmap"
    os.truncate(chunk, chunk.stat().st_size - 1)
    with pytest.raises(LogError, match=r"chunk\.memmap is damaged: it has 335 bytes, expected 336"):
        open_store(store)
    chunk.unlink()
    with pytest.raises(LogError, match=r"chunk\.memmap cannot be read"):
        open_store(store)
    text = (store / "store.json").read_text()
    (store / "store.json").write_text(text.replace('"version": 1', '"version": 9'))
    with pytest.raises(LogError, match="vla-store version 9, expected vla-store version 1"):
        open_store(store)
    (store / "store.json").write_text(text[:100])
    with pytest.raises(LogError, match=r"store\.json cannot be read"):
        open_store(store)


def test_nothing_done_to_the_samples_reaches_the_files(store: Path) -> None:
    before = open_store(store).samples[STATE].clone()
    opened = open_store(store)
    opened.samples[STATE].zero_()
    opened.samples[IMAGE, "front"].zero_()
    assert torch.equal(open_store(store).samples[STATE], before)
    for path in store.rglob("*.memmap"):
        path.chmod(0o444)
    assert torch.equal(open_store(store).samples[STATE], before)


def test_the_split_normalises_by_its_training_episodes_alone(source: Recorded, store: Path) -> None:
    data = split(open_store(store), val_fraction=0.3, seed=1)
    assert (data.episodes, data.held_out) == (3, 1)
    states = data.train[STATE].double().numpy()
    np.testing.assert_allclose(data.state.mean, states.mean(0), rtol=1e-12)
    np.testing.assert_allclose(data.state.std, states.std(0), rtol=1e-12)
    ours, theirs = ({int(value) // 1000 for value in part[STATE][:, 0]} for part in (data.train, data.validation))
    assert ours.isdisjoint(theirs)
    assert len(ours | theirs) == 4


def test_episodes_are_read_one_by_one_or_kept(tmp_path: Path) -> None:
    for episode in range(3):
        numbers = [10 * episode + i for i in range(1, 3 + episode)]
        write_episode(tmp_path / f"e{episode}.mcap", numbers)
    kept, afresh = McapEpisodes(tmp_path, keep=True), McapEpisodes(tmp_path)
    assert kept.facts == afresh.facts
    assert list(kept.lengths) == [2, 3, 4]
    for episode in (2, 0, 1, 1):
        assert same(kept.read(episode), afresh.read(episode))
        assert kept.read(episode)[CHUNK][:, 0, 0].round().tolist() == [10 * episode + i for i in range(1, 3 + episode)]


def test_an_episode_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    write_episode(tmp_path / "e.mcap")
    found = McapEpisodes(tmp_path)
    (tmp_path / "e.mcap").unlink()
    write_episode(tmp_path / "e.mcap", (1, 2))
    with pytest.raises(LogError, match=r"e\.mcap has changed since it was looked at"):
        found.read(0)


def test_another_chunk_length_than_that_of_the_data_is_refused(store: Path) -> None:
    assert open_source(store, options=SetOptions(chunk_length=3)).facts.chunk_length == 3
    with pytest.raises(ConfigError, match=r"--chunk-length: 5 given, .* holds chunks of 3 rows already"):
        open_source(store, options=SetOptions(chunk_length=5))
