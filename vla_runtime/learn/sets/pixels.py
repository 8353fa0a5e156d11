"""Single images: decoding those that lie in a table, and the size that a policy takes."""

from __future__ import annotations

import cv2
import numpy as np

from vla_runtime.core.errors import LogError
from vla_runtime.core.types import U8

__all__ = ["decode_image", "resized"]


def decode_image(data: bytes, where: str) -> U8:
    """A PNG or JPEG to RGB u8[H, W, 3], as it is stored: a turned camera's orientation tag is left alone.

    Raises:
        LogError: it is neither, or is cut; the message begins with ``where``.
    """
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if pixels is None:
        raise LogError(f"{where}: {len(data)} bytes that are no image, expected a whole PNG or JPEG")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def resized(pixels: U8, size: tuple[int, int]) -> U8:
    """RGB u8[H, W, 3] as u8[*size, 3], by area interpolation."""
    if pixels.shape[:2] == size:
        return pixels
    return cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)
