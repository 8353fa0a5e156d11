"""One camera frame as one single-part message. (CONFLATE drops parts of multipart messages, silently.)

The camera's name travels in the frame and is checked: a frame from another camera is an error, never a substitute.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Literal

import msgspec
import numpy as np

from vla_runtime.core.errors import MalformedMessage
from vla_runtime.core.types import U8, Frame
from vla_runtime.wire.decode import decoder

__all__ = ["FrameMessage", "decode_frame", "encode_frame", "pixels_of", "restamped"]

WIRE_VERSION = 1
MAX_SIDE = 8192


class FrameMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A frame as it travels. ``sent_ns`` is the sender's clock at sending; ``crc32`` covers ``payload``."""

    version: int
    camera: str
    seq: int
    capture_ns: int
    sent_ns: int
    encoding: Literal["jpeg", "raw"]
    height: int
    width: int
    payload: bytes
    crc32: int


_encode = msgspec.msgpack.Encoder().encode
_decode: Callable[[bytes], FrameMessage] = decoder(FrameMessage, "a camera frame")


def encode_frame(
    camera: str, frame: Frame, sent_ns: int, encoding: Literal["jpeg", "raw"] = "jpeg", quality: int = 90
) -> bytes:
    """``frame`` as wire bytes; ``quality`` 1 to 100 applies to jpeg."""
    height, width, _ = frame.pixels.shape
    pixels = np.ascontiguousarray(frame.pixels)
    if encoding == "jpeg":
        import simplejpeg

        payload = simplejpeg.encode_jpeg(pixels, quality=quality, colorspace="RGB", colorsubsampling="420")
    else:
        payload = pixels.tobytes()
    return _encode(
        FrameMessage(
            WIRE_VERSION, camera, frame.seq, frame.capture_ns, sent_ns, encoding, height, width, payload,
            zlib.crc32(payload),
        )
    )  # fmt: skip


def decode_frame(data: bytes, camera: str) -> FrameMessage:
    """Wire bytes to a checked message; the payload is still encoded.

    Raises:
        MalformedMessage: not a frame, another wire version, another camera, a broken checksum or absurd sizes.
    """
    message = _decode(data)
    if message.version != WIRE_VERSION:
        raise MalformedMessage(f"frame of wire version {message.version}, expected {WIRE_VERSION}")
    if message.camera != camera:
        raise MalformedMessage(f"frame from camera {message.camera!r}, expected {camera!r}")
    if not (0 < message.height <= MAX_SIDE and 0 < message.width <= MAX_SIDE):
        raise MalformedMessage(f"frame of {message.height}x{message.width} pixels")
    if message.seq < 0 or message.capture_ns < 0:
        raise MalformedMessage(f"frame with seq {message.seq}, capture_ns {message.capture_ns}")
    if zlib.crc32(message.payload) != message.crc32:
        raise MalformedMessage("frame whose checksum does not match")
    return message


def restamped(message: FrameMessage, capture_ns: int) -> bytes:
    """``message`` as wire bytes with its capture at ``capture_ns`` of another clock, and its sending as long after."""
    sent_ns = message.sent_ns + capture_ns - message.capture_ns
    return _encode(msgspec.structs.replace(message, capture_ns=capture_ns, sent_ns=sent_ns))


def pixels_of(message: FrameMessage) -> U8:
    """Decode the payload to u8[H, W, 3] RGB.

    Raises:
        MalformedMessage: the payload is not the image the header announces.
    """
    shape = (message.height, message.width, 3)
    if message.encoding == "raw":
        if len(message.payload) != message.height * message.width * 3:
            raise MalformedMessage(f"raw frame of {len(message.payload)} bytes, expected {shape}")
        return np.frombuffer(message.payload, dtype=np.uint8).reshape(shape)
    import simplejpeg

    try:
        found = simplejpeg.decode_jpeg_header(message.payload)[:2]
        if found != shape[:2]:  # asked before decoding: a jpeg of 60000x60000 would take all memory
            raise MalformedMessage(f"jpeg of {found[0]}x{found[1]}, header says {message.height}x{message.width}")
        pixels: U8 = simplejpeg.decode_jpeg(message.payload, colorspace="RGB")
    except ValueError as error:
        raise MalformedMessage(f"jpeg that cannot be decoded: {error}") from error
    return pixels
