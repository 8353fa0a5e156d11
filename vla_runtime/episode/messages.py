"""What the control process and the recorder process say to each other: msgpack, one message a part."""

from __future__ import annotations

import msgspec

from vla_runtime.episode.passes import Pass, array_from
from vla_runtime.wire.decode import decoder

__all__ = ["Close", "Dropped", "Open", "Report", "Stop", "decode_order", "decode_report", "encode"]


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True, forbid_unknown_fields=True):
    """An array whose first entry is the kind."""


class Open(_Message, frozen=True):
    """Begin an episode at ``path``; the report that answers carries ``token``."""

    token: int
    path: str
    metadata: dict[str, str]


class Dropped(_Message, frozen=True):
    """``count`` records of the running episode never left the control process, up to now."""

    count: int


class Close(_Message, frozen=True):
    """Finish the episode; ``dropped`` records never left the control process."""

    token: int
    dropped: int


class Stop(_Message, frozen=True):
    """Finish the episode, if there is one, and exit."""


class Report(_Message, frozen=True):
    """The recorder's counts. ``token`` answers an Open or a Close; 0 is a regular report."""

    token: int
    path: str
    messages: int
    frames: int
    size: int
    dropped: int
    malformed: int
    error: str


encode = msgspec.msgpack.Encoder().encode
decode_order = decoder(Open | Pass | Dropped | Close | Stop, "an order to the recorder", array_from)
decode_report = decoder(Report, "a recorder's report")
