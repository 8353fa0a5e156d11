"""``meta/info.json`` of a LeRobot data set: what it holds, under which names, in which files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from vla_runtime.core.errors import ConfigError, LogError, choices

__all__ = ["Feature", "Info", "dimension_names", "image_size", "place", "read_info", "rgb_cameras"]


class Feature(msgspec.Struct, frozen=True):
    """One column. ``names`` are those of its dimensions: none, a list, lists by group, or positions by name."""

    dtype: str
    shape: tuple[int, ...]
    names: Any = None
    info: Mapping[str, Any] | None = None
    video_info: Mapping[str, Any] | None = None

    @property
    def is_image(self) -> bool:
        """Whether it is a camera's, in a video or in the table."""
        return self.dtype in ("video", "image")

    @property
    def is_depth(self) -> bool:
        """Whether its pixels are distances, not colours."""
        notes = {**(self.video_info or {}), **(self.info or {})}
        return bool(notes.get("is_depth_map") or notes.get("video.is_depth_map"))


class Info(msgspec.Struct, frozen=True):
    """What of the file is used. ``data_path`` and ``video_path`` are templates below the data set's directory."""

    codebase_version: str
    fps: float
    features: dict[str, Feature]
    data_path: str
    video_path: str | None = None
    total_episodes: int | None = None
    total_frames: int | None = None
    chunks_size: int = 1000

    def feature(self, key: str, path: Path) -> Feature:
        """The feature ``key`` of the data set at ``path``.

        Raises:
            LogError: there is none.
        """
        try:
            return self.features[key]
        except KeyError:
            raise LogError(f"{path / 'meta/info.json'} has no feature {key!r}; {choices(key, self.features)}") from None


def read_info(path: Path) -> Info:
    """Of the data set at ``path``.

    Raises:
        LogError: it is missing, no JSON, lacks a field, or its rate is no rate.
    """
    file = path / "meta" / "info.json"
    try:
        info = msgspec.json.decode(file.read_bytes(), type=Info)
    except (OSError, msgspec.MsgspecError) as error:
        raise LogError(f"{file} cannot be read: {error}") from error
    if not 0 < info.fps < float("inf") or info.chunks_size < 1:
        raise LogError(f"{file} has fps {info.fps} and chunks_size {info.chunks_size}, expected more than 0")
    return info


def place(path: Path, template: str | None, **fields: object) -> Path:
    """The file below ``path`` that a template of ``info.json`` names.

    Raises:
        LogError: there is no template, it wants a field that there is not, or it leads out of the data set.
    """
    try:
        relative = PurePosixPath((template or "").format(**fields))
    except (LookupError, ValueError, AttributeError) as error:
        raise LogError(
            f"{path / 'meta/info.json'}: {template!r} cannot be filled in ({error!r}); known: {', '.join(fields)}"
        ) from error
    if not relative.parts or relative.is_absolute() or ".." in relative.parts:
        raise LogError(f"{path / 'meta/info.json'}: {template!r} gives {relative}, expected a path below {path}")
    return path / relative


def dimension_names(key: str, feature: Feature, prefix: str, path: Path) -> list[str]:
    """A name for each of a vector's dimensions; ``prefix_0``, ``prefix_1`` ... where the data set gives none.

    Of several groups of names each name is prefixed with its group's.

    Raises:
        LogError: it is no vector, or has another number of names, or one of them twice.
    """
    where = f"{path / 'meta/info.json'}: feature {key!r}"
    if len(feature.shape) != 1 or not feature.dtype.startswith(("float", "int", "uint")):
        raise LogError(f"{where} is {feature.dtype} of shape {list(feature.shape)}, expected numbers of shape [D]")
    names = _flat(feature.names) or [f"{prefix}_{number}" for number in range(feature.shape[0])]
    if len(names) != feature.shape[0]:
        raise LogError(f"{where} has {len(names)} names, expected {feature.shape[0]}: {', '.join(names)}")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise LogError(f"{where} has names twice: {', '.join(repeated)}")
    return names


def _flat(names: Any) -> list[str]:
    if names is None:
        return []
    if isinstance(names, str):
        return [names]
    if isinstance(names, Mapping):
        if all(isinstance(number, int) for number in names.values()):
            return sorted(names, key=names.__getitem__)
        groups = {str(group): _flat(inner) for group, inner in names.items()}
        if len(groups) == 1:
            return next(iter(groups.values()))
        return [f"{group}.{name}" for group, inner in groups.items() for name in inner]
    if isinstance(names, (list, tuple)):
        return [name for inner in names for name in _flat(inner)]
    return [str(names)]


def rgb_cameras(info: Info, path: Path, wanted: Sequence[str] | None) -> dict[str, str]:
    """Camera name, the last part of the feature's key, to the key; in the order wanted, else that of the file.

    Raises:
        LogError: two have the same last part.
        ConfigError: one that is wanted is not there, or gives depth.
    """
    found: dict[str, str] = {}
    for key, feature in info.features.items():
        if feature.is_image and not feature.is_depth:
            name = key.rpartition(".")[2]
            if name in found:
                raise LogError(f"{path}: the cameras {found[name]!r} and {key!r} have the same last part {name!r}")
            found[name] = key
    if wanted is None:
        return found
    for name in wanted:
        if name not in found:
            raise ConfigError(f"{path} has no RGB camera {name!r}; {choices(name, found)}")
    return {name: found[name] for name in wanted}


def image_size(key: str, feature: Feature, path: Path) -> tuple[int, int]:
    """(height, width) of an RGB camera, whichever way round its shape is written.

    Raises:
        LogError: it has not three channels.
    """
    shape = feature.shape
    names = [str(name).removesuffix("s") for name in _flat(feature.names)]
    if len(shape) == 3 and sorted(names) == ["channel", "height", "width"]:
        sizes = dict(zip(names, shape, strict=True))
    elif len(shape) == 3:
        sides = ("height", "width", "channel") if shape[2] == 3 else ("channel", "height", "width")
        sizes = dict(zip(sides, shape, strict=True))
    else:
        sizes = {}
    if sizes.get("channel") != 3 or min(sizes.values()) < 1:
        raise LogError(
            f"{path / 'meta/info.json'}: feature {key!r} has shape {list(shape)}, expected height, width and 3 channels"
        )
    return sizes["height"], sizes["width"]
