"""The files of a memory-mapped tensordict, read leaf by leaf."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from vla_runtime.core.errors import LogError, choices

__all__ = ["Folder", "Leaf"]

_TYPES = {
    f"torch.{name}": np.dtype(name)
    for name in ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
}


class _Tensor(msgspec.Struct):
    shape: tuple[int, ...]
    dtype: str


class _Stack(msgspec.Struct):
    data: str | list[str]


@dataclass(frozen=True)
class Leaf:
    """A tensor ``name`` of ``shape`` in the file ``path``."""

    name: str
    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return math.prod(self.shape[1:])

    def rows(self, start: int, stop: int | None) -> NDArray[Any]:
        """Rows ``start`` to ``stop``, copied.

        Raises:
            LogError: the file is missing or has another size than ``shape``.
        """
        expected = math.prod(self.shape) * self.dtype.itemsize
        size = self.path.stat().st_size if self.path.is_file() else None
        if size != expected:
            found = "is missing" if size is None else f"has {size} bytes"
            raise LogError(f"{self.path} {found}, expected {expected} for {self.dtype} of shape {list(self.shape)}")
        if not expected:
            return np.empty(self.shape, self.dtype)
        return np.array(np.memmap(self.path, self.dtype, mode="r", shape=self.shape)[start:stop])


class Folder:
    """A tensordict's folder. ``leaves`` and ``folders`` are the names of what its ``meta.json`` lists.

    Raises:
        LogError: there is no such file, or it is no tensordict's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        file = path / "meta.json"
        try:
            entries = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.MsgspecError) as error:
            raise LogError(f"{file} cannot be read: {error}") from error
        self._tensors = {name: entry for name, entry in entries.items() if _is_tensor(entry)}
        self.leaves = tuple(self._tensors)
        self.folders = tuple(name for name, entry in entries.items() if isinstance(entry, dict) and "type" in entry)

    def leaf(self, name: str) -> Leaf:
        """The tensor ``name``.

        Raises:
            LogError: there is none, or it is of a type that is not read.
        """
        if name not in self._tensors:
            raise LogError(f"{self.path} has no tensor {name!r}; {choices(name, self.leaves)}")
        try:
            entry = msgspec.convert(self._tensors[name], _Tensor)
            return Leaf(name, self.path / f"{name}.memmap", entry.shape, _TYPES[entry.dtype])
        except (msgspec.ValidationError, KeyError) as error:
            raise LogError(f"{self.path / 'meta.json'}: {name} cannot be read: {error}") from error

    def folder(self, name: str) -> Folder:
        """The tensordict ``name`` in this one."""
        if name not in self.folders:
            raise LogError(f"{self.path} has no folder {name!r}; {choices(name, self.folders)}")
        return Folder(self.path / name)

    def texts(self, name: str, steps: int) -> list[str]:
        """The text of each step, of one that is the same for all, or of a stack.

        Raises:
            LogError: it is no text, is pickled, or there are not ``steps`` of them.
        """
        file = self.path / name / "meta.json"
        try:
            data = msgspec.json.decode(file.read_bytes(), type=_Stack).data
        except (OSError, msgspec.MsgspecError) as error:
            raise LogError(f"{file} holds no texts: {error}") from error
        if (file.parent / "pickle.pkl").exists():
            raise LogError(f"{file.parent} is a pickle, which could run any code; expected texts in meta.json")
        texts = [data] * steps if isinstance(data, str) else data
        if len(texts) != steps:
            raise LogError(f"{file} has {len(texts)} texts, expected {steps}")
        return texts


def _is_tensor(entry: object) -> bool:
    return isinstance(entry, dict) and "dtype" in entry
