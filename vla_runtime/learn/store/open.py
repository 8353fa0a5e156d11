"""A store, on disk or in memory: its samples, and which of them to train on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from tensordict import TensorDict
from tensordict.utils import NestedKey
from torch import Tensor

from vla_runtime.core.errors import LogError
from vla_runtime.learn.contract import TaskFacts
from vla_runtime.learn.frames import check_memory
from vla_runtime.learn.keys import IMAGE
from vla_runtime.learn.moments import Moments
from vla_runtime.learn.sets.source import Source
from vla_runtime.learn.store.layout import EPISODES, SAMPLES, Column, columns, file_of, read_record
from vla_runtime.learn.store.statistics import Statistics
from vla_runtime.learn.store.survey import EpisodeMoments, Survey

__all__ = ["Store", "in_memory", "open_store"]

_MOMENTS = {"count": torch.int64, "mean": torch.float64, "squares": torch.float64, "low": torch.float64,
            "high": torch.float64}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Store:
    """``samples`` TensorDict [N], in physical units, episode after episode; ``moments`` are those of each episode.

    It is a ``Source`` too.
    """

    facts: TaskFacts
    samples: TensorDict
    lengths: Sequence[int]
    moments: Sequence[EpisodeMoments]
    statistics: Statistics

    def read(self, episode: int) -> TensorDict:
        """The samples of ``episode``: a view."""
        end = self._ends[episode]
        return self.samples[end - self.lengths[episode] : end]

    @cached_property
    def _ends(self) -> Sequence[int]:
        return list(accumulate(self.lengths))


def open_store(directory: Path) -> Store:
    """The store at ``directory``; its files are mapped, so that it may be larger than memory.

    The mapping is copy-on-write: nothing that is done to the samples can change the files, which may be read-only.

    Raises:
        LogError: it is no store, of another version, or a file is missing or not of its full size.
    """
    record = read_record(directory)
    samples = _mapped(directory / SAMPLES, columns(record.facts), record.samples)
    for camera in record.facts.cameras:
        samples[IMAGE, camera] = samples[IMAGE, camera].permute(0, 3, 1, 2)
    if IMAGE not in samples.keys(True):
        samples[IMAGE] = TensorDict(batch_size=[record.samples])
    sizes = {"state": len(record.facts.state), "action": len(record.facts.actions)}
    parts: dict[NestedKey, Column] = {"length": Column((), torch.int64)}
    for kind, size in sizes.items():
        for name, dtype in _MOMENTS.items():
            parts[kind, name] = Column(() if name == "count" else (size,), dtype)
    episodes = _mapped(directory / EPISODES, parts, record.episodes)
    lengths = episodes["length"].tolist()
    if sum(lengths) != record.samples:
        raise LogError(f"{directory} is damaged: its episodes have {sum(lengths)} samples, it has {record.samples}")
    state, action = (_moments(episodes[kind]) for kind in sizes)
    moments = [EpisodeMoments(*of) for of in zip(state, action, strict=True)]
    return Store(record.facts, samples, lengths, moments, record.statistics)


def in_memory(source: Source, say: Callable[[str], None] = lambda line: None) -> Store:
    """All episodes of ``source``, read into memory one after another.

    Raises:
        LogError: the images do not fit, or an episode is refused as ``write_store`` would.
    """
    facts, lengths = source.facts, list(source.lengths)
    count = sum(lengths)
    check_memory(count, facts)
    held = {key: torch.empty(count, *column.shape, dtype=column.dtype) for key, column in columns(facts).items()}
    survey = Survey(facts)
    first = 0
    for episode, length in enumerate(lengths):
        for key, value in survey.see(source.read(episode), length).items():
            held[key][first : first + length] = value
        first += length
        if (episode + 1) % 100 == 0:
            say(f"read {episode + 1} of {len(lengths)} episodes")
    samples = TensorDict({IMAGE: TensorDict(batch_size=[count])}, [count])
    for key, value in held.items():
        samples[key] = value.permute(0, 3, 1, 2) if key[:-1] == IMAGE else value
    return Store(facts, samples, lengths, survey.moments, survey.statistics())


def _mapped(directory: Path, parts: dict[NestedKey, Column], count: int) -> TensorDict:
    found = TensorDict(batch_size=[count])
    for key, column in parts.items():
        found[key] = _file(file_of(directory, key), column, count)
    return found


def _file(path: Path, column: Column, count: int) -> Tensor:
    expected = count * column.bytes
    try:
        size = path.stat().st_size
        if size != expected:
            raise LogError(f"{path} is damaged: it has {size} bytes, expected {expected}")
        dtype = torch.empty(0, dtype=column.dtype).numpy().dtype
        return torch.from_numpy(np.memmap(path, dtype, mode="c", shape=(count, *column.shape)))
    except OSError as error:
        raise LogError(f"{path} cannot be read: {error.strerror}") from error


def _moments(of: TensorDict) -> list[Moments]:
    parts = [of[name].numpy() for name in ("mean", "squares", "low", "high")]
    return [Moments(count, *values) for count, *values in zip(of["count"].tolist(), *parts, strict=True)]
