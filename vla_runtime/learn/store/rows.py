"""Picking samples out of large tensors, in memory or in mapped files, without Python touching each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.data import TensorStorage

from vla_runtime.learn.store.columns import Columns, column, fresh, pick
from vla_runtime.learn.store.lent import Lent

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
            return pick(column(self.data.get(wanted)), self.index.numpy(), fresh)
        return pick(Columns(self.data), self.index[wanted].numpy(), fresh)


class RowStorage(TensorStorage):
    """torchrl's storage over ``samples``, with a faster way to read many at once.

    Rows are copied as ``copy_rows`` does it: torch's own indexing waits for all of its threads, and on a machine that
    does anything else that takes longer than copying. The memory of a batch is used again once nobody holds a tensor of
    it. An index beyond the end is an IndexError, as in torchrl's own.
    """

    def __init__(self, samples: TensorDictBase | Rows) -> None:
        whole = samples.data if isinstance(samples, Rows) else samples
        super().__init__(whole)
        self._rows = samples.index.numpy() if isinstance(samples, Rows) else None
        if self._rows is not None:
            self._len = self.max_size = len(self._rows)
            self.__dict__["_total_shape_value"] = torch.Size([len(self._rows)])
        self._columns = Columns(whole)
        self._lent = Lent(_KEPT * len(list(whole.keys(True, True))))

    def get(self, index: int | Sequence[int] | slice | Tensor) -> TensorDictBase:
        many = isinstance(index, Tensor) and index.ndim == 1 and index.dtype == torch.long
        if not many and self._rows is None:
            return super().get(index)
        places = torch.arange(len(self))[index].numpy() if not many else _checked(index, len(self)).numpy()
        if places.ndim == 0:
            return self._storage[int(self._rows[places])]
        return pick(self._columns, places if self._rows is None else self._rows[places], self._lent.array)


def _checked(index: Tensor, count: int) -> Tensor:
    low, high = (int(index.min()), int(index.max())) if len(index) else (0, -1)
    if low < -count or high >= count:
        raise IndexError(f"index {low if low < -count else high} is out of range for {count} samples")
    return index if low >= 0 else index % count
