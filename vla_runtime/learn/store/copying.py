"""Copying rows out of large arrays, shared among as many threads as torch may use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Copy", "copy_rows"]

_PIECE = 1 << 20  # bytes: takes much longer to copy than to hand over
_WORTH = 8 << 20  # bytes: with fewer, waking another thread costs as much as it saves
_MOST_THREADS = 8  # however many cores there are: copying is bound by memory


@dataclass(frozen=True, slots=True)
class Copy:
    """``out[i] = memory[index[i]]`` for arrays [M, ...] and [N, ...]. ``index`` i64[N] is within 0 to M - 1."""

    memory: NDArray
    index: NDArray[np.int64]
    out: NDArray

    def pieces(self) -> Iterator[Callable[[], None]]:
        """Calls that together copy it all, in any order, of about ``_PIECE`` bytes each."""
        rows = max(1, _PIECE * len(self.out) // max(1, self.out.nbytes))
        for first in range(0, len(self.out), rows):
            yield partial(_copy, self.memory, self.index[first : first + rows], self.out[first : first + rows])


def copy_rows(copies: Sequence[Copy]) -> None:
    """Carry all of ``copies`` out.

    The caller copies too, piece by piece until none is left, and waits for nothing but pieces that another thread has
    begun: where the other cores are busy, it does all of it. torch's own threads wait for each other instead.
    """
    pieces = deque(piece for copy in copies for piece in copy.pieces())
    threads = min(torch.get_num_threads(), _MOST_THREADS) if sum(copy.out.nbytes for copy in copies) >= _WORTH else 1
    helpers = [_pool().submit(_work, pieces) for _ in range(threads - 1)]
    _work(pieces)
    for helper in helpers:
        if not helper.cancel():
            helper.result()


def _work(pieces: deque[Callable[[], None]]) -> None:
    while True:
        try:
            piece = pieces.popleft()
        except IndexError:
            return
        piece()


def _copy(memory: NDArray, index: NDArray[np.int64], out: NDArray) -> None:
    if memory.flags.c_contiguous:
        memory.take(index, axis=0, out=out, mode="clip")  # "clip" writes straight to ``out``
    else:
        out[...] = memory[index]  # ``take`` would first copy all of it


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_MOST_THREADS - 1, "copy_rows")
