"""The JSON Schemas that stand beside the payloads in the file, in the subset that Foxglove's reader accepts.

That subset has no ``$ref``, no ``anyOf`` and no null: references are written out and an optional field shows the type
it has when it is there.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from vla_runtime.core.types import Tick
from vla_runtime.episode.metrics import MetricsPayload
from vla_runtime.episode.schema import (
    CHUNK,
    METRICS,
    MODE,
    REQUEST,
    STATE,
    TICK,
    ChunkPayload,
    ModeChange,
    RequestPayload,
    StatePayload,
)

__all__ = ["PAYLOADS", "json_schema"]

PAYLOADS: dict[str, tuple[str, type]] = {
    TICK: ("vla_runtime.Tick", Tick),
    STATE: ("vla_runtime.State", StatePayload),
    REQUEST: ("vla_runtime.Request", RequestPayload),
    CHUNK: ("vla_runtime.Chunk", ChunkPayload),
    MODE: ("vla_runtime.Mode", ModeChange),
    METRICS: ("vla_runtime.Metrics", MetricsPayload),
}
"""Topic to (schema name, payload type)."""


@cache
def json_schema(topic: str) -> bytes:
    """The schema of ``topic``'s payload as JSON text."""
    whole = msgspec.json.schema(PAYLOADS[topic][1])
    return msgspec.json.encode(_plain(whole, whole.get("$defs", {})))


def _plain(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return _plain(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    if "anyOf" in schema:
        options = [option for option in schema["anyOf"] if option.get("type") != "null"]
        # Numbers before integers: the wider of the two covers both.
        return _plain(next((o for o in options if o.get("type") == "number"), options[0]), definitions)
    kind = schema["type"]
    if kind == "array":
        return {"type": kind, "items": _plain(schema["items"], definitions)}
    if kind == "object":
        fields = {name: _plain(field, definitions) for name, field in schema.get("properties", {}).items()}
        return {"type": kind, "properties": fields}
    return {"type": kind}
