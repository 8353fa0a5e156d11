"""An episode of a LeRobot data set: where it lies, and whether its rows are all there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vla_runtime.core.errors import LogError
from vla_runtime.learn.sets.lerobot_info import Info
from vla_runtime.learn.sets.table import integers, numbers

if TYPE_CHECKING:
    import pyarrow

__all__ = ["Clip", "Episode", "check_totals", "row_times"]


@dataclass(frozen=True)
class Clip:
    """Where an episode's video lies: seconds ``start_s`` to ``stop_s`` of the file, None for all of it."""

    path: Path
    start_s: float = 0.0
    stop_s: float | None = None


@dataclass(frozen=True)
class Episode:
    """Where an episode lies. ``tasks``: what was done in it; ``first_index``: its first row's ``index``, if known."""

    number: int
    length: int
    table: Path
    clips: Mapping[str, Clip]
    tasks: Sequence[str]
    first_index: int | None = None


def check_totals(path: Path, info: Info, episodes: Sequence[Episode]) -> None:
    """Refuse a list of ``episodes`` that is empty or is not what ``meta/info.json`` says.

    Raises:
        LogError: so it is.
    """
    if not episodes:
        raise LogError(f"{path} holds no episode")
    for episode in episodes:
        if episode.length < 1:
            raise LogError(f"{path}: episode {episode.number} has {episode.length} rows, expected at least 1")
    steps = sum(episode.length for episode in episodes)
    for what, found, said in (
        ("total_episodes", len(episodes), info.total_episodes),
        ("total_frames", steps, info.total_frames),
    ):
        if said is not None and said != found:
            raise LogError(f"{path / 'meta/info.json'} says {what} {said}, found {found} in its list of episodes")


def row_times(episode: Episode, table: pyarrow.Table, fps: float) -> NDArray[np.float64]:
    """Seconds since the episode began, f64[T], of its rows, which are all there and in order.

    Raises:
        LogError: rows are missing or moved, or a time is half a step or more from where the rate puts it.
    """
    path, what = episode.table, f"episode {episode.number}"
    if len(table) != episode.length:
        raise LogError(f"{path} has {len(table)} rows of {what}, expected {episode.length}")
    _check_counts(integers(table, "frame_index", path), 0, f"{path}: frame_index of {what}")
    if episode.first_index is not None:
        _check_counts(integers(table, "index", path), episode.first_index, f"{path}: index of {what}")
    times = numbers(table, "timestamp", path).astype(np.float64)
    grid = np.arange(len(times)) / fps
    # Written so that NaN is wrong too.
    wrong = np.flatnonzero(~(np.abs(times - grid) < 0.5 / fps))
    if len(wrong):
        row = int(wrong[0])
        raise LogError(
            f"{path}: row {row} of {what} has timestamp {times[row]:.4f} s, expected {grid[row]:.4f} s "
            f"at {fps:g} a second"
        )
    return times


def _check_counts(values: NDArray[np.int64], first: int, where: str) -> None:
    wrong = np.flatnonzero(values != first + np.arange(len(values)))
    if len(wrong):
        row = int(wrong[0])
        raise LogError(f"{where} is {values[row]} in row {row}, expected {first + row}: rows are missing or moved")
