"""Small data sets with known content: every number and every image says which episode and row it belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

ACTIONS = ("shoulder", "elbow", "grip")
STATES = ("shoulder.pos", "elbow.pos")
LENGTHS = (9, 5, 12)
TEXTS = ("pick it up", "put it down")
CAMERAS = ("top", "wrist")
HEIGHT, WIDTH = 32, 48
CODEC = "libx264" if "libx264" in av.codecs_available else "mpeg4"


def action_of(episode: int, row: int) -> list[float]:
    return [episode + 0.01 * row, -episode - 0.02 * row, float(row % 2)]


def state_of(episode: int, row: int) -> list[float]:
    return [10.0 * episode + row, 0.5 * row]


def task_of(episode: int) -> int:
    return episode % 2


def image_of(episode: int, row: int, camera: str) -> np.ndarray:
    """Three flat stripes: red says the row, green the episode, blue the camera; far enough apart to survive coding."""
    image = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
    image[:, :16, 0] = 30 + 15 * row
    image[:, 16:32, 1] = 60 + 60 * episode
    image[:, 32:, 2] = 80 + 120 * CAMERAS.index(camera)
    return image


def told_by(image: np.ndarray) -> tuple[int, int, str]:
    """(episode, row, camera) of an image u8[3, H, W], of any size."""
    _, height, width = image.shape
    middle = [image[channel, height // 2, width * (2 * channel + 1) // 6] for channel in range(3)]
    row, episode, camera = (
        round((int(level) - zero) / step) for level, zero, step in zip(middle, (30, 60, 80), (15, 60, 120), strict=True)
    )
    return episode, row, CAMERAS[camera]


def frames(episode: int, camera: str, length: int | None = None) -> Iterator[np.ndarray]:
    for row in range(LENGTHS[episode] if length is None else length):
        yield image_of(episode, row, camera)


def write_video(path: Path, images: Iterator[np.ndarray], fps: int, gop: int = 5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(CODEC, rate=fps)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.gop_size = gop
        stream.bit_rate = 4_000_000
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def rows_of(episode: int, fps: int, cameras: Mapping[str, str]) -> dict[str, list[object]]:
    """The table of an episode, column by column; images of ``cameras`` (name to video, png or jpeg) where not video."""
    steps = range(LENGTHS[episode])
    first = sum(LENGTHS[:episode])
    encode = {"png": png, "jpeg": jpeg}
    columns: dict[str, list[object]] = {
        "observation.state": [state_of(episode, row) for row in steps],
        "action": [action_of(episode, row) for row in steps],
        "timestamp": [float(np.float32(row / fps)) for row in steps],
        "frame_index": list(steps),
        "episode_index": [episode for _ in steps],
        "index": [first + row for row in steps],
        "task_index": [task_of(episode) for _ in steps],
    }
    for camera, kind in cameras.items():
        if kind != "video":
            columns[f"observation.images.{camera}"] = [
                {"bytes": encode[kind](image_of(episode, row, camera)), "path": f"frame_{row:06d}.png"} for row in steps
            ]
    return columns
