"""Recipes in YAML: what a training is made from. Shipped ones are found by name, one's own by path."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from vla_runtime.core.convert import convert
from vla_runtime.core.errors import ConfigError
from vla_runtime.core.shipped import find_yaml
from vla_runtime.core.strict_yaml import read_yaml

__all__ = ["load_recipe", "plain"]

_T = TypeVar("_T", bound=msgspec.Struct)


def load_recipe(given: str, kind: type[_T]) -> _T:
    """The recipe ``given``, a path or the name of a shipped one, as ``kind``, a Struct that forbids unknown fields.

    Raises:
        ConfigError: there is none, or a value is wrong; the message names the file, the key, what stands there and what
            may.
    """
    path = find_yaml(given, "recipe", "recipes")
    data = read_yaml(path)
    try:
        return convert({} if data is None else data, kind, "$")
    except ConfigError as error:
        raise ConfigError(str(error), str(path)) from error


def plain(recipe: msgspec.Struct) -> dict[str, Any]:
    """The recipe as YAML holds it, with nothing left open."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(recipe))  # lists, where the recipe has tuples
    return found
