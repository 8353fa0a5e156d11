"""torchrl's own ``LeRobotExperienceReplay`` reads the same directory, and finds the same in it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import av
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from vla_runtime.core.instructions import sha1_mod
from vla_runtime.learn.keys import CHUNK, IMAGE, INSTRUCTION_ID, STATE
from vla_runtime.learn.sets.open import open_set

from .made import CAMERAS, LENGTHS
from .made_openx import lerobot as theirs_lerobot


class _Table:
    """As much of ``datasets.Dataset`` as torchrl uses: columns by name, stacked where they are numbers."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.column_names = table.column_names

    def with_format(self, kind: str) -> _Table:
        assert kind == "torch"
        return self

    def __getitem__(self, name: str) -> torch.Tensor:
        return torch.tensor(self._table.column(name).to_pylist())


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[None]:
    """A stand-in for the two packages that torchrl downloads and reads tables with: a repository is a directory."""
    hub, datasets = ModuleType("huggingface_hub"), ModuleType("datasets")
    hub.snapshot_download = lambda repo_id, repo_type: repo_id  # type: ignore[attr-defined]
    datasets.load_dataset = lambda kind, data_files, split: _Table(  # type: ignore[attr-defined]
        pa.concat_tables([pq.read_table(file) for file in data_files])
    )
    with (
        patch.dict(sys.modules, {"huggingface_hub": hub, "datasets": datasets}),
        patch.object(theirs_lerobot, "_has_hf_hub", True),
        patch.object(theirs_lerobot, "_has_datasets", True),
    ):
        yield


def frame(path: str, number: int) -> torch.Tensor:
    with av.open(path) as container:
        for count, found in enumerate(container.decode(video=0)):
            if count == number:
                return torch.from_numpy(found.to_ndarray(format="rgb24")).permute(2, 0, 1)
    raise AssertionError(f"{path} has no frame {number}")


@pytest.mark.usefixtures("hub")
def test_torchrl_finds_the_same_numbers_texts_and_frames(lerobot: str, made: dict[str, Path], tmp_path: Path) -> None:
    buffer = theirs_lerobot.LeRobotExperienceReplay(str(made[lerobot]), root=tmp_path, decode_video=False)
    theirs = buffer[:]
    source = open_set(made[lerobot], 3)
    ours = torch.cat([source.read(episode) for episode in range(len(LENGTHS))])
    assert torch.equal(ours[STATE], theirs["observation", "state"])
    assert torch.equal(ours[CHUNK][:, 0], theirs["action"])
    texts = theirs.get("language_instruction").tolist()
    assert ours[INSTRUCTION_ID].tolist() == [sha1_mod(text, source.facts.text_vocab) for text in texts]
    assert theirs["episode"].bincount().tolist() == source.lengths
    for camera in CAMERAS:
        reference = theirs["observation", "image", camera]
        for row in (0, 7, 8, 9, 13, 14, 25):
            path = reference.sources[int(reference.file_id[row])]
            assert torch.equal(ours[IMAGE][camera][row], frame(path, int(reference.frame_index[row])))
