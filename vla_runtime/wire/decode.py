"""Bytes from a peer to a message. Whatever the bytes are, the only error is MalformedMessage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from vla_runtime.core.errors import MalformedMessage

__all__ = ["decoder"]


def decoder(kind: Any, what: str, hook: Callable[[Any, Any], Any] | None = None) -> Callable[[bytes], Any]:
    """A function from msgpack bytes to ``kind``; ``what`` names it in the error, ``hook`` is msgspec's ``dec_hook``."""
    decode = msgspec.msgpack.Decoder(kind, dec_hook=hook).decode

    def checked(data: bytes) -> Any:
        try:
            return decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise MalformedMessage(f"not {what}: {error}") from error

    return checked
