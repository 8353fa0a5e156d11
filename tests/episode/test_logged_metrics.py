"""A live log says once a second what its own records add up to."""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from vla_runtime.episode.meter import Meter
from vla_runtime.episode.passes import PassLog
from vla_runtime.episode.process import RecorderProcess
from vla_runtime.episode.reader import Episode, read_episode

from .samples import log_passes, tick

ABOUT = {"episode": "3", "start_ns": "0", "config": '{"control": {"rate_hz": 200}}'}


@pytest.fixture
def recorder(tmp_path):
    recorder = RecorderProcess(tmp_path / "ipc")
    yield recorder
    recorder.close()


def recounted(episode: Episode, meter: Meter | None = None):
    """The metrics that the file's other records give."""
    meter = meter or Meter()
    meter.begin(episode.metadata)
    for entry in episode.ticks:
        states = episode.states_by_tick.get(entry.index, ())
        if meter.take(states, episode.chunks_by_tick.get(entry.index, ()), entry):
            yield meter.payload(0)
    yield meter.payload(0)


def test_a_log_has_metrics_for_every_second_and_they_are_what_its_records_say(recorder, tmp_path):
    recorder.open(tmp_path / "a.mcap", ABOUT)
    log_passes(recorder, 450)
    recorder.close_episode()
    episode = read_episode(tmp_path / "a.mcap")
    assert [payload.tick for payload in episode.metrics] == [199, 399, 449]
    assert list(episode.metrics) == list(recounted(episode))
    assert episode.metrics[-1].run.chunks_refused == {"stale": 57}
    assert episode.metrics[-1].run.interventions == {"velocity": {"elbow": 450}}


def test_a_runs_counts_go_on_over_its_episodes(recorder, tmp_path):
    meter = Meter()
    for name in ("a", "b", "c"):
        path = tmp_path / f"{name}.mcap"
        recorder.open(path, ABOUT)
        log_passes(recorder, 250)
        recorder.close_episode()
        assert list(read_episode(path).metrics) == list(recounted(read_episode(path), meter))
    assert read_episode(path).metrics[-1].run.ticks == 750
    assert read_episode(path).metrics[-1].second.ticks == 50


def test_records_that_are_lost_on_the_way_are_in_the_metrics_before_the_episode_ends(recorder, tmp_path):
    recorder.open(tmp_path / "a.mcap", ABOUT)
    log = log_passes(recorder, 100)
    recorder.drop(7)
    log_passes(recorder, 150, 100, log)
    recorder.close_episode()
    recorder.open(tmp_path / "b.mcap", ABOUT)
    recorder.close_episode()
    first, second = (read_episode(tmp_path / name) for name in ("a.mcap", "b.mcap"))
    assert [payload.log_dropped for payload in first.metrics] == [7, 7]
    assert [payload.log_dropped for payload in second.metrics] == [7]


def test_a_stamp_that_fits_no_number_of_the_log_costs_the_metrics_alone(recorder, tmp_path):
    recorder.open(tmp_path / "a.mcap", ABOUT | {"start_ns": str(2**63 - 1)})
    log = PassLog(recorder)
    for index, now_ns in enumerate((-(2**63), 2**64 - 1, -(2**63), 2**64 - 1)):
        log.tick(replace(tick(index), now_ns=now_ns))
    assert recorder.close_episode().error == ""
    episode = read_episode(tmp_path / "a.mcap")
    assert [entry.index for entry in episode.ticks] == [0, 1, 2, 3]


def test_the_log_of_a_control_process_that_was_killed_ends_with_metrics(tmp_path):
    """The recorder finishes the file by itself."""
    path = tmp_path / "a.mcap"
    program = str(Path(__file__).parent / "loop.py")
    control = subprocess.Popen([sys.executable, program, str(tmp_path / "ipc"), str(path)], stdout=subprocess.PIPE)
    try:
        assert control.stdout is not None
        for _ in range(40):
            control.stdout.readline()
    finally:
        control.send_signal(signal.SIGKILL)
        control.communicate()
    end = time.monotonic() + 20
    while not path.exists() or read_episode(path).truncated:
        assert time.monotonic() < end, "the file was not finished"
        time.sleep(0.05)
    episode = read_episode(path)
    assert episode.metrics[-1].run.ticks == len(episode.ticks) >= 38
