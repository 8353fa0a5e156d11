"""Columns of parquet files as arrays, checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vla_runtime.core.errors import LogError, MissingExtra
from vla_runtime.learn.sets.samples import finite_f32

if TYPE_CHECKING:
    import pyarrow

__all__ = ["column_names", "integers", "numbers", "read_table", "vectors"]

_Found = TypeVar("_Found")


def read_table(path: Path, columns: Sequence[str], where: tuple[str, int] | None = None) -> pyarrow.Table:
    """``columns`` of the parquet file at ``path``; with ``where``, the rows in which that column has that value.

    Raises:
        LogError: it is missing, no parquet file, or lacks a column.
        MissingExtra: pyarrow is not installed.
    """
    there = column_names(path)
    if missing := [name for name in columns if name not in there]:
        raise LogError(f"{path} has no column {', '.join(missing)}; found: {', '.join(there)}")
    options = {"columns": list(columns), "filters": None if where is None else [(where[0], "==", where[1])]}
    # No partitioning: a folder named "a=b" above the file must not become a column.
    return _reading(path, lambda parquet: parquet.read_table(path, **options, partitioning=None))


def column_names(path: Path) -> list[str]:
    """Of the parquet file at ``path``.

    Raises:
        LogError, MissingExtra: as ``read_table``.
    """
    return _reading(path, lambda parquet: list(parquet.read_schema(path).names))


def _reading(path: Path, body: Callable[[Any], _Found]) -> _Found:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra("reading parquet files", "data") from error

    if not path.is_file():
        raise LogError(f"{path} is missing, expected a parquet file")
    try:
        return body(pyarrow.parquet)
    except (pyarrow.ArrowException, OSError) as error:
        raise LogError(f"{path} cannot be read: {error}") from error


def numbers(table: pyarrow.Table, name: str, path: Path) -> NDArray[Any]:
    """Column ``name`` as integers or floats [T].

    Raises:
        LogError: it holds something else, or gaps.
    """
    import pyarrow

    column = table.column(name)
    kind = column.type
    if column.null_count or not (pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind)):
        raise LogError(f"{path}: {name} is {kind} with {column.null_count} empty rows, expected numbers")
    return column.to_numpy()


def integers(table: pyarrow.Table, name: str, path: Path) -> NDArray[np.int64]:
    """Column ``name`` as i64[T].

    Raises:
        LogError: it holds something else, or gaps.
    """
    values = numbers(table, name, path)
    if values.dtype.kind not in "iu":
        raise LogError(f"{path}: {name} is {values.dtype}, expected integers")
    return values.astype(np.int64)


def vectors(table: pyarrow.Table, name: str, dimensions: int, path: Path) -> NDArray[np.float32]:
    """Column ``name`` as f32[T, dimensions].

    Raises:
        LogError: a row has another length, a gap, or a value that is not finite.
    """
    import pyarrow

    column = table.column(name).combine_chunks()
    if pyarrow.types.is_floating(column.type) or pyarrow.types.is_integer(column.type):
        values = numbers(table, name, path)[:, None]
    else:
        lengths = _lengths(column, name, path)
        wrong = np.flatnonzero(lengths != dimensions)
        if len(wrong):
            row = int(wrong[0])
            raise LogError(f"{path}: {name} has {lengths[row]} numbers in row {row}, expected {dimensions}")
        inner = column.flatten()
        if inner.null_count:
            raise LogError(f"{path}: {name} holds {inner.null_count} empty entries, expected numbers")
        values = inner.to_numpy(zero_copy_only=False).reshape(-1, dimensions)
    if values.shape[1] != dimensions:
        raise LogError(f"{path}: {name} has {values.shape[1]} numbers a row, expected {dimensions}")
    return finite_f32(values, f"{path}: {name}")


def _lengths(column: Any, name: str, path: Path) -> NDArray[np.int64]:
    import pyarrow.compute

    types = pyarrow.types
    is_list = types.is_list(column.type) or types.is_large_list(column.type) or types.is_fixed_size_list(column.type)
    inner = column.type.value_type if is_list else column.type
    if column.null_count or not is_list or not (types.is_floating(inner) or types.is_integer(inner)):
        raise LogError(
            f"{path}: {name} is {column.type} with {column.null_count} empty rows, expected lists of numbers"
        )
    return pyarrow.compute.list_value_length(column).to_numpy(zero_copy_only=False).astype(np.int64)
