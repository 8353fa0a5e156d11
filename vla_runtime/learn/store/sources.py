"""Which reader a directory of demonstrations needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vla_runtime.core.errors import ConfigError, LogError
from vla_runtime.learn.sets.open import is_set, open_with
from vla_runtime.learn.sets.options import SetOptions
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
    options: SetOptions | None = None,
    keep: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Source:
    """The demonstrations in the directory ``path``: a store, episodes (*.mcap), or another project's data set.

    Args:
        options: what another project's data set does not say of itself, chunks of single actions for example.
        keep: all episodes will be read at once, see ``McapEpisodes``.

    Raises:
        LogError: it is none of these, or cannot be used.
        ConfigError: an option has no meaning with it, or does not fit it; its chunks have another length.
        MissingExtra: a package that a data set's files need is not installed.
    """
    if not path.is_dir():
        raise LogError(f"{path} is no directory, expected one with episodes (*.mcap)")
    if is_store(path) or any(path.glob("*.mcap")):
        source = open_store(path) if is_store(path) else McapEpisodes(path, keep, say)
        if options is not None:
            _check_options(options, path, source.facts.chunk_length)
        return source
    if is_set(path):
        return open_with(path, SetOptions() if options is None else options)
    raise LogError(
        f"{path} holds no episode to learn from: there is no file *.mcap in it, nor is it a store, a LeRobot data set "
        "(meta/info.json) or one of Open X-Embodiment (meta.json, episode.memmap, observation/)"
    )


def _check_options(options: SetOptions, path: Path, chunk_length: int) -> None:
    """Nothing is left open in our own data, not even the chunks."""
    default = SetOptions(chunk_length=options.chunk_length)
    for name in options.__struct_fields__:
        if getattr(options, name) != getattr(default, name):
            raise ConfigError(f"{getattr(options, name)!r} given, but {path} says so itself", _option(name))
    if options.chunk_length != chunk_length:
        raise ConfigError(
            f"{options.chunk_length} given, {path} holds chunks of {chunk_length} rows already", "--chunk-length"
        )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
