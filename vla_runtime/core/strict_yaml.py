"""YAML as plain data: no tags that make objects, no key that stands twice, no bottomless nesting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from vla_runtime.core.errors import ConfigError

__all__ = ["read_yaml"]

_MAX_DEPTH = 32


def read_yaml(path: Path) -> Any:
    """What the file holds.

    Raises:
        ConfigError: it cannot be read, or is not such YAML.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    try:
        return _parse(text)
    except Exception as error:  # a tagged scalar that is none (!!int x) raises whatever its Python constructor raises
        raise ConfigError(f"{path} is not YAML: {error}") from error


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A key that stands twice is refused instead of the last one winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        if repeated:
            raise yaml.constructor.ConstructorError(None, None, f"key {repeated[0]!r} stands twice", node.start_mark)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def _parse(text: bytes) -> Any:
    depth = 0
    # Events first: composing recurses in C, and deep nesting overruns its stack.
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise yaml.YAMLError(f"nested deeper than {_MAX_DEPTH} levels")
    return yaml.load(text, Loader=_Loader)
