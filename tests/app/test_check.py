"""``vla-run --check`` names what a run would lack, and moves nothing."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml

from vla_runtime.app.check import CheckReport
from vla_runtime.app.check import run as checking
from vla_runtime.app.check.cameras import Sight, watch_cameras
from vla_runtime.app.check.latency import measure_lateness
from vla_runtime.app.load import load_config
from vla_runtime.app.run import RunOptions
from vla_runtime.control.clock import VirtualClock
from vla_runtime.core.types import Frame, RobotState
from vla_runtime.plugins.cameras.zmq import FramePublisher
from vla_runtime.plugins.planners.settings import CameraSetting
from vla_runtime.wire.clock import ClockService

from ..plugins.conditioned import condition
from . import live
from .realtime.test_entering import UNPRIVILEGED

QUICK = ("--check", "--check-seconds", 0.3, "--json")
MS = 1_000_000


def config(directory: Path, name: str = "tracker", **changes: Any) -> Path:
    """A shipped robot's config with whole sections replaced."""
    path = live.patient(name, directory)
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))
    return path


def test_a_robot_that_is_ready_is_said_to_be_and_all_of_it_was_looked_at(tmp_path: Path) -> None:
    code, report, said = live.finish(*live.RUN, "--robot", config(tmp_path), *QUICK)
    assert code == 0, said
    assert (report["exit"], report["failures"]) == ("done", [])
    assert (report["policy"]["name"], report["policy"]["rtc"]) == ("toy", "off")
    assert report["robot"]["answers"]
    assert report["robot"]["states_per_s"] > 5
    assert report["cameras"]["image"]["seen"]
    assert report["cameras"]["image"]["fps"] > 5
    assert report["ticks"] + report["missed"] >= 30
    assert report["lateness_us"]["max"] >= report["lateness_us"]["p50"] >= 0
    lines = said.splitlines()
    assert lines[-1].startswith("verdict  ready")
    for what in ("kernel", "rights", "cores", "governor", "joints", "policy", "robot", "camera image", "real-time"):
        assert [line[9:].startswith(what) for line in lines].count(True) == 1, said


def test_nothing_is_commanded_and_no_episode_begins(tmp_path: Path) -> None:
    ipc = tmp_path / "ipc"
    robot = config(tmp_path)
    with live.started(*live.HOST, "--robot", robot, "--ipc", ipc, "--json") as host:
        live.wait_for(lambda: (ipc / "robot").exists(), "the host's socket")
        code, report, said = live.finish(*live.RUN, "--robot", robot, "--ipc", ipc, *QUICK)
        assert code == 0, said
        assert report["robot"]["answers"]
        host.send_signal(signal.SIGTERM)
        output, _ = host.communicate(timeout=30)
    found = live.last_line(output)
    assert (found["commands"], found["steps"], found["episodes"], found["dead_man_ms"]) == (0, 0, 0, [])


def test_missing_rights_are_a_warning_that_names_the_script(tmp_path: Path) -> None:
    code, report, said = live.finish(*UNPRIVILEGED, *live.RUN, "--robot", config(tmp_path), *QUICK)
    assert code == 0, said
    (warning,) = [line for line in report["warnings"] if line.startswith("real-time")]
    assert "deploy/realtime.sh --apply" in warning
    assert report["rights"]["rtprio"] == 0
    assert report["realtime"]["policy"] == "other"
    assert said.count("realtime.sh") == 1


def test_a_policy_that_cannot_continue_as_the_config_asks_is_refused_with_both_sides(tmp_path: Path) -> None:
    robot = config(tmp_path)
    asking = yaml.safe_load(robot.read_text())
    asking["policy"]["rtc"] = "guidance"
    robot.write_text(yaml.safe_dump(asking))
    code, report, said = live.finish(*live.RUN, "--robot", robot, *QUICK)
    assert code == 2, said
    (failure,) = report["failures"]
    assert "policy.rtc: the robot asks for guidance, for which a policy takes prev_chunk, prefix_weights" in failure
    assert report["policy"] == {"name": None, "hash": None, "rtc": None}


