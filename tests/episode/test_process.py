"""The recorder as a real process: whoever dies, the file is readable and the caller undisturbed."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import zmq
from mcap.reader import make_reader

from vla_runtime.core.errors import LogError, Refusal
from vla_runtime.episode.messages import Open, Stop, decode_order, encode
from vla_runtime.episode.passes import PassLog
from vla_runtime.episode.process import RecorderProcess
from vla_runtime.episode.reader import read_episode
from vla_runtime.episode.writer import EpisodeWriter
from vla_runtime.wire.tap import FrameTap

from .samples import chunk, log_passes, request, state, tick, wire

ABOUT = {"seed": "1"}


@pytest.fixture
def recorder(tmp_path):
    recorder = RecorderProcess(tmp_path / "ipc")
    yield recorder
    recorder.close()


@pytest.fixture
def tap(recorder):
    tap = FrameTap(recorder.frame_endpoint)
    yield tap
    tap.close()


def eventually(holds, what, timeout_s=10.0):
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, f"{what} not within {timeout_s} s"
        time.sleep(0.01)


def messages(path):
    """Everything that the file's readers see, in file order."""
    with open(path, "rb") as file:
        return [
            (channel.topic, message.sequence, message.log_time, message.publish_time, message.data)
            for _, channel, message in make_reader(file).iter_messages(log_time_order=False)
        ]


def push(tap, data):
    """One frame, sent for sure: the tap's connection may be young."""

    def sent():
        before = tap.dropped
        tap.frame(data)
        return tap.dropped == before

    eventually(sent, "a frame to be sent")


def test_ticks_and_frames_reach_the_file(recorder, tap, tmp_path):
    recorder.open(tmp_path / "a.mcap", ABOUT)
    log = None
    for index in range(20):
        log = log_passes(recorder, 1, index, log)
        push(tap, wire("top", index))
        push(tap, wire("top", index))
    status = recorder.close_episode()
    assert (status.alive, status.error, status.dropped, status.malformed) == (True, "", 0, 0)
    assert status.frames == 20
    assert status.path == str(tmp_path / "a.mcap")
    assert status.size == (tmp_path / "a.mcap").stat().st_size
    episode = read_episode(tmp_path / "a.mcap")
    assert episode.metadata == ABOUT
    assert [entry.index for entry in episode.ticks] == list(range(20))
    assert len(list(episode.frames("top"))) == 20
    assert (episode.truncated, episode.dropped) == (False, 0)


def test_one_recorder_serves_many_episodes(recorder, tap, tmp_path):
    pid = recorder.pid
    for episode in range(3):
        path = tmp_path / f"{episode}.mcap"
        recorder.open(path, {"episode": str(episode)})
        log_passes(recorder, episode + 1)
        push(tap, wire("top", episode))
        assert recorder.close_episode().error == ""
        found = read_episode(path)
        assert len(found.ticks) == episode + 1
        assert [frame.seq for frame in found.frames("top")] == [episode]
    assert recorder.pid == pid


def test_records_outside_an_episode_are_counted_as_dropped(recorder, tap, tmp_path):
    recorder.open(tmp_path / "a.mcap", ABOUT)
    recorder.close_episode()
    PassLog(recorder).tick(tick(0))
    push(tap, wire("top", 1))
    eventually(lambda: recorder.status().dropped == 2, "both drops to be reported")


def test_opening_the_next_episode_finishes_the_last(recorder, tmp_path):
    recorder.open(tmp_path / "a.mcap", ABOUT)
    log_passes(recorder, 4)
    recorder.open(tmp_path / "b.mcap", ABOUT)
    assert not read_episode(tmp_path / "a.mcap").truncated
    assert len(read_episode(tmp_path / "a.mcap").ticks) == 4


def test_closing_the_recorder_finishes_the_open_episode(recorder, tmp_path):
    recorder.open(tmp_path / "a.mcap", ABOUT)
    log_passes(recorder, 4)
    recorder.close()
    recorder.close()
    PassLog(recorder).tick(tick(0))
    episode = read_episode(tmp_path / "a.mcap")
    assert (episode.truncated, len(episode.ticks), episode.ended["closed_by"]) == (False, 4, "stop")
    assert list((tmp_path / "ipc").iterdir()) == []
    assert not recorder.status().alive


def test_a_file_that_cannot_be_created_is_refused_and_the_recorder_lives(recorder, tmp_path):
    (tmp_path / "a.mcap").write_bytes(b"precious")
    for path in (tmp_path / "a.mcap", tmp_path / "nowhere" / "b.mcap", tmp_path / "c.bag"):
        with pytest.raises(LogError, match=path.name):
            recorder.open(path, ABOUT)
    recorder.open(tmp_path / "d.mcap", ABOUT)
    assert recorder.close_episode().error == ""
    assert (tmp_path / "a.mcap").read_bytes() == b"precious"


