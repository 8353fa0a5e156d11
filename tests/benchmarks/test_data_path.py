"""The three ways from disk to a batch are measured on the same samples, and memory by the kernel's own count."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from tensordict import TensorDict  # noqa: E402
from torchrl.data import TensorStorage  # noqa: E402

from benchmarks import data_path  # noqa: E402
from benchmarks.flat_memory import flat_memory, forget, resident  # noqa: E402
from benchmarks.synthetic import Synthetic  # noqa: E402
from vla_runtime.learn.keys import CHUNK, IMAGE, INSTRUCTION, INSTRUCTION_ID, STATE  # noqa: E402
from vla_runtime.learn.scaling import scaling_of  # noqa: E402
from vla_runtime.learn.store.open import open_store  # noqa: E402
from vla_runtime.learn.store.split import split, training_buffer  # noqa: E402
from vla_runtime.learn.store.write import write_store  # noqa: E402


def quiet(line: str) -> None:
    """Say nothing."""


def test_all_arms_give_the_same_samples(tmp_path: Path) -> None:
    source = Synthetic(2)
    write_store(source, tmp_path / "store")
    data = split(open_store(tmp_path / "store"), val_fraction=0)
    scaling = scaling_of(data.state, data.action)
    ours = training_buffer(data, 20).sample()
    stored = TensorDict.load_memmap(tmp_path / "store" / "samples")
    plain = data_path.plain_buffer(TensorStorage(stored), scaling, 20)[ours["index"]]
    text = data_path.plain_buffer(data_path.with_text(source, stored, tmp_path / "text"), scaling, 20)[ours["index"]]
    for camera in ("front", "wrist"):
        for other in (plain, text):
            assert torch.equal(ours[IMAGE, camera], other[IMAGE, camera].permute(0, 3, 1, 2))
    for key in (STATE, CHUNK):
        assert torch.equal(ours[key], plain[key])
        assert torch.equal(ours[key], text[key])
    encode = source.facts.encoding().encode
    assert [encode(told) for told in text[INSTRUCTION]] == ours[INSTRUCTION_ID].tolist()


def test_every_setting_is_measured_in_samples_and_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_path, "BATCH_SIZES", (8,))
    monkeypatch.setattr(data_path, "THREADS", (torch.get_num_threads(),))
    monkeypatch.setattr(data_path, "BATCHES", dict.fromkeys(data_path.BATCHES, 1))
    (setting,) = data_path.throughput(tmp_path, 200, 2, quiet)["settings"]
    samples, frames = setting["samples_per_s"], setting["frames_per_s"]
    assert set(samples) == {"ours", "direct", "plain", "text", "lazy_text"}
    assert frames == {arm: 2 * rate for arm, rate in samples.items()}
    assert setting["ours_to"]["text"] == pytest.approx(samples["ours"] / samples["text"])
    assert setting["direct_to"]["text"] == pytest.approx(samples["direct"] / samples["text"])


def test_what_is_forgotten_is_no_longer_resident(tmp_path: Path) -> None:
    write_store(Synthetic(6), tmp_path / "store")
    store = open_store(tmp_path / "store")
    before = resident("RssFile")
    total = int(store.samples[IMAGE, "front"].sum())
    assert resident("RssFile") - before > 12
    forget(store, tmp_path / "store")
    assert resident("RssFile") - before < 3
    assert int(store.samples[IMAGE, "front"].sum()) == total


def test_the_store_that_is_read_is_larger_than_its_cache(tmp_path: Path) -> None:
    found = flat_memory(tmp_path / "store", megabytes=110, cache=20, say=quiet)
    assert found["store_mb"] > 100
    assert found["times_thrown_out"] >= 1
    assert found["reading_batches"] * 64 <= 2000
    assert found["writing_anonymous_growth_mb"] < 55
    assert found["reading_anonymous_growth_mb"] < 30
