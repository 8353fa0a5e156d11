"""Plain data (what YAML gives) to a msgspec type; every refusal names the key, what stands there and what may."""

from __future__ import annotations

import math
import re
import types
from collections.abc import Iterator
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from vla_runtime.core.errors import ConfigError, choices

__all__ = ["convert"]

_T = TypeVar("_T")
_MAX_DEPTH = 32
_MAX_VALUES = 100_000


def convert(data: Any, kind: type[_T], path: str) -> _T:
    """``data`` as ``kind``, a msgspec Struct; ``path`` is where it stands in the config.

    Raises:
        ConfigError: with the path of the value at fault.
    """
    _check_plain(data, path)
    _check_keys(data, kind, path)
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at ")
        where = "".join(re.findall(r"\$([^`]*)", where)[:1])
        given = "" if "got" in message or "missing" in message else f", got {_value_at(data, where)!r}"
        raise ConfigError(message[:1].lower() + message[1:] + given, path + where) from error


def _check_plain(data: Any, path: str) -> None:
    """Refuse what JSON could not hold (dates, sets, infinities, a list that holds itself) and what is absurdly big."""
    waiting = [(data, path, 0)]
    for _ in range(_MAX_VALUES):
        if not waiting:
            return
        value, where, depth = waiting.pop()
        if depth > _MAX_DEPTH:
            raise ConfigError(f"nested deeper than {_MAX_DEPTH} levels", path)
        waiting += [(part, name, depth + 1) for name, part in _parts(value, where)]
    raise ConfigError(f"more than {_MAX_VALUES} values", path)


def _parts(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            if not isinstance(key, str):
                raise ConfigError(f"key {key!r} is of type {type(key).__name__}, expected a string", path)
            yield f"{path}.{key}", part
    elif isinstance(value, (list, tuple)):
        yield from ((f"{path}[{index}]", part) for index, part in enumerate(value))
    elif isinstance(value, str):
        if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise ConfigError(f"{value!r} holds a character that no text can hold", path)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigError(f"{value}, expected a finite number", path)
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ConfigError("a whole number too large for 64 bits", path)
    elif value is not None:
        raise ConfigError(f"a {type(value).__name__}, expected text, a number, true, false, a list or a mapping", path)


def _check_keys(data: Any, kind: Any, path: str) -> None:
    """Refuse keys and words that ``kind`` does not have, with those it has. All else is left to msgspec."""
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is Literal:
        if isinstance(data, str) and data not in get_args(kind):
            raise ConfigError(f"{data!r} is not possible; {choices(data, get_args(kind))}", path)
    elif get_origin(kind) is tuple and isinstance(data, (list, tuple)):
        for index, entry in enumerate(data):
            _check_keys(entry, get_args(kind)[0], f"{path}[{index}]")
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(data, dict):
        fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
        for key, value in data.items():
            if key not in fields:
                raise ConfigError(f"unknown key; {choices(key, fields)}", f"{path}.{key}")
            _check_keys(value, fields[key], f"{path}.{key}")


def _value_at(data: Any, where: str) -> Any:
    """What stands at ``where``, msgspec's path inside ``data``; the nearest thing around it that can be found."""
    for key, index in re.findall(r"\.(\w+)|\[(\d+)\]", where):
        try:
            data = data[key or int(index)]
        except (LookupError, TypeError):
            break
    return data
