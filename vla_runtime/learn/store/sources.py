"""Which reader a directory of demonstrations needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vla_runtime.core.errors import ConfigError, LogError
from vla_runtime.learn.sets.source import Source
from vla_runtime.learn.store.layout import is_store
from vla_runtime.learn.store.mcap import McapEpisodes
from vla_runtime.learn.store.open import open_store

__all__ = ["LeftOut", "left_out", "open_source"]


@dataclass(frozen=True)
class LeftOut:
    """What of a source is no samples: files with the reason, chunks by reason, files that lack their end."""

    unusable: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    truncated: int = 0


def left_out(source: Source) -> LeftOut:
    """What ``source`` says of itself; most leave nothing out."""
    if isinstance(source, McapEpisodes):
        return LeftOut(source.unusable, source.skipped, source.truncated)
    return LeftOut()


def open_source(
    path: Path,
    *,
    chunk_length: int | None = None,
    keep: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Source:
    """The demonstrations in the directory ``path``: a store, episodes (*.mcap), or another project's data set.

    Args:
        chunk_length: rows of a chunk, for data sets that hold single actions; None for the reader's default.
        keep: all episodes will be read at once, see ``McapEpisodes``.

    Raises:
        LogError: it is none of these, or cannot be used.
        ConfigError: its chunks have another length.
    """
    if not path.is_dir():
        raise LogError(f"{path} is no directory, expected one with episodes (*.mcap)")
    if not is_store(path) and not any(path.glob("*.mcap")):
        return _data_set(path, chunk_length)
    source = open_store(path) if is_store(path) else McapEpisodes(path, keep, say)
    length = source.facts.chunk_length
    if chunk_length not in (None, length):
        raise ConfigError(f"{chunk_length} given, {path} holds chunks of {length} rows already", "--chunk-length")
    return source


def _data_set(path: Path, chunk_length: int | None) -> Source:
    try:
        from vla_runtime.learn.sets.open import open_set
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("vla_runtime.learn.sets"):
            raise
        raise LogError(
            f"{path} holds no episode to learn from: there is no file *.mcap in it, nor is it a store"
        ) from None
    return open_set(path) if chunk_length is None else open_set(path, chunk_length=chunk_length)
