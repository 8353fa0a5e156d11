"""Picking samples out of large tensors, in memory or in mapped files, without Python touching each."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from tensordict import TensorDict, TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.data import TensorStorage

__all__ = ["RowStorage", "Rows"]

_KEPT = 4  # batches whose memory is used again: one that is trained on, one that is made, and some to spare


class Rows:
    """The samples ``index`` i64[N] of ``data``; nothing is copied until some are asked for.

    ``rows[key]`` is a tensor [N, ...] (or a tensordict) of all samples, ``rows[index]`` a TensorDict of some, where
    ``index`` is a slice, a tensor or a list.
    """

    def __init__(self, data: TensorDictBase, index: Tensor) -> None:
        self.data, self.index = data, index

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, wanted: NestedKey | slice | Tensor | Sequence[int]) -> Tensor | TensorDictBase:
        if isinstance(wanted, (str, tuple)):
            return _column(self.data.get(wanted)).pick(self.index.numpy(), _fresh)
        return _Columns(self.data).pick(self.index[wanted].numpy(), _fresh)


class RowStorage(TensorStorage):
    """torchrl's storage over ``samples``, with a faster way to read many at once.

    Rows are copied with numpy's ``take``, which knows nothing of threads: torch's own indexing waits for all of its
    threads, and on a machine that does anything else that takes longer than copying. The memory of a batch is used
    again once nobody holds a tensor of it. An index beyond the end is an IndexError, as in torchrl's own.
    """

    def __init__(self, samples: TensorDictBase | Rows) -> None:
        whole = samples.data if isinstance(samples, Rows) else samples
        super().__init__(whole)
        self._rows = samples.index.numpy() if isinstance(samples, Rows) else None
        if self._rows is not None:
            self._len = self.max_size = len(self._rows)
            self.__dict__["_total_shape_value"] = torch.Size([len(self._rows)])
        self._columns = _Columns(whole)
        self._lent = _Lent(_KEPT * len(list(whole.keys(True, True))))

    def get(self, index: int | Sequence[int] | slice | Tensor) -> TensorDictBase:
        many = isinstance(index, Tensor) and index.ndim == 1 and index.dtype == torch.long
        if not many and self._rows is None:
            return super().get(index)
        places = torch.arange(len(self))[index].numpy() if not many else _checked(index, len(self)).numpy()
        if places.ndim == 0:
            return self._storage[int(self._rows[places])]
        return self._columns.pick(places if self._rows is None else self._rows[places], self._lent.array)


class _Leaf:
    """A tensor whose rows can be picked; what is picked lies in memory as the tensor does: images H x W x RGB."""

    def __init__(self, leaf: Tensor) -> None:
        order = sorted(range(leaf.ndim), key=lambda dim: (dim > 0, -leaf.stride(dim), dim))
        self.memory = leaf.permute(order).numpy()
        self.back = np.argsort(order).tolist() if order != sorted(order) else None

    def pick(self, index: NDArray[np.int64], array: Callable[..., NDArray]) -> Tensor:
        if self.memory.flags.c_contiguous:
            out = array((len(index), *self.memory.shape[1:]), self.memory.dtype)
            # "clip" writes straight to ``out``; the index has been checked.
            self.memory.take(index, axis=0, out=out, mode="clip")
        else:
            out = self.memory[index]  # ``take`` would first copy all of it
        picked = torch.from_numpy(out)
        return picked if self.back is None else picked.permute(self.back)


class _Columns:
    """The tensors of a tensordict, whose rows can be picked; ``array(shape, dtype)`` gives the memory to copy to."""

    def __init__(self, data: TensorDictBase) -> None:
        self.columns = {key: _column(value) for key, value in data.items()}

    def pick(self, index: NDArray[np.int64], array: Callable[..., NDArray]) -> TensorDict:
        parts = {key: column.pick(index, array) for key, column in self.columns.items()}
        return TensorDict(parts, batch_size=[len(index)])


def _column(value: Tensor | TensorDictBase) -> _Leaf | _Columns:
    return _Leaf(value) if isinstance(value, Tensor) else _Columns(value)


def _checked(index: Tensor, count: int) -> Tensor:
    low, high = (int(index.min()), int(index.max())) if len(index) else (0, -1)
    if low < -count or high >= count:
        raise IndexError(f"index {low if low < -count else high} is out of range for {count} samples")
    return index if low >= 0 else index % count


def _fresh(shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    return np.empty(shape, dtype)


class _Lent:
    """Memory that is handed out again when the tensors made of it are gone."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[tuple[object, ...], list[tuple[NDArray, weakref.ref[NDArray]]]] = {}

    def array(self, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
        known = self._known.setdefault((shape, dtype), [])
        free = next((place for place, (_, user) in enumerate(known) if user() is None), None)
        memory = np.empty(shape, dtype) if free is None else known.pop(free)[0]
        # A tensor keeps the array alive that it was made of: this view, not the memory itself.
        view = memory.view()
        if len(known) < self._most:
            known.append((memory, weakref.ref(view)))
        return view
