"""What the versions of LeRobot's data sets have in common: features, and rows that become samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tensordict import TensorDict

from vla_runtime.core.errors import ConfigError, LogError
from vla_runtime.core.types import U8
from vla_runtime.learn.contract import TaskFacts
from vla_runtime.learn.sets.lerobot_episode import Clip, Episode, check_totals, row_times
from vla_runtime.learn.sets.lerobot_info import Info, dimension_names, image_size, rgb_cameras
from vla_runtime.learn.sets.options import SetOptions
from vla_runtime.learn.sets.pixels import decode_image, resized
from vla_runtime.learn.sets.samples import episode_samples
from vla_runtime.learn.sets.table import integers, read_table, vectors
from vla_runtime.learn.sets.video import video_frames
from vla_runtime.learn.vocab import text_vocab

if TYPE_CHECKING:
    import pyarrow

__all__ = ["LeRobotSet"]

STATE = "observation.state"
ACTION = "action"


@dataclass(frozen=True)
class _Vector:
    keys: Sequence[str]
    names: Mapping[str, Sequence[str]]

    def labels(self) -> list[str]:
        return [name for key in self.keys for name in self.names[key]]


class LeRobotSet:
    """The data set at ``path`` as demonstrations, with its ``episodes`` in order and its ``tasks`` by number.

    Raises:
        LogError: what it says of itself cannot be used; the message names file and feature.
    """

    def __init__(
        self, path: Path, info: Info, tasks: Mapping[int, str], episodes: Sequence[Episode], options: SetOptions
    ) -> None:
        if options.rate_hz is not None and options.rate_hz != info.fps:
            raise ConfigError(f"rate_hz {options.rate_hz:g} given, {path} says {info.fps:g}")
        if options.instruction is not None:
            raise ConfigError(f"an instruction is given, but {path} holds its own")
        check_totals(path, info, episodes)
        self._path, self._info, self._options, self._episodes = path, info, options, episodes
        self._action = self._vector(options.action or (ACTION,), "action")
        self._state = self._vector(options.state or (STATE,), "state")
        self._cameras = rgb_cameras(info, path, options.cameras)
        self._sizes = {name: image_size(key, info.features[key], path) for name, key in self._cameras.items()}
        instructions = _instructions(path, tasks, episodes)
        self._facts = TaskFacts(
            name=path.resolve().name,
            actions=dict.fromkeys(self._action.labels(), options.units),
            state=dict.fromkeys(self._state.labels(), options.units),
            cameras={name: options.size or size for name, size in self._sizes.items()},
            instructions=instructions,
            dt_ns=round(1e9 / info.fps),
            chunk_length=options.chunk_length,
            text_vocab=text_vocab(instructions),
            state_time="capture",
        )
        encoding = self._facts.encoding()
        self._ids = {number: encoding.encode(text) for number, text in tasks.items() if text in instructions}

    @property
    def facts(self) -> TaskFacts:
        """What all episodes have in common; the instructions are those of the episodes' tasks."""
        return self._facts

    @property
    def lengths(self) -> Sequence[int]:
        """Steps of each episode."""
        return [episode.length for episode in self._episodes]

    def read(self, episode: int) -> TensorDict:
        """See ``Source.read``.

        Raises:
            LogError: a file is missing or cut, rows are missing, or they do not fit what the data set says of itself.
            MissingExtra: pyarrow or PyAV is not installed.
        """
        found = self._episodes[episode]
        embedded = {name: key for name, key in self._cameras.items() if self._info.features[key].dtype == "image"}
        index = [] if found.first_index is None else ["index"]
        columns = ["episode_index", "frame_index", "timestamp", "task_index", *index, *self._action.keys]
        columns += [*self._state.keys, *embedded.values()]
        table = read_table(found.table, list(dict.fromkeys(columns)), ("episode_index", found.number))
        times = row_times(found, table, self._info.fps)
        images = {}
        for name, key in self._cameras.items():
            if name in embedded:
                images[name] = self._from_table(table, key, name, found.table)
            else:
                images[name] = self._from_video(found, found.clips[key], name, times)
        return episode_samples(
            images,
            self._numbers(table, self._state, found.table),
            self._instruction_ids(table, found.table),
            self._numbers(table, self._action, found.table),
            self._facts.chunk_length,
        )

    def _vector(self, keys: Sequence[str], prefix: str) -> _Vector:
        names = {}
        for key in keys:
            # Several features of unnamed dimensions must not share their names.
            of_one = prefix if len(keys) == 1 else key.rpartition(".")[2]
            names[key] = dimension_names(key, self._info.feature(key, self._path), of_one, self._path)
        vector = _Vector(keys, names)
        labels = vector.labels()
        if repeated := sorted({name for name in labels if labels.count(name) > 1}):
            raise LogError(f"{self._path}: features {', '.join(keys)} share the names {', '.join(repeated)}")
        return vector

    def _numbers(self, table: pyarrow.Table, vector: _Vector, path: Path) -> NDArray[np.float32]:
        return np.concatenate([vectors(table, key, len(vector.names[key]), path) for key in vector.keys], axis=1)

    def _instruction_ids(self, table: pyarrow.Table, path: Path) -> list[int]:
        tasks = integers(table, "task_index", path).tolist()
        unknown = sorted(set(tasks) - self._ids.keys())
        if unknown:
            raise LogError(f"{path}: task_index {unknown[0]} is no task of an episode; known: {sorted(self._ids)}")
        return [self._ids[task] for task in tasks]

    def _from_table(self, table: pyarrow.Table, key: str, name: str, path: Path) -> U8:
        pixels = self._block(name, len(table))
        for row, cell in enumerate(table.column(key)):
            entry = cell.as_py()
            data = entry.get("bytes") if isinstance(entry, dict) else None
            if data is None:
                raise LogError(f"{path}: {key} holds no image in row {row}, expected one embedded as bytes")
            pixels[row] = self._fitted(name, decode_image(data, f"{path}: {key}, row {row}"), path)
        return pixels

    def _from_video(self, episode: Episode, clip: Clip, name: str, times: NDArray[np.float64]) -> U8:
        period = 1.0 / self._info.fps
        if clip.stop_s is not None and not clip.stop_s - clip.start_s > times[-1] + period / 2:
            raise LogError(
                f"{clip.path}: episode {episode.number} takes {clip.stop_s - clip.start_s:.3f} s of it, "
                f"expected {episode.length} frames at {self._info.fps:g} a second, {episode.length * period:.3f} s"
            )
        pixels = self._block(name, len(times))

        def keep(row: int, frame: U8) -> None:
            pixels[row] = self._fitted(name, frame, clip.path)

        video_frames(clip.path, clip.start_s + times, period, keep)
        return pixels

    def _block(self, name: str, rows: int) -> U8:
        return np.empty((rows, *self._facts.cameras[name], 3), np.uint8)

    def _fitted(self, name: str, pixels: U8, path: Path) -> U8:
        if pixels.shape[:2] != self._sizes[name]:
            (height, width), (expected_height, expected_width) = pixels.shape[:2], self._sizes[name]
            raise LogError(
                f"{path}: an image of camera {name!r} is {height}x{width}, expected {expected_height}x{expected_width}"
            )
        return resized(pixels, self._facts.cameras[name])


def _instructions(path: Path, tasks: Mapping[int, str], episodes: Iterable[Episode]) -> list[str]:
    """The tasks that were done, in the order of their numbers; all, if the episodes do not say."""
    done = dict.fromkeys(text for episode in episodes for text in episode.tasks)
    known = list(dict.fromkeys(text for _, text in sorted(tasks.items())))
    for text in done:
        if text not in known:
            raise LogError(f"{path}: an episode's task {text!r} is not in the data set's list of tasks")
    if not known:
        raise LogError(f"{path} has no tasks, expected at least one instruction")
    return [text for text in known if text in done] if done else known
