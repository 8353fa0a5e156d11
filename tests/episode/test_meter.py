"""The meter counts from records what the loop counts from its parts, second by second and in all."""

import dataclasses
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_runtime.control.cause import Stop
from vla_runtime.control.metrics import LoopMetrics
from vla_runtime.core.types import Intervention, PlannerStatus, RobotState, Tick
from vla_runtime.episode.meter import Meter
from vla_runtime.episode.metrics import MetricsPayload, counted, decode_metrics, encode_metrics

from ..control.world import MS, PERIOD, Recorder, Robot, World, constant

METADATA = {"episode": "4", "start_ns": "1000", "config": json.dumps({"name": "arm", "control": {"rate_hz": 200.0}})}
NOTHING = counted(LoopMetrics())


def tick(index: int, now_ns: int, mode: str = "running", late_ns: int = 0, **changes) -> Tick:
    found = Tick(index, now_ns, mode, "", "", 0, PlannerStatus(True, 2), 0, 0, (0.1,), (0.1,), (), late_ns, 200)
    return dataclasses.replace(found, **changes)


def metered(**changes: str) -> Meter:
    meter = Meter()
    meter.begin(METADATA | changes)
    return meter


class Passes(Recorder):
    """Hands every pass to a meter, as the recorder process gets it."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self.meter = meter
        self.payloads: list[MetricsPayload] = []
        self._states, self._chunks = [], []

    def states(self, tick, states) -> None:
        super().states(tick, states)
        self._states = states

    def chunk(self, tick, chunk, refusal) -> None:
        super().chunk(tick, chunk, refusal)
        self._chunks.append((chunk, refusal))

    def tick(self, tick) -> None:
        super().tick(tick)
        if self.meter.take(self._states, self._chunks, tick):
            self.payloads.append(self.meter.payload(0))
        self._states, self._chunks = [], []


def run(answer, seconds: float, **scheduling) -> tuple[World, Passes]:
    world = World(answer, Robot((0.2, -0.1)), {round(seconds * 1e9): Stop("done", "")}, **scheduling)
    meter = metered(start_ns=str(world.start))
    recorder = Passes(meter)
    world.recorder = recorder
    world.loop.parts = dataclasses.replace(world.loop.parts, recorder=recorder)
    world.run()
    recorder.payloads.append(meter.payload(0))
    return world, recorder


def broken_now_and_then(request):
    """A planner whose every third chunk is not finite, and of which one comes late."""
    ((delay, chunk),) = constant(0.6, 0.1, delay_ns=(request.seq % 5) * 10 * MS)(request)
    actions = chunk.actions * (float("nan") if request.seq % 3 == 2 else 1)
    return [(delay, dataclasses.replace(chunk, actions=actions, sent_ns=request.stamp_ns + delay - MS))]


def test_what_the_records_say_in_the_end_is_what_the_loop_counted() -> None:
    world, recorder = run(broken_now_and_then, 2.5, replan_interval=2)
    assert world.loop.metrics.chunks_refused["not finite"] > 5
    assert world.loop.metrics.interventions
    in_the_loop = LoopMetrics()
    in_the_loop.merge(world.loop.metrics)
    assert recorder.payloads[-1].run == counted(in_the_loop)
    assert recorder.payloads[-1].mode == "stopped"


def test_the_seconds_add_up_to_the_run() -> None:
    _, recorder = run(broken_now_and_then, 3.2, replan_interval=2)
    assert [payload.tick for payload in recorder.payloads[:3]] == [200, 400, 600]
    for name in ("ticks", "starved_ticks", "chunks_used", "overruns"):
        assert sum(getattr(payload.second, name) for payload in recorder.payloads) == getattr(
            recorder.payloads[-1].run, name
        )
    for name in (f"{name}_ns" for name in LoopMetrics().durations.__slots__):
        seconds = [getattr(payload.second, name) for payload in recorder.payloads]
        whole = getattr(recorder.payloads[-1].run, name)
        assert sum(second.count for second in seconds) == whole.count
        assert max((second.max for second in seconds if second.count), default=None) == whole.max


def test_equal_records_give_equal_metrics() -> None:
    assert run(broken_now_and_then, 2.5)[1].payloads == run(broken_now_and_then, 2.5)[1].payloads


def test_a_tick_that_outlasted_its_period_is_counted_when_the_next_begins() -> None:
    meter = metered()
    # Two deadlines missed, then one tick that is late but in time for its own deadline's successor.
    for index, (deadline, late) in enumerate([(0, 0), (1, 0), (4, 100), (5, 0), (6, PERIOD - 1), (7, 0)]):
        meter.take([], [], tick(index, 1000 + deadline * PERIOD + late, late_ns=late))
    assert meter.payload(0).run.overruns == 1


def test_ticks_that_are_missing_are_no_overrun() -> None:
    meter = metered()
    for index in (0, 1, 5, 6):
        meter.take([], [], tick(index, 1000 + index * PERIOD))
    assert meter.payload(0).run.overruns == 0


def test_a_payload_is_due_once_a_second_and_after_a_gap_only_once() -> None:
    meter = metered()
    due = []
    for index, ms in enumerate([0, 500, 999, 1000, 1005, 1995, 5300, 5305, 5995, 6000]):
        if meter.take([], [], tick(index, 1000 + ms * MS)):
            due.append(ms)
            assert meter.payload(0).tick == index
    assert due == [1000, 5300, 6000]


def test_an_episode_continues_the_runs_counts_and_forgets_the_last_ones_state() -> None:
    meter = metered()
    meter.take([RobotState(None, None, 900, 0)], [], tick(0, 1100, interventions=(Intervention("step", "base"),)))
    first = meter.payload(0)
    assert (first.episode, first.run.state_age_ns.max) == (4, 200)
    meter.begin(METADATA | {"episode": "5", "start_ns": "2000"})
    meter.take([], [], tick(0, 2100))
    second = meter.payload(0)
    assert (second.episode, second.run.ticks, second.second.ticks) == (5, 2, 1)
    assert second.run.state_age_ns == first.run.state_age_ns
    assert second.run.interventions == {"step": {"base": 1}}
    assert second.run.mode_ns == {"idle": 200}


def test_what_came_after_the_last_payload_of_an_episode_is_not_lost() -> None:
    meter = metered()
    meter.take([], [], tick(0, 1100))
    meter.begin(METADATA | {"episode": "5", "start_ns": "2000"})
    assert meter.payload(0).run.ticks == 1


def test_a_pass_whose_tick_is_missing_counts_all_the_same() -> None:
    meter = metered()
    assert not meter.take([RobotState(None, None, 900, 0, command_age_ns=5)], [], None)
    assert meter.payload(7) == MetricsPayload(
        -1, 1000, 4, "idle", 0, 7,
        *[msgspec.structs.replace(NOTHING, command_age_ns=type(NOTHING.tick_ns)(1, 5, 5, 5, 5))] * 2,
    )  # fmt: skip


@pytest.mark.parametrize("metadata", [{}, {"config": "{"}, {"config": "{}", "episode": "x", "start_ns": ""}])
def test_an_episode_of_which_nothing_is_known_is_counted(metadata) -> None:
    meter = Meter()
    meter.begin(metadata)
    meter.take([], [], tick(0, 5))
    meter.take([], [], tick(1, 50))
    found = meter.payload(0)
    assert (found.episode, found.run.ticks, found.run.overruns) == (-1, 2, 0)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 10**10), st.integers(0, 10**7)), max_size=30))
def test_a_payload_reads_back_as_it_was(times) -> None:
    meter = metered()
    for index, (now_ns, late_ns) in enumerate(sorted(times)):
        meter.take([], [], tick(index, now_ns, late_ns=late_ns, interventions=(Intervention("step", f"j{index % 3}"),)))
    payload = meter.payload(3)
    assert decode_metrics(encode_metrics(payload)) == payload


def test_the_size_of_a_payload_does_not_grow_with_the_run() -> None:
    meter = metered()
    sizes = [
        len(encode_metrics(meter.payload(0)))
        for index in range(12_000)
        if meter.take([], [], tick(index, 1000 + index * PERIOD, late_ns=index * 7919 % 1_000_003))
    ]
    assert len(sizes) == 59
    assert max(sizes) - min(sizes) < 100  # digits
