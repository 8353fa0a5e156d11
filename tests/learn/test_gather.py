"""Rows copied by several threads are the rows that were asked for."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_runtime.learn.store import gather as gathering
from vla_runtime.learn.store.gather import gather


def asked_for(rows: int, width: int, wanted: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    memory = random.integers(0, 256, (rows, width), dtype=np.uint8)
    index = random.integers(0, rows, wanted)
    return memory, index, np.empty((wanted, width), np.uint8)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "_PIECE_BYTES", 1 << 10)


@settings(max_examples=60)
@given(st.integers(1, 50), st.integers(0, 300), st.integers(0, 200), st.integers(0, 2**31))
def test_every_row_is_the_one_that_was_asked_for(rows: int, width: int, wanted: int, seed: int) -> None:
    memory, index, out = asked_for(rows, width, wanted, seed)
    gather(memory, index, out)
    assert np.array_equal(out, memory[index])


@pytest.mark.parametrize("busy", [False, True])
def test_several_batches_at_once_do_not_wait_for_helpers_that_have_no_time(
    monkeypatch: pytest.MonkeyPatch, busy: bool
) -> None:
    pool, free = ThreadPoolExecutor(2), threading.Event()
    monkeypatch.setattr(gathering, "_cores", lambda: 3)
    monkeypatch.setattr(gathering, "_pool", lambda: pool)
    occupied = [pool.submit(free.wait, 60) for _ in range(2)] if busy else []

    def one(seed: int) -> bool:
        memory, index, out = asked_for(100, 700, 150, seed)
        gather(memory, index, out)
        return np.array_equal(out, memory[index])

    with ThreadPoolExecutor(4) as callers:
        assert all(callers.map(one, range(20)))
    assert not any(helper.done() for helper in occupied)
    free.set()
    pool.shutdown()
