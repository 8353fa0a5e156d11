"""Gives a cut episode a valid end, by writing all that is whole in it to a new file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mcap.opcode import Opcode
from mcap.records import Channel, Metadata, Schema

from vla_runtime.core.errors import LogError
from vla_runtime.episode.mapping import mapped
from vla_runtime.episode.mcapfile import McapFile
from vla_runtime.episode.scan import DAMAGE, MESSAGE_HEADER, Record, Scan, parse

__all__ = ["RecoverReport", "recover"]


@dataclass(frozen=True, slots=True)
class RecoverReport:
    """``messages`` are in ``out``; ``lost_bytes`` at the end of ``path`` held no whole record; ``note`` says why."""

    path: Path
    out: Path
    messages: int
    lost_bytes: int
    whole: bool
    note: str


def recover(path: Path, out: Path) -> RecoverReport:
    """Write every whole record of ``path`` to the new file ``out``, with a summary. Works on any MCAP file.

    Raises:
        LogError: ``path`` is no MCAP file, ``out`` exists, or it cannot be written (it is then removed).
    """
    with mapped(path) as buffer:
        try:
            scan = Scan(buffer)
        except LogError as error:
            raise LogError(f"{path}: {error}") from None
        file = McapFile(out)
        try:
            copy = _Copy(file)
            for record in scan.records():
                copy.take(record)
            file.finish()
        except OSError as error:
            out.unlink(missing_ok=True)
            raise LogError(f"{out} cannot be written: {error.strerror}") from error
        finally:
            file.close()
        notes = [*scan.notes, *([f"{copy.damaged} damaged records left out"] if copy.damaged else [])]
        return RecoverReport(path, out, copy.messages, len(buffer) - scan.end, scan.whole, "; ".join(notes))


class _Copy:
    def __init__(self, file: McapFile) -> None:
        self._writer = file.writer
        self._schemas: dict[int, int] = {0: 0}
        self._channels: dict[int, int] = {}
        self.messages = 0
        self.damaged = 0
        self._writer.start(profile="", library="vla-runtime")

    def take(self, record: Record) -> None:
        """Copy one record; one that cannot be parsed is counted and left out."""
        try:
            self._copy(record)
        except DAMAGE:
            self.damaged += 1

    def _copy(self, record: Record) -> None:
        if record.opcode == Opcode.MESSAGE:
            content = record.content
            channel, sequence, log_ns, publish_ns = MESSAGE_HEADER.unpack_from(content)
            if channel not in self._channels:
                raise ValueError(f"a message of the unknown channel {channel}")
            self._writer.add_message(
                self._channels[channel], log_ns, content[MESSAGE_HEADER.size :], publish_ns, sequence
            )
            self.messages += 1
        elif record.opcode == Opcode.METADATA:
            metadata = parse(record, Metadata)
            self._writer.add_metadata(metadata.name, metadata.metadata)
        elif record.opcode == Opcode.SCHEMA:
            schema = parse(record, Schema)
            if schema.id not in self._schemas:
                self._schemas[schema.id] = self._writer.register_schema(schema.name, schema.encoding, schema.data)
        elif record.opcode == Opcode.CHANNEL:
            found = parse(record, Channel)
            if found.id not in self._channels and found.schema_id in self._schemas:
                self._channels[found.id] = self._writer.register_channel(
                    found.topic, found.message_encoding, self._schemas[found.schema_id], found.metadata
                )