def test_a_directory_open_to_others_is_refused(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(Refusal, match="0700"):
        RecorderProcess(tmp_path / "open")


def test_a_killed_recorder_leaves_what_it_flushed_and_does_not_disturb_the_caller(recorder, tmp_path):
    path = tmp_path / "a.mcap"
    recorder.open(path, ABOUT)
    log = log_passes(recorder, 50)
    flushed = lambda: len(read_episode(path).ticks) == 50  # noqa: E731
    eventually(flushed, "the flush")
    os.kill(recorder.pid, signal.SIGKILL)
    eventually(lambda: not recorder.status().alive, "the death to be seen")
    log_passes(recorder, 300, 50, log)
    started = time.monotonic()
    status = recorder.close_episode()
    assert time.monotonic() - started < 1.0
    assert not status.alive
    assert status.dropped >= 300
    assert "exit code -9" in status.error
    episode = read_episode(path)
    assert episode.truncated
    assert len(episode.ticks) == 50


def test_a_new_recorder_takes_over_at_the_next_episode(recorder, tap, tmp_path):
    recorder.open(tmp_path / "a.mcap", ABOUT)
    push(tap, wire("top", 1))
    os.kill(recorder.pid, signal.SIGKILL)
    eventually(lambda: not recorder.status().alive, "the death to be seen")
    recorder.open(tmp_path / "b.mcap", ABOUT)
    assert recorder.status().error == ""
    log_passes(recorder, 5)

    def arrived():
        tap.frame(wire("top", 2))
        return recorder.status().frames == 1

    eventually(arrived, "a frame over the renewed connection")
    status = recorder.close_episode()
    assert (status.alive, status.error, status.dropped) == (True, "", 0)
    assert len(read_episode(tmp_path / "b.mcap").ticks) == 5


def test_a_killed_parent_leaves_a_finished_file(tmp_path):
    path = tmp_path / "a.mcap"
    command = [sys.executable, str(Path(__file__).with_name("loop.py")), str(tmp_path / "ipc"), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        last = -1
        while last < 300:
            last = int(parent.stdout.readline())
        parent.kill()
    with contextlib.suppress(psutil.NoSuchProcess):
        # Nobody may reap it here: a zombie has exited too.
        eventually(lambda: child.status() == psutil.STATUS_ZOMBIE, "the recorder to notice")
    episode = read_episode(path)
    assert not episode.truncated
    assert episode.ended["closed_by"] == "control process gone"
    assert episode.missing_ticks() == []
    assert len(episode.ticks) >= last - 20


def test_ctrl_c_and_sigterm_do_not_end_the_recorder(recorder, tmp_path):
    recorder.open(tmp_path / "a.mcap", ABOUT)
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(recorder.pid, number)
    log_passes(recorder, 5)
    status = recorder.close_episode()
    assert (status.alive, status.error) == (True, "")


def test_a_full_disk_is_reported_and_the_next_episode_is_written(recorder, tmp_path):
    path = tmp_path / "a.mcap"
    recorder.open(path, ABOUT)
    _, hard = resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, (30_000, hard))
    log = log_passes(recorder, 200)
    eventually(lambda: recorder.status().error != "", "the error to be reported")
    log_passes(recorder, 20, 200, log)
    status = recorder.close_episode()
    assert status.alive
    assert "File too large" in status.error
    assert status.dropped > 0
    assert path.stat().st_size == 30_000
    episode = read_episode(path)
    assert episode.truncated
    assert 10 < len(episode.ticks) < 200
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, (hard, hard))
    recorder.open(tmp_path / "b.mcap", ABOUT)
    assert recorder.close_episode().error == ""


