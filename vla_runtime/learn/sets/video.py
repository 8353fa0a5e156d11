"""The frames of a video that belong to the rows of a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vla_runtime.core.errors import LogError, MissingExtra
from vla_runtime.core.types import U8

__all__ = ["video_frames"]

_SLACK_S = 1e-6


def video_frames(path: Path, times: NDArray[np.float64], period_s: float, keep: Callable[[int, U8], None]) -> None:
    """Give ``keep`` the frame of each row: (row, RGB u8[H, W, 3]).

    A row's frame is the one nearest to its time in the video, at most half a period away; a nearer one of the same row
    may come later. The video is decoded once, forward, from the last key frame before the first time.

    Args:
        times: f64[T], rising, in seconds of the video.
        period_s: of the rows.

    Raises:
        LogError: the video cannot be read, or a row has no frame; the message names it.
        MissingExtra: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtra("reading videos", "data") from error

    if not path.is_file():
        raise LogError(f"{path} is missing, expected a video with {len(times)} frames")
    reach = period_s / 2 + _SLACK_S
    nearest = np.full(len(times), np.inf)
    first, last, count = None, None, 0
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise LogError(f"{path} holds no video stream")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            base = stream.time_base
            container.seek(max(0, int((times[0] - period_s) / base)), stream=stream)
            for frame in container.decode(stream):
                if frame.pts is None:
                    continue
                time = float(frame.pts * base)
                first, last, count = time if first is None else first, time, count + 1
                if time > times[-1] + reach:
                    break
                row = int(np.abs(times - time).argmin())
                distance = abs(times[row] - time)
                if distance <= reach and distance < nearest[row]:
                    nearest[row] = distance
                    keep(row, frame.to_ndarray(format="rgb24"))
    except av.FFmpegError as error:
        raise LogError(f"{path} cannot be decoded: {error}") from error
    without = np.flatnonzero(nearest > reach)
    if len(without):
        row = int(without[0])
        seen = "no frame" if count == 0 else f"{count} frames from {first:.3f} s to {last:.3f} s"
        raise LogError(
            f"{path} has no frame for row {row}: found {seen}, expected one at {times[row]:.3f} s "
            f"(of {len(times)} from {times[0]:.3f} s to {times[-1]:.3f} s)"
        )
