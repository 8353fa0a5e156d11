"""What is served is Prometheus's text format, and says what was counted."""

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from vla_runtime.core.types import ActionChunk, Intervention, PlannerStatus, RobotState, Tick
from vla_runtime.episode.exposition import exposition
from vla_runtime.episode.meter import Meter

TICK = Tick(0, 0, "running", "", "", 0, PlannerStatus(True, 2), 0, 0, (0.1,), (0.1,), (), 0, 200)
METADATA = {"config": '{"name": "arm", "control": {"rate_hz": 200.0}}', "episode": "3", "start_ns": "0",
            "policy_hash": "cafe", "vla_runtime": "0.1"}  # fmt: skip


def chunk(t0_ns: int, sent_ns: int) -> ActionChunk:
    return ActionChunk(None, t0_ns, 20, 0, 0, "", sent_ns=sent_ns)


def parsed(meter: Meter, dropped: int = 0):
    """Samples by name and labels; every family has its help and one type."""
    text = exposition(meter, dropped).decode()
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation and family.type != "unknown" for family in families)
    assert text.count("# HELP ") == text.count("# TYPE ") == len(families)
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }


def counted(*ticks: Tick, chunks=(), states=()) -> Meter:
    meter = Meter()
    meter.begin(METADATA)
    for index, tick in enumerate(ticks):
        meter.take(states if index == 0 else (), chunks if index == 0 else (), dataclasses.replace(tick, index=index))
    meter.payload(0)
    return meter


def test_a_run_that_has_not_begun_shows_zeros() -> None:
    samples = parsed(Meter())
    assert samples["vla_episode",] == -1
    assert samples["vla_ticks_total",] == 0
    assert samples["vla_lateness_seconds_count",] == 0
    assert not any(value for (name, *_), value in samples.items() if name not in ("vla_run_info", "vla_episode"))


def test_every_count_is_served_with_its_labels() -> None:
    changes = (), *[(Intervention("step", "base"),)] * 3
    ticks = [dataclasses.replace(TICK, now_ns=k * 5_000_000, interventions=change) for k, change in enumerate(changes)]
    ticks[3] = dataclasses.replace(ticks[3], mode="holding")
    samples = parsed(counted(*ticks, chunks=[(chunk(0, 0), ""), (chunk(0, 0), "past: late")]), 11)
    assert samples["vla_ticks_total",] == 4
    assert samples["vla_starved_ticks_total",] == 1
    assert samples["vla_overruns_total",] == 0
    assert samples["vla_chunks_used_total",] == 1
    assert samples["vla_chunks_refused_total", ("reason", "past")] == 1
    assert samples["vla_interventions_total", ("joint", "base"), ("rule", "step")] == 3
    assert samples["vla_planner_restarts_total",] == 2
    assert samples["vla_log_dropped_total",] == 11
    assert samples["vla_episode",] == 3
    assert samples["vla_mode", ("mode", "holding")] == 1
    assert sum(value for (name, *_), value in samples.items() if name == "vla_mode") == 1
    assert samples["vla_mode_seconds_total", ("mode", "running")] == pytest.approx(0.015)
    assert samples["vla_run_info", ("policy_hash", "cafe"), ("robot", "arm"), ("version", "0.1")] == 1


@pytest.mark.parametrize(("name", "seconds"), [
    ("vla_lateness_seconds", 0.003), ("vla_tick_seconds", 0.0002), ("vla_capture_to_chunk_seconds", 0.04),
    ("vla_chunk_to_use_seconds", 0.0052), ("vla_command_age_seconds", 0.007), ("vla_state_age_seconds", 0.012),
    ("vla_plan_age_seconds", 0.04),
])  # fmt: skip
def test_every_duration_is_served_in_seconds(name: str, seconds: float) -> None:
    tick = dataclasses.replace(TICK, now_ns=100_000_000, late_ns=3_000_000, compute_ns=200_000)
    state = RobotState(None, None, 88_000_000, 0, command_age_ns=7_000_000)
    samples = parsed(counted(tick, chunks=[(chunk(60_000_000, 95_000_000), "")], states=[state]))
    assert samples[f"{name}_count",] == 1
    assert samples[f"{name}_sum",] == pytest.approx(seconds, rel=0.01)
    buckets = {float(labels[0][1]): value for (found, *labels), value in samples.items() if found == f"{name}_bucket"}
    assert {bound: value for bound, value in buckets.items() if not 0.99 < bound / seconds < 1.01} == {
        bound: float(bound >= seconds) for bound in buckets if not 0.99 < bound / seconds < 1.01
    }


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 1 << 45), max_size=40))
def test_buckets_never_fall_and_the_last_holds_everything(late: list[int]) -> None:
    samples = parsed(counted(*(dataclasses.replace(TICK, now_ns=5_000_000, late_ns=value) for value in late)))
    buckets = sorted(
        (float(labels[0][1]), value)
        for (name, *labels), value in samples.items()
        if name == "vla_lateness_seconds_bucket"
    )
    assert buckets[-1] == (math.inf, len(late))
    assert samples["vla_lateness_seconds_count",] == len(late)
    assert [value for _, value in buckets] == sorted(value for _, value in buckets)
    for bound, value in buckets[:-1]:
        least, most = (sum(entry * 1e-9 <= bound * factor for entry in late) for factor in (0.99, 1.01))
        assert least <= value <= most


@given(st.text(max_size=20))
def test_whatever_a_label_holds_reads_back(text: str) -> None:
    meter = Meter()
    meter.info = {"robot": text.replace("\r", "")}
    (labels,) = [labels for (name, *labels) in parsed(meter) if name == "vla_run_info"]
    assert dict(labels)["robot"] == meter.info["robot"]


def test_the_page_stays_as_long_as_it_is() -> None:
    few, many = (counted(*(dataclasses.replace(TICK, now_ns=k * 5_000_000, late_ns=k * 997) for k in range(count)))
                 for count in (10, 5000))  # fmt: skip
    assert exposition(few, 0).count(b"\n") == exposition(many, 0).count(b"\n")