def test_a_policy_that_continues_is_said_to(tmp_path: Path) -> None:
    policy = condition(live.SHIPPED / "policies" / "toy.onnx", {"prev_chunk", "delay"}, tmp_path / "policy.onnx")
    code, report, said = live.finish(*live.RUN, "--robot", config(tmp_path), "--policy", policy, *QUICK)
    assert code == 0, said
    assert report["policy"]["rtc"] == "prefix"


def test_a_policy_of_another_robot_is_refused_and_the_rest_is_still_looked_at(tmp_path: Path) -> None:
    policy = live.SHIPPED / "policies" / "reach.onnx"
    code, report, said = live.finish(*live.RUN, "--robot", config(tmp_path), "--policy", policy, *QUICK)
    assert code == 2
    (failure,) = report["failures"]
    assert failure.startswith("policy: policy and robot do not match")
    assert report["policy"]["name"] is None
    assert report["robot"]["answers"]
    assert report["cameras"]["image"]["seen"]
    assert report["ticks"] > 0
    assert "verdict  not ready" in said


def test_a_camera_that_shows_nothing_and_a_robot_that_does_not_answer_are_named(tmp_path: Path) -> None:
    changes = {"host": "remote", "robot": {"options": {"timeout_s": 0.5}}}
    code, report, _ = live.finish(*live.RUN, "--robot", config(tmp_path, **changes), "--ipc", tmp_path, *QUICK)
    assert code == 2
    robot, camera = report["failures"]
    assert robot.startswith("robot: the robot host at ")
    assert camera == "camera image: no frame within 5 s"
    assert not report["cameras"]["image"]["seen"]


def test_joints_that_are_limited_in_speed_only_are_a_warning(tmp_path: Path) -> None:
    joints = yaml.safe_load((live.SHIPPED / "tracker.yaml").read_text())["joints"]
    bare = [{key: value for key, value in joint.items() if key not in ("acceleration", "jerk")} for joint in joints]
    code, report, _ = live.finish(*live.RUN, "--robot", config(tmp_path, joints=bare), *QUICK)
    assert code == 0
    assert report["joints_without_jerk_limit"] == ["a0", "a1", "a2", "a3"]
    assert "joints: no limit on acceleration and jerk of a0, a1, a2, a3" in report["warnings"]


def test_a_camera_of_another_machine_is_seen_by_our_clock(tmp_path: Path) -> None:
    def theirs() -> int:
        return time.monotonic_ns() + 3600 * 1000 * MS

    endpoint, clock = f"ipc://{tmp_path}/camera", f"ipc://{tmp_path}/clock"
    service, publisher, over = ClockService(clock, theirs), FramePublisher("far", endpoint, "raw"), threading.Event()

    def publish() -> None:
        seq = 0
        while not over.wait(0.02):
            seq += 1
            publisher.publish(Frame(np.zeros((2, 2, 3), np.uint8), theirs(), seq), theirs())

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        (sight,) = watch_cameras([CameraSetting("far", "zmq", endpoint, {}, 0, 0, clock)]).values()
    finally:
        over.set()
        thread.join()
        publisher.close()
        service.close()
    assert sight.fps is not None
    assert sight.fps > 5
    assert sight.age_ms is not None
    assert -100 < sight.age_ms < 60_000


class Still:
    """A robot that measures one pose."""

    def __init__(self, *position: float) -> None:
        self.calls: list[str] = []
        self._position = position

    def connect(self) -> None:
        self.calls.append("connect")

    def look(self, now_ns: int) -> list[RobotState]:
        return [RobotState(np.array(self._position), None, now_ns, 0)]

    def close(self) -> None:
        self.calls.append("close")

    def __getattr__(self, name: str) -> None:
        raise AssertionError(f"{name} was called")


class Unseen:
    """A robot that can only be commanded."""

    def close(self) -> None: ...