def test_bytes_that_are_no_message_are_counted_on_both_sockets(recorder, tap, tmp_path):
    recorder.open(tmp_path / "a.mcap", ABOUT)
    good = wire("top", 1)
    flipped = good[:-20] + bytes([good[-20] ^ 1]) + good[-19:]
    bad_frames = [b"", b"\xff" * 50, good[: len(good) // 2], flipped, good + b"x", b"\x93\xa3", os.urandom(100)]
    for data in bad_frames:
        push(tap, data)
    push(tap, good)
    order = encode(Open(1, "/a.mcap", {"k": "v"}))
    bad_orders = [b"", b"\xff" * 50, order[:5], order + b"x", b"\x96\xa4Pass\x01\xa1\xff", b"\xc1", os.urandom(100)]
    context = zmq.Context()
    endpoint = recorder.frame_endpoint.replace("-frames", "-orders")
    with context.socket(zmq.PUSH) as intruder:
        intruder.setsockopt(zmq.LINGER, 1000)
        intruder.connect(endpoint)
        for data in bad_orders:
            intruder.send(data)
        intruder.send_multipart([b"several", b"parts"])
    context.term()
    count = len(bad_frames) + len(bad_orders) + 1
    eventually(lambda: recorder.status().malformed == count, "every malformed message to be counted")
    log_passes(recorder, 5)
    status = recorder.close_episode()
    assert (status.alive, status.error, status.frames) == (True, "", 1)
    assert len(read_episode(tmp_path / "a.mcap").ticks) == 5


def test_nonsense_reports_are_ignored(recorder, tmp_path):
    context = zmq.Context()
    with context.socket(zmq.PUSH) as intruder:
        intruder.setsockopt(zmq.LINGER, 1000)
        intruder.connect(recorder.frame_endpoint.replace("-frames", "-reports"))
        for data in (b"", b"\xff" * 40, b"\x91\xa6Report"):
            intruder.send(data)
    context.term()
    recorder.open(tmp_path / "a.mcap", ABOUT)
    assert recorder.close_episode().error == ""


def test_a_stopped_recorder_never_blocks_the_loop(recorder, tap, tmp_path):
    recorder.open(tmp_path / "a.mcap", ABOUT)
    os.kill(recorder.pid, signal.SIGSTOP)
    try:
        longest, log, image = 0, None, wire("top", 1, size=(480, 640))
        for index in range(6000):
            started = time.perf_counter()
            log = log_passes(recorder, 1, index, log)
            longest = max(longest, time.perf_counter() - started)
            if index % 20 == 0:
                tap.frame(image)
        assert longest < 0.5
        assert recorder.status().dropped > 0
        assert tap.dropped > 0
        assert "did not answer" in recorder.close_episode(timeout_s=0.2).error
    finally:
        os.kill(recorder.pid, signal.SIGCONT)


def test_of_a_pass_whatever_can_be_packed_is_logged_and_the_rest_counted(recorder, tmp_path):
    recorder.open(tmp_path / "a.mcap", ABOUT)
    log = PassLog(recorder)
    log.states(0, [state(0), replace(state(1), position=np.array([None]))])
    log.request(0, replace(request(0), instruction="\ud800"))
    log.chunk(0, replace(chunk(0), t0_ns=2**70), "")
    log.tick(tick(0))
    log.states(1, [state(2)])
    log.tick(replace(tick(1), now_ns=2**70))
    assert recorder.status().dropped == 4
    recorder.close_episode()
    episode = read_episode(tmp_path / "a.mcap")
    assert episode.dropped == 4
    assert [entry.index for entry in episode.ticks] == [0]
    assert [[entry.seq for entry in episode.states_by_tick[index]] for index in (0, 1)] == [[0], [2]]


def test_a_file_does_not_depend_on_which_process_wrote_it_but_for_its_metrics(recorder, tmp_path):
    recorder.open(tmp_path / "a.mcap", ABOUT)
    log_passes(recorder, 40)
    recorder.close_episode()
    writer = EpisodeWriter(tmp_path / "b.mcap", ABOUT)
    log_passes(writer, 40)
    writer.close()
    there, here = (messages(tmp_path / name) for name in ("a.mcap", "b.mcap"))
    assert [entry for entry in there if entry[0] != "/metrics"] == here
    assert there[-1][0] == "/metrics"
    assert len(there) > 80


def test_the_recorder_is_small_and_starts_at_once(tmp_path):
    started = time.monotonic()
    recorder = RecorderProcess(tmp_path / "ipc")
    recorder.open(tmp_path / "a.mcap", ABOUT)
    took = time.monotonic() - started
    log_passes(recorder, 1000)
    recorder.close_episode()
    resident = psutil.Process(recorder.pid).memory_info().rss
    recorder.close()
    assert resident < 48e6
    assert took < 2.0, "generous: other work may share the cores"


def test_neither_proxy_nor_tap_imports_the_writers_libraries():
    code = (
        "import sys, vla_runtime.episode.process, vla_runtime.episode.log, vla_runtime.wire.tap;"
        "sys.exit(any(name.split('.')[0] in ('mcap', 'google', 'torch') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_orders_survive_the_wire():
    for order in (Open(1, "/a.mcap", {"k": "v"}), Stop()):
        assert decode_order(encode(order)) == order


def test_a_mode_change_and_its_tick_arrive_together(recorder, tmp_path):
    recorder.open(tmp_path / "a.mcap", ABOUT)
    log = log_passes(recorder, 1)
    log.tick(tick(1, "stopping"))
    recorder.close_episode()
    assert [change.mode for change in read_episode(tmp_path / "a.mcap").modes] == ["holding", "stopping"]
