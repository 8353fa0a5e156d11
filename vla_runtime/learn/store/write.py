"""Demonstrations to a store: episode by episode, in bounded memory, whole or not at all."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import torch
from tensordict import TensorDict
from tensordict.utils import NestedKey
from torch import Tensor

from vla_runtime.core.errors import LogError
from vla_runtime.learn.atomic import sync
from vla_runtime.learn.contract import TaskFacts
from vla_runtime.learn.moments import Moments
from vla_runtime.learn.sets.source import Source
from vla_runtime.learn.store.layout import EPISODES, SAMPLES, Record, columns, file_of, write_record
from vla_runtime.learn.store.survey import EpisodeMoments, Survey

__all__ = ["check_new", "store_bytes", "write_store"]

_SPARE = 1.02  # of the disk space: statistics, directories
_TRIM = 8  # episodes


def check_new(directory: Path) -> None:
    """Refuse a place where no store can be written, before any work is spent on it.

    Raises:
        LogError: ``directory`` is there already, or its parent is not there or not writable.
    """
    if directory.exists():
        raise LogError(f"cannot write {directory}: it is there already, expected a new name")
    parent = directory.absolute().parent
    if not parent.is_dir():
        raise LogError(f"cannot write {directory}: the directory {parent} does not exist")
    if not os.access(parent, os.W_OK):
        raise LogError(f"cannot write {directory}: the directory {parent} is not writable")


def store_bytes(facts: TaskFacts, samples: int) -> int:
    """How large the files of ``samples`` samples are."""
    return samples * sum(column.bytes for column in columns(facts).values())


def write_store(source: Source, directory: Path, say: Callable[[str], None] = lambda line: None) -> Record:
    """Write all episodes of ``source`` to the new ``directory``, laid out as ``layout`` says; returns its record.

    One episode is in memory at a time. Statistics are taken in the same pass. All is written to a hidden directory
    beside ``directory`` that is renamed at the end and removed on any failure, Ctrl-C included.

    Raises:
        LogError: see ``check_new``; there is no sample, the disk has too little room, or an episode is not what the
            facts say or holds a value that is not finite.
    """
    check_new(directory)
    facts, lengths = source.facts, list(source.lengths)
    samples = sum(lengths)
    if not samples:
        raise LogError(f"there is nothing to write to {directory}: {len(lengths)} episodes hold no sample")
    for camera in facts.cameras:
        if "/" in camera:
            raise LogError(f"camera {camera!r} cannot name a file, expected a name without '/'")
    _check_room(directory, store_bytes(facts, samples))
    survey = Survey(facts)
    with _draft(directory) as draft:
        with _files(draft / SAMPLES, facts, samples) as files:
            for episode, length in enumerate(lengths):
                _append(survey.see(_read(source, episode), length), files)
                if (episode + 1) % _TRIM == 0:
                    _give_memory_back()
                if (episode + 1) % 100 == 0:
                    say(f"wrote {episode + 1} of {len(lengths)} episodes")
        _episodes(lengths, survey.moments).memmap(draft / EPISODES)
        encoding = facts.encoding()
        texts = {encoding.encode(text): text for text in facts.instructions}
        record = Record(
            samples=samples,
            episodes=len(lengths),
            facts=facts,
            instructions=texts,
            statistics=survey.statistics(),
        )
        write_record(record, draft)
    return record


def _read(source: Source, episode: int) -> TensorDict:
    try:
        return source.read(episode)
    except OSError as error:
        raise LogError(f"episode {episode} cannot be read: {error}") from error


def _check_room(directory: Path, needed: int) -> None:
    free = shutil.disk_usage(directory.absolute().parent).free
    if _SPARE * needed > free:
        raise LogError(f"{directory} takes {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free on that disk")


@contextmanager
def _draft(directory: Path) -> Iterator[Path]:
    """A new directory beside ``directory``, renamed to it on success and removed on any failure."""
    draft = directory.with_name(f".{directory.name}.{os.getpid()}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir()
        yield draft
        for path in (*draft.rglob("*"), draft):
            sync(path)
        draft.rename(directory)
        sync(directory.absolute().parent)
    except OSError as error:
        raise LogError(f"cannot write {directory}: {error.strerror}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def _files(directory: Path, facts: TaskFacts, samples: int) -> Iterator[Mapping[NestedKey, BinaryIO]]:
    """The columns' files, of their full size, open for writing from the start."""
    shapes = TensorDict(batch_size=[samples])
    for key, column in columns(facts).items():
        shapes[key] = torch.empty(1, *column.shape, dtype=column.dtype).expand(samples, *column.shape)
    shapes.memmap_like(directory)
    with ExitStack() as stack:
        files = {key: stack.enter_context(file_of(directory, key).open("r+b")) for key in columns(facts)}
        for file in files.values():
            # Room that is promised and not there is an error here, not later.
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
        yield files


def _give_memory_back() -> None:
    """glibc's heap never shrinks by itself where something small has stayed between episodes that are gone."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _append(episode: Mapping[NestedKey, Tensor], files: Mapping[NestedKey, BinaryIO]) -> None:
    for key, value in episode.items():
        if len(value):
            files[key].write(value.contiguous().numpy().data)


def _episodes(lengths: Sequence[int], moments: Sequence[EpisodeMoments]) -> TensorDict:
    def stacked(found: Sequence[Moments]) -> TensorDict:
        parts: dict[str, Tensor] = {"count": torch.tensor([of.count for of in found])}
        for name in ("mean", "squares", "low", "high"):
            parts[name] = torch.stack([torch.from_numpy(getattr(of, name)) for of in found])
        return TensorDict(parts, [len(found)])

    state, action = stacked([of.state for of in moments]), stacked([of.action for of in moments])
    return TensorDict({"length": torch.tensor(lengths), "state": state, "action": action}, [len(lengths)])
