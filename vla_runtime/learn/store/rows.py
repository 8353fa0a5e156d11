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
            found = self.data.get(wanted)
            if isinstance(found, Tensor):
                return _take(found, self.index.numpy(), _fresh)
            return gather(found, self.index.numpy(), _fresh)
        return gather(self.data, self.index[wanted].numpy(), _fresh)


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
        self._lent = _Lent(_KEPT * len(list(whole.keys(True, True))))

    def get(self, index: int | Sequence[int] | slice | Tensor) -> TensorDictBase:
        many = isinstance(index, Tensor) and index.ndim == 1 and index.dtype == torch.long
        if not many and self._rows is None:
            return super().get(index)
        places = torch.arange(len(self))[index].numpy() if not many else _checked(index, len(self)).numpy()
        if places.ndim == 0:
            return self._storage[int(self._rows[places])]
        return gather(self._storage, places if self._rows is None else self._rows[places], self._lent.array)


def gather(data: TensorDictBase, index: NDArray[np.int64], array: Callable[..., NDArray]) -> TensorDict:
    """The samples ``index`` of ``data``; ``array(shape, dtype)`` gives the memory that they are copied to."""
    parts = {
        key: _take(value, index, array) if isinstance(value, Tensor) else gather(value, index, array)
        for key, value in data.items()
    }
    return TensorDict(parts, batch_size=[len(index)])


def _take(leaf: Tensor, index: NDArray[np.int64], array: Callable[..., NDArray]) -> Tensor:
    """``leaf[index]``, laid out in memory as ``leaf`` is: images H x W x RGB stay so."""
    order = sorted(range(leaf.ndim), key=lambda dim: (dim > 0, -leaf.stride(dim), dim))
    memory = leaf.permute(order).numpy()
    if memory.flags.c_contiguous:
        out = array((len(index), *memory.shape[1:]), memory.dtype)
        # "clip" writes straight to ``out``; the index has been checked.
        np.take(memory, index, axis=0, out=out, mode="clip")
    else:
        out = memory[index]  # ``take`` would first copy all of it
    return torch.from_numpy(out).permute(*np.argsort(order).tolist())


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
