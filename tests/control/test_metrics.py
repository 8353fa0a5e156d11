"""Each duration is the one that docs/metrics.md describes, and none of it takes more memory as time goes by."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from vla_runtime.control.cause import Stop
from vla_runtime.control.metrics import LoopMetrics
from vla_runtime.core.types import ActionChunk, Intervention, PlannerStatus, RobotState, Tick

from .world import MS, PERIOD, Robot, World, chunk, constant, rows, silent

ENOUGH = Stop("done", "the duration is over")
POSE = (0.2, -0.1)
TICK = Tick(0, 0, "running", "", "", 0, PlannerStatus(True), 0, 0, (0.1,), (0.1,), (), 30, 200)


def values(metrics: LoopMetrics) -> dict[str, tuple[int, int | None, int]]:
    return {name: (found.count, found.quantile(0.5), found.largest) for name, found in metrics.durations.named()}


def at(now_ns: int, **changes: object) -> Tick:
    return replace(TICK, now_ns=now_ns, **changes)


def sent(sent_ns: int, t0_ns: int = 100) -> ActionChunk:
    return ActionChunk(np.zeros((2, 1), np.float32), t0_ns, 20, 0, 0, "", sent_ns=sent_ns)


def state(stamp_ns: int, command_age_ns: int | None = None) -> RobotState:
    return RobotState(np.zeros(1), None, stamp_ns, 0, command_age_ns=command_age_ns)


def test_a_tick_counts_its_lateness_and_its_computing() -> None:
    metrics = LoopMetrics()
    metrics.tick(at(1000, late_ns=3, compute_ns=5))
    assert values(metrics)["lateness"] == (1, 3, 3)
    assert values(metrics)["tick"] == (1, 5, 5)


def test_the_age_of_a_chunk_is_counted_from_its_capture_to_the_tick_that_accepted_it() -> None:
    metrics = LoopMetrics()
    metrics.accepted(sent(150, t0_ns=60), 160)
    assert values(metrics)["capture_to_chunk"] == (1, 100, 100)


def test_a_chunk_is_used_when_the_first_command_that_follows_it_is_handed_over() -> None:
    metrics = LoopMetrics()
    metrics.accepted(sent(150), 160)
    metrics.tick(at(160, wanted=None))
    metrics.tick(at(165, mode="holding"))
    metrics.tick(at(170, command=None))
    assert values(metrics)["chunk_to_use"] == (0, None, 0)
    metrics.tick(at(200, compute_ns=7))
    metrics.tick(at(205, compute_ns=7))
    assert values(metrics)["chunk_to_use"] == (1, 57, 57)


def test_a_chunk_that_does_not_say_when_it_was_sent_counts_from_its_acceptance() -> None:
    metrics = LoopMetrics()
    metrics.accepted(sent(0), 160)
    metrics.tick(at(160, compute_ns=7))
    assert values(metrics)["chunk_to_use"] == (1, 7, 7)


def test_a_chunk_that_is_replaced_before_it_was_used_counts_no_use() -> None:
    metrics = LoopMetrics()
    metrics.accepted(sent(100), 101)
    metrics.accepted(sent(110), 111)
    metrics.tick(at(120, compute_ns=0))
    assert values(metrics)["chunk_to_use"] == (1, 10, 10)


def test_ages_are_taken_at_every_tick_that_uses_what_has_an_age() -> None:
    metrics = LoopMetrics()
    metrics.tick(at(10, wanted=None))
    metrics.states([state(11), state(15)])
    metrics.accepted(sent(17, t0_ns=12), 20)
    metrics.tick(at(20))
    metrics.tick(at(30))
    metrics.tick(at(40, wanted=None))
    assert values(metrics)["state_age"] == (3, 15, 25)
    assert values(metrics)["plan_age"] == (2, 8, 18)


def test_every_age_of_a_command_that_the_host_reports_is_counted() -> None:
    metrics = LoopMetrics()
    metrics.states([state(1), state(2, 40), state(3, 60)])
    metrics.states([state(4, 50)])
    assert values(metrics)["command_age"] == (3, 50, 60)


def test_interventions_are_counted_by_rule_and_joint() -> None:
    metrics = LoopMetrics()
    for index in range(4):
        metrics.tick(
            at(index, interventions=(Intervention("step", "base"), Intervention("step", "elbow"))[: index % 3])
        )
    assert metrics.interventions_by_joint() == {"step": {"base": 2, "elbow": 1}}
    assert metrics.interventions_by_rule() == {"step": 3}


def test_merging_episodes_is_counting_them_in_one() -> None:
    def filled(start_ns: int, count: int) -> LoopMetrics:
        metrics = LoopMetrics()
        for now_ns in range(start_ns, start_ns + count):
            metrics.states([state(now_ns - 7, 9)])
            metrics.accepted(sent(now_ns - 3, now_ns - 5), now_ns)
            metrics.tick(at(now_ns, interventions=(Intervention("step", "base"),)))
        return metrics

    both, other = filled(100, 5), filled(900, 6)
    both.merge(other)
    assert (both.ticks, both.interventions_by_rule()) == (11, {"step": 11})
    assert {count for count, _, _ in values(both).values()} == {11}
    assert values(both)["chunk_to_use"] == (11, 203, 203)


@pytest.mark.parametrize(("delay_ms", "waits_ms"), [(0, 0), (12, 3), (15, 0)])
def test_in_a_loop_a_chunk_waits_from_its_sending_to_the_end_of_the_tick_that_takes_it(delay_ms, waits_ms) -> None:
    def answer(request):
        when = request.stamp_ns + delay_ms * MS
        return [(delay_ms * MS, chunk(request, rows(*POSE), sent_ns=when))] if request.seq == 0 else silent(request)

    world = World(answer, Robot(POSE), {100 * MS: ENOUGH})
    world.run()
    found = values(world.loop.metrics)
    assert found["capture_to_chunk"][::2] == (1, (delay_ms + waits_ms) * MS)
    assert found["chunk_to_use"][::2] == (1, waits_ms * MS)
    assert found["state_age"][0] == len(world.ticks)
    covered = [tick.now_ns - world.start for tick in world.ticks if tick.wanted is not None]
    assert found["plan_age"][::2] == (len(covered), max(covered))


def test_the_metrics_take_the_same_memory_however_much_they_have_counted() -> None:
    def work(metrics: LoopMetrics, first: int, count: int) -> None:
        for index in range(first, first + count):
            now_ns = index * PERIOD
            metrics.states([state(now_ns - index % 977 * 1000, index * 31 % 10_000_019)])
            metrics.accepted(sent(now_ns - index * 17 % 5_000_011, now_ns - index * 13 % 90_000_049), now_ns)
            metrics.tick(at(now_ns, late_ns=index * 7 % 1_000_003, compute_ns=index * 11 % 3_000_017,
                            interventions=(Intervention("step", f"j{index % 6}"),)))  # fmt: skip

    metrics = LoopMetrics()
    work(metrics, 0, 1_000)
    tracemalloc.start()
    work(metrics, 1_000, 1_000)  # what is kept of the last calls is there before it is measured
    before, _ = tracemalloc.get_traced_memory()
    work(metrics, 2_000, 20_000)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert metrics.ticks == 22_000
    assert after - before < 1_000, f"20,000 ticks took {after - before} bytes"


def test_a_histogram_takes_the_same_memory_whatever_it_holds() -> None:
    metrics = LoopMetrics()
    sizes = {found.nbytes for _, found in metrics.durations.named()}
    for value in (0, 1, 10**9, 10**15):
        metrics.durations.lateness.add(value)
    assert {metrics.durations.lateness.nbytes} == sizes
    assert all(size < 64_000 for size in sizes)


def test_a_run_with_a_robot_that_reports_no_command_age_counts_none() -> None:
    world = World(constant(*POSE), Robot(POSE), {50 * MS: ENOUGH})
    world.run()
    assert values(world.loop.metrics)["command_age"] == (0, None, 0)
    assert world.loop.metrics.first_command_ns == world.start
