"""Batches are the samples they say they are, in an order that the seed chooses, in memory that does not grow."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tensordict import TensorDict
from tensordict.utils import is_non_tensor

from vla_runtime.learn.augment import Augment
from vla_runtime.learn.data import sample_buffer
from vla_runtime.learn.keys import CHUNK, IMAGE, IS_PAD, STATE
from vla_runtime.learn.scaling import scaling_of
from vla_runtime.learn.store.open import Store, open_store
from vla_runtime.learn.store.rows import Rows, RowStorage
from vla_runtime.learn.store.split import Split, split, training_buffer
from vla_runtime.learn.store.write import write_store

from .recorded import Recorded

LENGTHS = [9, 4, 12, 7, 8, 3]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    directory = tmp_path_factory.mktemp("rows") / "store"
    write_store(Recorded(LENGTHS), directory)
    return open_store(directory)


@pytest.fixture(scope="module")
def data(store: Store) -> Split:
    return split(store, val_fraction=0.3, seed=0)


def leaves(samples: TensorDict) -> dict[object, torch.Tensor]:
    return dict(samples.items(True, True))


def equal(ours: TensorDict, theirs: TensorDict) -> bool:
    a, b = leaves(ours), leaves(theirs)
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("index", [
    torch.tensor([3, 0, 3, 17]), torch.tensor([-1, -43]), torch.empty(0, dtype=torch.long), slice(2, 9),
    slice(-3, None), [5, 6], torch.arange(43) % 5 == 0,
], ids=str)  # fmt: skip
def test_rows_are_those_that_torch_picks(store: Store, index: object) -> None:
    expected = store.samples[index]
    everything = Rows(store.samples, torch.arange(43))
    backwards = Rows(store.samples, torch.arange(42, -1, -1))
    assert equal(everything[index], expected)
    assert equal(RowStorage(everything).get(index), expected)
    assert equal(RowStorage(store.samples).get(index), expected)
    assert equal(RowStorage(backwards).get(index), backwards[index])
    assert torch.equal(backwards[index][STATE], backwards[STATE][index])


@pytest.mark.parametrize("wrong", [[43], [-44], [0, 99]], ids=str)
def test_an_index_beyond_the_end_is_an_error(store: Store, data: Split, wrong: list[int]) -> None:
    for storage in (RowStorage(store.samples), RowStorage(Rows(store.samples, torch.arange(43)))):
        with pytest.raises(IndexError, match="out of range"):
            storage.get(torch.tensor(wrong))
    with pytest.raises(IndexError):
        RowStorage(data.train).get(torch.tensor([len(data.train)]))


def test_images_of_a_batch_lie_as_they_were_captured(data: Split) -> None:
    batch = training_buffer(data, 4).sample()
    for image in batch[IMAGE].values():
        assert image.permute(0, 2, 3, 1).is_contiguous()
        assert image.dtype == torch.uint8


def test_strided_data_is_picked_from_without_a_copy_of_all(store: Store) -> None:
    every_second = TensorDict({"a": torch.arange(40).reshape(20, 2)[:, 0], "b": torch.arange(20)[::2].repeat(2)}, [20])
    found = RowStorage(every_second).get(torch.tensor([7, 1]))
    assert (found["a"].tolist(), found["b"].tolist()) == ([14, 2], [14, 2])


def test_a_batch_is_normalised_and_the_store_is_not(store: Store, data: Split) -> None:
    before = store.samples.clone()
    buffer, scaling = training_buffer(data, 5, seed=2), scaling_of(data.state, data.action)
    for _ in range(20):
        batch = buffer.sample()
        raw = data.train[batch["index"]]
        assert torch.equal(batch[STATE], scaling.normalise_state(raw[STATE]))
        assert torch.allclose(scaling.denormalise_action(batch[CHUNK]), raw[CHUNK], rtol=1e-5, atol=1e-3)
        assert torch.equal(batch[IMAGE, "front"], raw[IMAGE, "front"])
        assert torch.equal(batch[IS_PAD], raw[IS_PAD])
        assert not any(is_non_tensor(value) for value in batch.values(True, True))
    assert equal(store.samples, before)


def test_no_sample_mixes_episodes_and_none_is_held_out(data: Split) -> None:
    held = {int(value) // 1000 for value in data.validation[STATE][:, 0]}
    scaling, buffer = scaling_of(data.state, data.action), training_buffer(data, 6)
    assert len(held) == 2
    for _ in range(15):
        batch = buffer.sample()
        chunks = scaling.denormalise_action(batch[CHUNK])[..., 0]
        own = data.train[batch["index"]][STATE][:, 0] // 1000
        assert torch.equal((chunks.round() / 1000).floor(), own[:, None].expand(-1, 3))
        assert held.isdisjoint(own.int().tolist())


def test_every_sample_comes_once_an_epoch(data: Split) -> None:
    count = len(data.train)
    buffer = training_buffer(data, 8, seed=4)
    epochs = []
    for _ in range(3):
        drawn = torch.cat([buffer.sample()["index"] for _ in range(-(-count // 8))])
        assert drawn.sort().values.tolist() == list(range(count))
        epochs.append(drawn.tolist())
    assert all(one != other for one, other in pairwise(epochs))


@pytest.mark.parametrize("prefetch", [False, True], ids=["at once", "ahead"])
def test_the_same_seed_gives_the_same_batches_whatever_else_draws(data: Split, prefetch: bool) -> None:
    def batches(seed: int, noise: int) -> list[TensorDict]:
        varied = Augment(generator=torch.Generator().manual_seed(seed))
        scaling = scaling_of(data.state, data.action)
        buffer = sample_buffer(data.train, scaling, 8, varied, seed=seed, prefetch=prefetch)
        found = []
        for _ in range(9):
            torch.rand(noise)
            found.append(buffer.sample())
        return found

    first = batches(7, 1)
    assert all(equal(one, other) for one, other in zip(first, batches(7, 50), strict=True))
    assert not any(equal(one, other) for one, other in zip(first, batches(8, 1), strict=True))


def test_a_batch_that_is_held_is_never_overwritten(data: Split) -> None:
    buffer = training_buffer(data, 8, seed=1)
    views, copies = [], []
    for number in range(30):
        image = buffer.sample()[IMAGE, "front"]
        views.append(image[1:, :, ::2] if number % 2 else image.permute(0, 2, 3, 1).numpy())
        copies.append(torch.as_tensor(views[-1]).clone())
    assert all(torch.equal(torch.as_tensor(view), copy) for view, copy in zip(views, copies, strict=True))


def test_memory_is_used_again_when_nobody_holds_it(data: Split) -> None:
    storage = RowStorage(data.train)
    places = set()
    for _ in range(20):
        batch = storage.get(torch.arange(6))
        places.add(batch[IMAGE, "front"].data_ptr())
        del batch
    assert len(places) == 1


def anonymous_bytes() -> int:
    """What this process has of memory that no file is behind."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


class Watched(Recorded):
    """Notes how much memory there is as each episode is asked for."""

    def read(self, episode: int) -> TensorDict:
        self.held[episode] = anonymous_bytes()
        return super().read(episode)


def test_memory_does_not_grow_with_the_number_of_episodes_or_batches(tmp_path: Path) -> None:
    """Episodes and batches of 3 MB, 120 and 300 MB of them: a quarter or a tenth of those, kept, would show."""
    source = Watched([50] * 40, cameras={"top": (100, 200)})
    source.held = {}
    write_store(source, tmp_path / "store")
    assert max(source.held.values()) - min(source.held.values()) < 30e6 + 8 * 3e6
    buffer = training_buffer(split(open_store(tmp_path / "store")), 50)
    for _ in range(10):
        buffer.sample()
    before = anonymous_bytes()
    for _ in range(100):
        buffer.sample()
    assert anonymous_bytes() - before < 30e6
