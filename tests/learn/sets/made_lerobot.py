"""Writes LeRobot data sets of versions 2.1 and 3.0 as LeRobot lays them out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .made import ACTIONS, CAMERAS, HEIGHT, LENGTHS, STATES, TEXTS, WIDTH, frames, rows_of, task_of, write_video

VIDEOS: Mapping[str, str] = dict.fromkeys(CAMERAS, "video")
PATHS = {
    "v2.1": (
        "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    ),
    "v3.0": (
        "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    ),
}


def write_v21(root: Path, cameras: Mapping[str, str] = VIDEOS, fps: int = 30) -> Path:
    """A table and videos for each episode."""
    _write_info(root, "v2.1", cameras, fps)
    _lines(root / "meta" / "tasks.jsonl", [{"task_index": n, "task": text} for n, text in enumerate(TEXTS)])
    episodes = [
        {"episode_index": n, "tasks": [TEXTS[task_of(n)]], "length": length} for n, length in enumerate(LENGTHS)
    ]
    _lines(root / "meta" / "episodes.jsonl", episodes)
    for number in range(len(LENGTHS)):
        table = _table(rows_of(number, fps, cameras), cameras)
        _parquet(table, root / f"data/chunk-000/episode_{number:06d}.parquet")
        for camera, kind in cameras.items():
            if kind == "video":
                key = f"observation.images.{camera}"
                write_video(root / f"videos/chunk-000/{key}/episode_{number:06d}.mp4", frames(number, camera), fps)
    return root


def write_v30(root: Path, cameras: Mapping[str, str] = VIDEOS, fps: int = 30) -> Path:
    """The first two episodes share a table and a video, the last has its own."""
    _write_info(root, "v3.0", cameras, fps)
    texts = pa.table({"task_index": [0, 1], "__index_level_0__": list(TEXTS)})
    _parquet(texts, root / "meta/tasks.parquet")
    for file, episodes in enumerate(([0, 1], [2])):
        tables = [_table(rows_of(number, fps, cameras), cameras) for number in episodes]
        _parquet(pa.concat_tables(tables), root / f"data/chunk-000/file-{file:03d}.parquet")
        for camera, kind in cameras.items():
            if kind == "video":
                images = chain.from_iterable(frames(number, camera) for number in episodes)
                path = root / f"videos/observation.images.{camera}/chunk-000/file-{file:03d}.mp4"
                write_video(path, images, fps)
    places = [_place(number, cameras, fps) for number in range(len(LENGTHS))]
    _parquet(pa.Table.from_pylist(places), episodes_of(root))
    return root


def episodes_of(root: Path) -> Path:
    return root / "meta/episodes/chunk-000/file-000.parquet"


def _place(number: int, cameras: Mapping[str, str], fps: int) -> dict[str, object]:
    first = sum(LENGTHS[:number])
    file, before = (0, first) if number < 2 else (1, 0)
    row: dict[str, object] = {
        "episode_index": number,
        "tasks": [TEXTS[task_of(number)]],
        "length": LENGTHS[number],
        "data/chunk_index": 0,
        "data/file_index": file,
        "dataset_from_index": first,
        "dataset_to_index": first + LENGTHS[number],
        "stats/action/mean": [0.0] * len(ACTIONS),
    }
    for camera, kind in cameras.items():
        if kind == "video":
            of_video = f"videos/observation.images.{camera}"
            row[f"{of_video}/chunk_index"] = 0
            row[f"{of_video}/file_index"] = file
            row[f"{of_video}/from_timestamp"] = before / fps
            row[f"{of_video}/to_timestamp"] = (before + LENGTHS[number]) / fps
    return row


def edit_info(root: Path, **changes: object) -> None:
    path = root / "meta" / "info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_feature(root: Path, key: str, **changes: object) -> None:
    features = json.loads((root / "meta" / "info.json").read_text())["features"]
    features[key] |= changes
    edit_info(root, features=features)


def edit_table(path: Path, **columns: list[object]) -> None:
    """Replace columns, ``__`` standing for the slash of a name."""
    table = pq.read_table(path)
    for name, values in columns.items():
        name = name.replace("__", "/")
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(name), pa.array(values, table.schema.field(name).type))
    pq.write_table(table, path)


def _write_info(root: Path, version: str, cameras: Mapping[str, str], fps: int) -> None:
    number = {"dtype": "int64", "shape": [1], "names": None}
    features: dict[str, object] = {
        "observation.state": {"dtype": "float32", "shape": [len(STATES)], "names": {"motors": list(STATES)}},
        "action": {"dtype": "float32", "shape": [len(ACTIONS)], "names": list(ACTIONS)},
    }
    for camera, kind in cameras.items():
        features[f"observation.images.{camera}"] = {
            "dtype": "video" if kind == "video" else "image",
            "shape": [HEIGHT, WIDTH, 3],
            "names": ["height", "width", "channels"],
        }
    features |= dict.fromkeys(("frame_index", "episode_index", "index", "task_index"), number)
    features["timestamp"] = {"dtype": "float32", "shape": [1], "names": None}
    data_path, video_path = PATHS[version]
    info = {
        "codebase_version": version,
        "robot_type": "so100",
        "total_episodes": len(LENGTHS),
        "total_frames": sum(LENGTHS),
        "total_tasks": len(TEXTS),
        "chunks_size": 1000,
        "fps": fps,
        "splits": {"train": f"0:{len(LENGTHS)}"},
        "data_path": data_path,
        "video_path": video_path if "video" in cameras.values() else None,
        "features": features,
    }
    path = root / "meta" / "info.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(info, indent=4))


def _table(columns: Mapping[str, list[object]], cameras: Mapping[str, str]) -> pa.Table:
    types = {
        "observation.state": pa.list_(pa.float32(), len(STATES)),
        "action": pa.list_(pa.float32(), len(ACTIONS)),
        "timestamp": pa.float32(),
    }
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    types |= {f"observation.images.{camera}": image for camera, kind in cameras.items() if kind != "video"}
    return pa.table({name: pa.array(values, types.get(name, pa.int64())) for name, values in columns.items()})


def _parquet(table: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def _lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
