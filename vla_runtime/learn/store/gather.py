"""Copies rows of a large array, on as many cores as have time for it."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["gather"]

_PIECE_BYTES = 1 << 19


def gather(memory: NDArray, index: NDArray[np.int64], out: NDArray) -> None:
    """``out[i] = memory[index[i]]``, both C-contiguous; no index may be out of range.

    What is large is copied in pieces, which this thread and its helpers take one after another: a helper that the
    machine has no time for takes none, and nobody waits for more than the pieces that were begun.
    """
    rows = max(1, _PIECE_BYTES * len(index) // max(1, out.nbytes))
    pieces = deque(slice(first, first + rows) for first in range(0, len(index), rows))

    def copy() -> None:
        while True:
            try:
                piece = pieces.popleft()
            except IndexError:
                return
            # "clip" writes straight to ``out``; numpy holds no lock while it copies.
            memory.take(index[piece], axis=0, out=out[piece], mode="clip")

    helpers = [_pool().submit(copy) for _ in range(min(_cores(), len(pieces)) - 1)]
    copy()
    for helper in helpers:
        if not helper.cancel():
            helper.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, _cores() - 1), thread_name_prefix="gather")


@cache
def _cores() -> int:
    return len(os.sched_getaffinity(0))
