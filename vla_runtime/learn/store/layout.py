"""Where what lies in a store.

    store.json                          format, facts, instructions by id, statistics
    samples/                            a memory-mapped TensorDict [N], one row a sample, episode after episode
        observation/image/<camera>.memmap   u8[N, H, W, 3], as it was captured
        observation/state.memmap            f32[N, S]
        instruction_id.memmap               i64[N]
        vla_action/chunk.memmap             f32[N, H, A], physical units
        action_is_pad.memmap                bool[N, H]
    episodes/                           another one [E]: length, and the moments of state and action

``TensorDict.load_memmap`` opens both directories.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import msgspec
import torch
from tensordict.utils import NestedKey, unravel_key

from vla_runtime.core.errors import LogError
from vla_runtime.learn.contract import TaskFacts
from vla_runtime.learn.keys import CHUNK, IMAGE, INSTRUCTION_ID, IS_PAD, STATE
from vla_runtime.learn.store.statistics import Statistics

__all__ = ["EPISODES", "SAMPLES", "Column", "Record", "columns", "file_of", "is_store", "read_record", "write_record"]

SAMPLES, EPISODES = "samples", "episodes"
_RECORD, _FORMAT, _VERSION = "store.json", "vla-store", 1


@dataclass(frozen=True)
class Column:
    """What a file holds for each sample."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def bytes(self) -> int:
        """Of one sample."""
        return prod(self.shape) * self.dtype.itemsize


def columns(facts: TaskFacts) -> dict[NestedKey, Column]:
    """The files of a store, by key."""
    length, dims = facts.chunk_length, len(facts.actions)
    images = {
        unravel_key((IMAGE, camera)): Column((height, width, 3), torch.uint8)
        for camera, (height, width) in facts.cameras.items()
    }
    return images | {
        STATE: Column((len(facts.state),), torch.float32),
        INSTRUCTION_ID: Column((), torch.int64),
        CHUNK: Column((length, dims), torch.float32),
        IS_PAD: Column((length,), torch.bool),
    }


def file_of(directory: Path, key: NestedKey) -> Path:
    """Where a tensordict that is mapped to ``directory`` keeps ``key``."""
    *parents, name = (key,) if isinstance(key, str) else key
    return directory.joinpath(*parents, f"{name}.memmap")


@dataclass(frozen=True, kw_only=True)
class Record:
    """The contents of store.json. ``instructions``: id to text."""

    format: str = _FORMAT
    version: int = _VERSION
    samples: int
    episodes: int
    facts: TaskFacts
    instructions: Mapping[int, str]
    statistics: Statistics


class _Kind(msgspec.Struct):
    format: str
    version: int


def is_store(directory: Path) -> bool:
    """Whether ``directory`` is a store, or was one."""
    return (directory / _RECORD).is_file()


def write_record(record: Record, directory: Path) -> None:
    """Write store.json; floats are written so that they read back to the same bits."""
    encoded = msgspec.json.format(msgspec.json.encode(record), indent=2)
    (directory / _RECORD).write_bytes(encoded + b"\n")


def read_record(directory: Path) -> Record:
    """Read store.json.

    Raises:
        LogError: it is not there, of another version, or cannot be read.
    """
    path = directory / _RECORD
    try:
        data = path.read_bytes()
        kind = msgspec.json.decode(data, type=_Kind)
        if (kind.format, kind.version) != (_FORMAT, _VERSION):
            raise LogError(f"{path} is {kind.format} version {kind.version}, expected {_FORMAT} version {_VERSION}")
        return msgspec.json.decode(data, type=Record)
    except OSError as error:
        raise LogError(f"{directory} is no store: {path.name} cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise LogError(f"{path} cannot be read: {error}") from error
