"""An episode's camera frames as a short film: GIF, WebP or MP4."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from vla_runtime.core.errors import LogError, Refusal, choices
from vla_runtime.core.types import U8
from vla_runtime.episode.frames import LoggedFrame
from vla_runtime.episode.reader import Episode

__all__ = ["FILM_SUFFIXES", "check_film", "write_film"]

FILM_SUFFIXES = (".gif", ".webp", ".mp4")
_HEIGHT = 288
_BANNER = 28
_LAST_MS = 1500
_LIGHT, _DIM, _DARK = (235, 235, 235), (150, 150, 150), (24, 24, 28)
_MODE_COLOURS = {"running": (120, 200, 120), "holding": (90, 190, 240), "faulted": (90, 90, 240)}


def check_film(path: Path) -> None:
    """Whether a film can be written to ``path``.

    Raises:
        Refusal: another suffix, or no such directory.
    """
    if path.suffix not in FILM_SUFFIXES:
        raise Refusal(f"--film {path}: suffix {path.suffix!r} given; {choices(path.suffix, FILM_SUFFIXES)}")
    if not path.parent.is_dir():
        raise Refusal(f"--film {path}: there is no directory {str(path.parent)!r}")


def write_film(episodes: Sequence[Episode], path: Path, fps: float = 10.0) -> int:
    """One film of ``episodes``, one after another, at their own pace; returns the number of pictures.

    The largest camera is shown on the left, the others beside it, under the instruction and the mode. The last
    picture of an episode stands for a while.

    Raises:
        LogError: an episode without frames, or the file cannot be written.
        Refusal: see ``check_film``.
    """
    check_film(path)
    pictures: list[U8] = []
    durations: list[int] = []
    for episode in episodes:
        shown = list(_pictures(episode, fps))
        pictures += shown
        durations += [round(1000 / fps)] * (len(shown) - 1) + [_LAST_MS]
    size = max(picture.shape[0] for picture in pictures), max(picture.shape[1] for picture in pictures)
    pictures = [_padded(picture, size) for picture in pictures]
    draft = path.with_name(f".{path.stem}.draft{path.suffix}")
    try:
        if not (_video if path.suffix == ".mp4" else _animation)(draft, pictures, durations, fps):
            raise LogError(f"cannot write the film {path}")
        draft.replace(path)
    except (OSError, cv2.error) as error:
        raise LogError(f"cannot write the film {path}: {error}") from error
    finally:
        draft.unlink(missing_ok=True)
    return len(pictures)


def _animation(path: Path, pictures: list[U8], durations: list[int], fps: float) -> bool:
    if not hasattr(cv2, "Animation"):
        raise Refusal(
            f"a {path.suffix} film needs OpenCV 4.11 or later, {cv2.__version__} is installed: write .mp4, or "
            "pip install 'opencv-python-headless>=4.11'"
        )
    animation = cv2.Animation()
    animation.frames, animation.durations, animation.loop_count = pictures, np.array(durations), 0
    return bool(cv2.imwriteanimation(str(path), animation))


def _video(path: Path, pictures: list[U8], durations: list[int], fps: float) -> bool:
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
    if not writer.isOpened():
        return False
    for picture, duration in zip(pictures, durations, strict=True):
        for _ in range(max(1, round(duration * fps / 1000))):
            writer.write(picture)
    writer.release()
    return True


def _pictures(episode: Episode, fps: float) -> Iterator[U8]:
    """BGR pictures at ``fps``."""
    cameras = {name: list(episode.frames(name)) for name in episode.cameras}
    if not cameras:
        raise LogError(f"{episode.path} holds no camera frame: {episode.note}")
    order = sorted(cameras, key=lambda name: (-cameras[name][0].height * cameras[name][0].width, name))
    stamps = {name: [frame.capture_ns for frame in frames] for name, frames in cameras.items()}
    begin = min(stamp[0] for stamp in stamps.values())
    end = max(stamp[-1] for stamp in stamps.values())
    ticks = [tick.now_ns for tick in episode.ticks]
    for now_ns in range(begin, end + 1, round(1e9 / fps)):
        frames = [cameras[name][max(0, bisect.bisect_right(stamps[name], now_ns) - 1)] for name in order]
        place = bisect.bisect_right(ticks, now_ns) - 1
        mode = episode.ticks[place].mode if place >= 0 else ""
        yield _picture(frames, episode.metadata.get("instruction", ""), mode, (now_ns - begin) / 1e9)


def _picture(frames: list[LoggedFrame], instruction: str, mode: str, seconds: float) -> U8:
    panels = [_panel(frames[0], _HEIGHT)]
    if others := frames[1:]:
        column = [_panel(frame, _HEIGHT // len(others)) for frame in others]
        width = max(panel.shape[1] for panel in column)
        panels.append(np.vstack([_padded(panel, (panel.shape[0], width)) for panel in column]))
    body = np.hstack([_padded(panel, (_HEIGHT, panel.shape[1])) for panel in panels])
    banner = np.full((_BANNER, body.shape[1], 3), _DARK, np.uint8)
    _write(banner, instruction, (8, 19), 0.5, _LIGHT)
    _write(banner, f"{mode} {seconds:4.1f} s", (body.shape[1] - 130, 19), 0.45, _MODE_COLOURS.get(mode, _DIM))
    return np.vstack([banner, body])


def _panel(frame: LoggedFrame, height: int) -> U8:
    width = round(frame.width * height / frame.height)
    method = cv2.INTER_AREA if height < frame.height else cv2.INTER_CUBIC
    panel = cv2.cvtColor(cv2.resize(frame.pixels(), (width, height), interpolation=method), cv2.COLOR_RGB2BGR)
    _write(panel, frame.camera, (6, height - 8), 0.4, _LIGHT)
    return panel


def _write(picture: U8, text: str, place: tuple[int, int], scale: float, colour: tuple[int, int, int]) -> None:
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)


def _padded(picture: U8, size: tuple[int, int]) -> U8:
    below, right = size[0] - picture.shape[0], size[1] - picture.shape[1]
    return cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_CONSTANT, value=_DARK)
