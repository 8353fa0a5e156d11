"""LeRobot data sets of version 3.0: many episodes share a table and a video, with offsets in ``meta/episodes``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vla_runtime.core.errors import LogError
from vla_runtime.learn.sets.lerobot import LeRobotSet
from vla_runtime.learn.sets.lerobot_episode import Clip, Episode
from vla_runtime.learn.sets.lerobot_info import Info, place
from vla_runtime.learn.sets.options import SetOptions
from vla_runtime.learn.sets.table import column_names, read_table

__all__ = ["open_v30"]

_PLACE = ("episode_index", "dataset_from_index", "dataset_to_index", "data/chunk_index", "data/file_index")
_CLIP = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")


def open_v30(path: Path, info: Info, options: SetOptions) -> LeRobotSet:
    """The data set at ``path``: ``meta/tasks.parquet``, ``meta/episodes``, and shared tables and videos.

    Raises:
        LogError: see ``LeRobotSet``; or one of these files is missing, or lacks a column or a value.
        MissingExtra: pyarrow is not installed.
    """
    videos = [key for key, feature in info.features.items() if feature.dtype == "video"]
    of_videos = [f"videos/{key}/{name}" for key in videos for name in _CLIP]
    files = sorted((path / "meta" / "episodes").glob("*/*.parquet"))
    if not files:
        raise LogError(f"{path / 'meta/episodes'} holds no file, expected chunk-000/file-000.parquet")
    episodes: dict[int, Episode] = {}
    for file in files:
        tasks = ["tasks"] if "tasks" in column_names(file) else []
        for row in read_table(file, [*_PLACE, *of_videos, *tasks]).to_pylist():
            episode = _episode(path, info, file, row, videos)
            if episode.number in episodes:
                raise LogError(f"{file} lists episode {episode.number} a second time")
            episodes[episode.number] = episode
    ordered = [episodes[number] for number in sorted(episodes)]
    return LeRobotSet(path, info, _tasks(path), ordered, options)


def _episode(path: Path, info: Info, file: Path, row: Mapping[str, Any], videos: list[str]) -> Episode:
    for name, value in row.items():
        if value is None:
            raise LogError(f"{file}: {name} is empty for episode {row['episode_index']}")
    first = int(row["dataset_from_index"])
    clips = {}
    for key in videos:
        chunk, number, start, stop = (row[f"videos/{key}/{name}"] for name in _CLIP)
        clips[key] = Clip(
            place(path, info.video_path, video_key=key, chunk_index=int(chunk), file_index=int(number)),
            float(start),
            float(stop),
        )
    return Episode(
        number=int(row["episode_index"]),
        length=int(row["dataset_to_index"]) - first,
        table=place(
            path,
            info.data_path,
            chunk_index=int(row["data/chunk_index"]),
            file_index=int(row["data/file_index"]),
        ),
        clips=clips,
        tasks=[str(task) for task in row.get("tasks", ())],
        first_index=first,
    )


def _tasks(path: Path) -> dict[int, str]:
    """Of ``meta/tasks.parquet``, whose texts are the index of the data frame that it was written from."""
    file = path / "meta" / "tasks.parquet"
    names = [name for name in ("task", "__index_level_0__") if name in column_names(file)]
    if not names:
        raise LogError(f"{file} has no column of texts, expected task; found: {', '.join(column_names(file))}")
    table = read_table(file, ["task_index", names[0]])
    return {int(row["task_index"]): str(row[names[0]]) for row in table.to_pylist()}