def looked_at(robot: object, monkeypatch: pytest.MonkeyPatch) -> CheckReport:
    """The report once the tracker, in the shape of ``robot``, was looked at."""
    monkeypatch.setattr(checking, "build_robot", lambda *_: robot)
    monkeypatch.setattr(checking, "_LOOK_S", 0.02)
    report = CheckReport(lambda _: None)
    with ExitStack() as stack:
        checking._Check(load_config("tracker"), RunOptions("tracker"), report, stack)._robot(Path("/nowhere"))
    return report


def test_a_pose_outside_the_limits_is_a_warning_and_only_connect_and_look_are_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    robot = Still(0.0, 1.5, 0.0, -1.0)
    report = looked_at(robot, monkeypatch)
    (warning,) = report.warnings
    assert warning == "pose: a1 is at 1.5, its limits are -1.0 to 1.0: a run would not start"
    assert robot.calls == ["connect", "close"]
    assert report.robot is not None
    assert looked_at(Still(0.0, 1.0, 0.0, -1.0), monkeypatch).warnings == []


def test_a_robot_that_cannot_be_looked_at_is_left_alone_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    report = looked_at(Unseen(), monkeypatch)
    assert report.warnings == ["robot: cannot be looked at before an episode begins: no look()"]
    assert report.failures == []
    assert report.robot is None


def test_the_verdict_counts_warnings_and_names_failures() -> None:
    said: list[str] = []
    report = CheckReport(said.append)
    report.found("ok", "kernel", "x")
    assert report.end().text == "ready"
    report.found("warning", "governor", "powersave")
    assert (report.end().kind, report.end().text) == ("done", "ready, with 1 warning")
    report.found("refused", "policy", "another robot's")
    assert (report.end().kind, report.end().text) == ("refused", "policy: another robot's")
    assert said[-1] == "verdict  not ready, with 1 warning; nothing has moved"


def test_ctrl_c_ends_a_check_and_leaves_nothing_behind(tmp_path: Path) -> None:
    robot = config(tmp_path)
    with live.started(*live.RUN, "--robot", robot, "--check", "--check-seconds", 60, "--json") as process:
        assert process.stderr is not None
        said = next(line for line in iter(process.stderr.readline, "") if "of 60 s" in line)
        assert "latency" in said
        family = [relative.pid for relative in psutil.Process(process.pid).children(recursive=True)]
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 130
        assert live.last_line(output)["exit"] == "interrupted"
        assert family
        assert live.all_gone(family)


def test_lateness_is_measured_at_every_deadline_and_a_missed_one_is_counted() -> None:
    class Slow(VirtualClock):
        """Wakes up 1 ms late, and once 27 ms."""

        sleeps = 0

        def sleep_until(self, deadline_ns: int) -> None:
            self.sleeps += 1
            super().sleep_until(deadline_ns + (27 if self.sleeps == 5 else 1) * MS)

    said: list[str] = []
    found = measure_lateness(Slow(), 10 * MS, 3.0, said.append)
    assert (found.ticks, found.missed) == (298, 2)
    assert found.late.largest == 27 * MS
    assert found.late.quantile(0.5) == pytest.approx(MS, rel=0.01)
    assert [line.split("latency")[1].split(",")[0].strip() for line in said] == ["1 of 3 s", "2 of 3 s"]


def test_a_cameras_rate_and_age_come_from_capture_stamps_and_a_repeated_frame_counts_once() -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    sight = Sight()
    sight.take(None, 0, 0)
    assert (sight.first_s, sight.fps, sight.age_ms) == (None, None, None)
    for seq in range(6):
        for again in range(3):
            sight.take(Frame(pixels, seq * 20 * MS, seq), (seq * 20 + 7 + again) * MS, 0)
    assert sight.first_s == 0.007
    assert sight.fps == pytest.approx(50)
    assert sight.age_ms == 7
    assert not sight.enough(1_000 * MS, 0)
    assert sight.enough(1_007 * MS, 0)
