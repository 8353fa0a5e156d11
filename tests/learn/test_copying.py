"""Rows are copied whole, by however many threads, and no thread that cannot run is waited for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_runtime.learn.store import copying
from vla_runtime.learn.store.copying import Copy, copy_rows
from vla_runtime.learn.threads import computing_with


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "_PIECE", 64)
    monkeypatch.setattr(copying, "_WORTH", 128)


def copies(index: list[int], *memories: np.ndarray) -> list[Copy]:
    place = np.array(index, dtype=np.int64)
    return [Copy(memory, place, np.empty((len(index), *memory.shape[1:]), memory.dtype)) for memory in memories]


def numbers(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.int32).reshape(shape)


MEMORIES = {
    "wide rows": numbers(12, 5, 30), "narrow rows": numbers(12), "empty rows": numbers(12, 0),
    "strided": numbers(24, 3)[::2],
}  # fmt: skip


@given(st.lists(st.integers(0, 11), max_size=40), st.integers(1, 4))
def test_what_is_copied_is_what_was_picked_for_any_number_of_threads(index: list[int], threads: int) -> None:
    wanted = copies(index, *MEMORIES.values())
    with computing_with(threads):
        copy_rows(wanted)
    for copy, memory in zip(wanted, MEMORIES.values(), strict=True):
        assert np.array_equal(copy.out, memory[index])


def test_a_thread_that_cannot_run_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    free = Event()
    with ThreadPoolExecutor(1) as busy:
        try:
            busy.submit(free.wait)
            monkeypatch.setattr(copying, "_pool", lambda: busy)
            wanted = copies([3, 1, 2] * 20, numbers(5, 100))
            with computing_with(2):
                copy_rows(wanted)
            assert np.array_equal(wanted[0].out, numbers(5, 100)[[3, 1, 2] * 20])
        finally:
            free.set()


def test_little_is_copied_without_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "_pool", lambda: pytest.fail("not worth a thread"))
    with computing_with(4):
        copy_rows(copies([1, 2], numbers(5, 4)))


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_any_thread_reaches_the_caller(threads: int) -> None:
    with computing_with(threads), pytest.raises(IndexError):
        copy_rows(copies([*range(12)] * 8 + [99], MEMORIES["strided"]))
