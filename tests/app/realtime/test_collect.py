"""No garbage is collected while a loop runs, and all of it afterwards."""

from __future__ import annotations

import gc
import weakref

import pytest

from vla_runtime.app.realtime import Collector


class Knot:
    """Garbage that only a collector finds."""

    def __init__(self) -> None:
        self.itself = self


def test_nothing_is_collected_inside_and_everything_afterwards() -> None:
    collector = Collector()
    with collector.kept_out():
        knot = weakref.ref(Knot())
        waste = [[] for _ in range(100_000)]  # far beyond what sets the collector going
        assert len(waste) == 100_000
        assert not gc.isenabled()
        assert knot() is not None
    assert collector.collections == 0
    assert gc.isenabled()
    assert knot() is None
    assert gc.get_freeze_count() == 0


def test_a_collection_that_someone_forces_inside_is_counted() -> None:
    collector = Collector()
    with collector.kept_out():
        gc.collect()
    gc.collect()
    assert collector.collections == 1


def test_a_loop_that_fails_leaves_the_collector_as_it_was() -> None:
    collector = Collector()
    before = list(gc.callbacks)
    with pytest.raises(RuntimeError, match="broken"), collector.kept_out():
        raise RuntimeError("broken")
    assert gc.isenabled()
    assert gc.callbacks == before
    assert gc.get_freeze_count() == 0
