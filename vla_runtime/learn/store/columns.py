"""The tensors of a tensordict as arrays whose rows can be picked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from vla_runtime.learn.store.copying import Copy, copy_rows

__all__ = ["Columns", "column", "fresh", "pick"]

Array = Callable[[tuple[int, ...], np.dtype], NDArray]
"""Gives memory of a shape and type, of any content."""


class Leaf:
    """A tensor [M, ...]; what is picked lies in memory as the tensor does: images H x W x RGB."""

    def __init__(self, leaf: Tensor) -> None:
        order = sorted(range(leaf.ndim), key=lambda dim: (dim > 0, -leaf.stride(dim), dim))
        self.memory = leaf.permute(order).numpy()
        self.back = np.argsort(order).tolist() if order != sorted(order) else None

    def lay_out(self, index: NDArray[np.int64], array: Array, copies: list[Copy]) -> Tensor:
        """A tensor of what ``index`` i64[N] picks, that is filled by the copies that are added to ``copies``."""
        out = array((len(index), *self.memory.shape[1:]), self.memory.dtype)
        copies.append(Copy(self.memory, index, out))
        picked = torch.from_numpy(out)
        return picked if self.back is None else picked.permute(self.back)


class Columns:
    """The same of a tensordict, leaf by leaf."""

    def __init__(self, data: TensorDictBase) -> None:
        self.columns = {key: column(value) for key, value in data.items()}

    def lay_out(self, index: NDArray[np.int64], array: Array, copies: list[Copy]) -> TensorDict:
        """As ``Leaf.lay_out``."""
        parts = {key: column.lay_out(index, array, copies) for key, column in self.columns.items()}
        return TensorDict(parts, batch_size=[len(index)])


def column(value: Tensor | TensorDictBase) -> Leaf | Columns:
    """Those of a tensor or of a tensordict."""
    return Leaf(value) if isinstance(value, Tensor) else Columns(value)


def pick(columns: Leaf | Columns, index: NDArray[np.int64], array: Array) -> Tensor | TensorDict:
    """The rows ``index`` i64[N], which has been checked, in memory that ``array`` gives."""
    copies: list[Copy] = []
    picked = columns.lay_out(index, array, copies)
    copy_rows(copies)
    return picked


def fresh(shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    """New memory."""
    return np.empty(shape, dtype)
