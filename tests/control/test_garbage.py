"""The loop leaves nothing to a garbage collector, so it can run without one."""

from __future__ import annotations

import gc
from collections import Counter

from vla_runtime.control.cause import Stop
from vla_runtime.episode.passes import PassLog

from .world import MS, World, constant

TICKS = 3000


class Nowhere:
    """A sink that keeps no record."""

    def __init__(self) -> None:
        self.records = 0

    def put(self, message: bytes, records: int) -> None:
        self.records += records

    def drop(self, records: int = 1) -> None: ...


class Forgetful(PassLog):
    """The real recorder; ``ticks`` is where the world counts them."""

    def __init__(self, sink: Nowhere) -> None:
        super().__init__(sink)
        self.ticks: list[object] = []


def test_thousands_of_ticks_leave_no_garbage_that_only_a_collector_finds() -> None:
    stop = {TICKS * 5 * MS: Stop("done", "enough")}
    world = World(constant(0.2, 0.2, rise=0.02, delay_ns=7 * MS), stops=stop, replan_interval=3)
    sink = Nowhere()
    recorder = Forgetful(sink)
    object.__setattr__(world.loop.parts, "recorder", recorder)
    gc.collect()
    gc.disable()
    try:
        world.run()
        world.robot.writes.clear()
        world.planner.requests.clear()
        gc.set_debug(gc.DEBUG_SAVEALL)
        found = gc.collect()
    finally:
        gc.set_debug(0)
        kinds = Counter(type(part).__name__ for part in gc.garbage)
        gc.garbage.clear()
        gc.enable()
    assert world.loop.metrics.ticks >= TICKS
    assert world.loop.metrics.chunks_used > 100
    assert sink.records > 2 * TICKS
    assert found < 50, kinds
