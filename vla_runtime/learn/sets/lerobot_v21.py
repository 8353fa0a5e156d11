"""LeRobot data sets of version 2.1 (and 2.0, which differs in its statistics only): a file for each episode."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import msgspec

from vla_runtime.core.errors import LogError
from vla_runtime.learn.sets.lerobot import LeRobotSet
from vla_runtime.learn.sets.lerobot_episode import Clip, Episode
from vla_runtime.learn.sets.lerobot_info import Info, place
from vla_runtime.learn.sets.options import SetOptions

__all__ = ["open_v21"]

_Row = TypeVar("_Row")


class _Episode(msgspec.Struct):
    episode_index: int
    length: int
    tasks: list[str] = []


class _Task(msgspec.Struct):
    task_index: int
    task: str


def open_v21(path: Path, info: Info, options: SetOptions) -> LeRobotSet:
    """The data set at ``path``: ``meta/tasks.jsonl``, ``meta/episodes.jsonl``, and a table and videos an episode.

    Raises:
        LogError: see ``LeRobotSet``; or one of these files is missing or holds something else.
    """
    tasks = {row.task_index: row.task for row in _lines(path / "meta" / "tasks.jsonl", _Task)}
    rows = _lines(path / "meta" / "episodes.jsonl", _Episode)
    rows.sort(key=lambda row: row.episode_index)
    for row, after in pairwise(rows):
        if row.episode_index == after.episode_index:
            raise LogError(f"{path / 'meta/episodes.jsonl'} lists episode {row.episode_index} twice")
    return LeRobotSet(path, info, tasks, [_episode(path, info, row) for row in rows], options)


def _episode(path: Path, info: Info, row: _Episode) -> Episode:
    number = row.episode_index
    fields = {"episode_chunk": number // info.chunks_size, "episode_index": number}
    clips = {
        key: Clip(place(path, info.video_path, video_key=key, **fields))
        for key, feature in info.features.items()
        if feature.dtype == "video"
    }
    return Episode(number, row.length, place(path, info.data_path, **fields), clips, row.tasks)


def _lines(file: Path, kind: type[_Row]) -> list[_Row]:
    """The lines of a file of JSON objects.

    Raises:
        LogError: it is missing, or a line is no such object; the message names the line.
    """
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise LogError(f"{file} cannot be read: {error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(msgspec.json.decode(line, type=kind))
            except msgspec.MsgspecError as error:
                raise LogError(f"{file}, line {number}: {error}") from error
    return found
