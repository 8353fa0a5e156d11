"""``vla-run`` as its users meet it: real processes, real sockets, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from vla_runtime.app.run import RunOptions, run
from vla_runtime.episode.process import RecorderProcess, RecorderStatus
from vla_runtime.episode.reader import read_episode

from . import live

KEYS = {
    "exit", "cause", "ticks", "overruns", "lateness_us", "tick_us", "capture_to_chunk_ms", "chunks", "starved_ticks",
    "interventions", "mode_ns", "planner_restarts", "episodes", "successes", "log",
}  # fmt: skip


def check(log: object) -> dict[str, object]:
    code, found, errors = live.finish(*live.REPLAY, log, "--check", "--json")
    assert code == 0, errors
    assert found["identical"]
    return found


def test_a_run_ends_with_a_report_and_logs_that_re_execute_bit_for_bit(tmp_path: Path) -> None:
    code, report, errors = live.finish(
        *live.RUN,
        "--robot",
        live.patient("tracker", tmp_path),
        "--episodes",
        3,
        "--log",
        tmp_path,
        "--seed",
        5,
        "--json",
    )
    assert code == 0, errors
    assert report.keys() >= KEYS
    assert (report["exit"], report["episodes"], report["successes"]) == ("done", 3, 3)
    assert report["host"]["episodes"] == report["host"]["successes"] == 3
    assert report["host"]["dead_man_ms"] == []
    assert report["lateness_us"].keys() == report["tick_us"].keys() == {"p50", "p99", "p999", "max"}
    assert len(report["logs"]) == len(list(tmp_path.glob("*.mcap"))) == 3
    assert sum(check(log)["ticks"] for log in report["logs"]) == report["ticks"]  # type: ignore[misc]


def test_a_camera_that_the_policy_does_not_look_through_is_logged_beside_the_others(tmp_path: Path) -> None:
    config = live.patient("tracker", tmp_path)
    content = yaml.safe_load(config.read_text())
    content["cameras"].append({"name": "view", "height": 12, "width": 20, "fps": 20})
    content["device"]["options"]["success_steps"] = 40  # long enough for a camera's thread on a busy machine
    config.write_text(yaml.safe_dump(content))
    code, report, errors = live.finish(*live.RUN, "--robot", config, "--episodes", 1, "--log", tmp_path, "--json")
    assert code == 0, errors
    episode = read_episode(Path(report["log"]))
    assert episode.cameras == ("image", "view")
    sizes = {frame.pixels().shape for frame in episode.frames("view")}
    assert sizes == {(12, 20, 3)}
    assert not any("view" in chunk.frames for group in episode.chunks_by_tick.values() for chunk, _ in group)
    check(report["log"])


def test_the_robot_half_runs_where_torch_cannot_be_imported(tmp_path: Path) -> None:
    for name in ("torch", "tensordict", "torchrl", "onnx"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('this machine has no ' + __name__)\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [*live.RUN, "--robot", str(live.patient("arm", tmp_path)), "--duration", "2",
         "--log", str(tmp_path / "log"), "--json"],
        capture_output=True, text=True, env=environment, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    log = live.last_line(done.stdout)["log"]
    again = subprocess.run([*live.REPLAY, log, "--policy", "robot_configs/policies/reach.onnx", "--check", "--json"],
                           capture_output=True, text=True, env=environment, timeout=60,
                           cwd=Path(__file__).parents[2])  # fmt: skip
    assert live.last_line(again.stdout)["identical"], again.stderr


@pytest.mark.parametrize("command", ["run", "host", "replay", "train", "eval", "demo"])
def test_help_imports_nothing_heavy(command: str) -> None:
    probe = (
        "import sys\n"
        f"from vla_runtime.cli.{command} import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'zmq', 'onnxruntime', 'cv2', 'torch', 'yaml', 'msgspec', 'mcap'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "examples:" in done.stdout


def test_ctrl_c_stops_under_control_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with live.started(*live.RUN, "--robot", live.patient("arm", tmp_path), "--log", tmp_path, "--json") as process:
        live.moving(process, tmp_path)
        family = [relative.pid for relative in psutil.Process(process.pid).children(recursive=True)]
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
        assert process.returncode == 130, errors
        report = live.last_line(output)
        assert (report["exit"], report["cause"]) == ("interrupted", "SIGINT")
        assert report["mode_ns"]["stopping"] > 0
        assert report["host"]["dead_man_ms"] == []
        assert live.all_gone(family)
        check(report["log"])


def test_a_ctrl_c_while_an_episode_is_being_closed_loses_neither_its_count_nor_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = RecorderProcess.close_episode

    def interrupted(recorder: RecorderProcess, timeout_s: float = 5.0) -> RecorderStatus:
        os.kill(os.getpid(), signal.SIGINT)
        return close(recorder, timeout_s)

    monkeypatch.setattr(RecorderProcess, "close_episode", interrupted)
    options = RunOptions(str(live.patient("tracker", tmp_path)), log_directory=str(tmp_path / "log"))
    report = run(options, lambda line: None, time.monotonic_ns())
    assert (report.cause.kind, report.cause.text, report.episodes) == ("interrupted", "SIGINT", 1)
    (log,) = report.logs
    episode = read_episode(Path(log))
    assert not episode.truncated
    assert report.metrics.ticks == len(episode.ticks) > 0


def test_a_second_ctrl_c_asks_for_an_immediate_stop(tmp_path: Path) -> None:
    config = live.patient("arm", tmp_path, settle_ms=20_000)
    with live.started(*live.RUN, "--robot", config, "--log", tmp_path / "log", "--json") as process:
        live.moving(process, tmp_path / "log")
        process.send_signal(signal.SIGINT)
        live.wait_for(lambda: process.poll() is None, "the stop to begin")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.0)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=10)
        assert process.returncode == 130, errors
        assert live.last_line(output)["mode_ns"]["stopping"] > 0


def test_a_killed_planner_holds_the_robot_comes_back_and_the_run_goes_on(tmp_path: Path) -> None:
    # An episode of this task lasts 7 s: the planner dies in the middle of one.
    task = ("--policy", live.SHIPPED / "policies" / "track.onnx", "--instruction", "follow the red block")
    with live.started(
        *live.RUN, "--robot", live.patient("arm", tmp_path), *task, "--duration", 8, "--log", tmp_path, "--json"
    ) as process:
        log = live.moving(process, tmp_path, 400_000)
        first = live.wait_for(lambda: live.child(process, live.PLANNER), "the planner")
        first.kill()
        second = live.wait_for(
            lambda: (found := live.child(process, live.PLANNER)) and found.pid != first.pid and found, "another planner"
        )
        assert second.pid != first.pid
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        report = live.last_line(output)
        assert report["planner_restarts"] == 1
        assert report["exit"] == "done"
        assert 0 < report["mode_ns"]["holding"] < 3_000_000_000
        assert report["starved_ticks"] > 0
        assert report["chunks"]["used"] > 5
        for path in report["logs"]:
            check(path)
        assert log.is_file()


def test_a_killed_run_is_stopped_by_the_host_and_its_log_still_re_executes(tmp_path: Path) -> None:
    ipc = tmp_path / "ipc"
    with live.started(*live.HOST, "--robot", live.patient("arm", tmp_path), "--ipc", ipc, "--json") as host:
        live.wait_for(lambda: (ipc / "robot").exists(), "the host's socket")
        with live.started(
            *live.RUN, "--robot", live.patient("arm", tmp_path), "--ipc", ipc, "--log", tmp_path / "log"
        ) as process:
            log = live.moving(process, tmp_path / "log", size=150_000)
            family = [relative.pid for relative in psutil.Process(process.pid).children(recursive=True)]
            process.kill()
            process.wait(10)
            live.wait_for(lambda: live.all_gone(family), "the end of the killed run's children")
        assert host.stderr is not None
        said = iter(host.stderr.readline, "")
        assert any("dead man" in line for line in said)
        host.send_signal(signal.SIGTERM)
        output, _ = host.communicate(timeout=10)
        (age_ms,) = live.last_line(output)["dead_man_ms"]
        assert age_ms >= 300
    found = check(log)
    assert found["ticks"] > 20  # type: ignore[operator]


def test_a_killed_host_is_a_fault_that_is_named(tmp_path: Path) -> None:
    with live.started(*live.RUN, "--robot", live.patient("arm", tmp_path), "--log", tmp_path, "--json") as process:
        live.moving(process, tmp_path)
        live.child(process, live.LOCAL_HOST).kill()
        output, errors = process.communicate(timeout=30)
        assert process.returncode == 3, errors
        report = live.last_line(output)
        assert report["exit"] == "fault"
        assert "vla-host was killed by SIGKILL" in report["cause"]
        check(report["log"])


def test_a_killed_recorder_does_not_disturb_the_run(tmp_path: Path) -> None:
    with live.started(
        *live.RUN, "--robot", live.patient("arm", tmp_path), "--duration", 4, "--log", tmp_path, "--json"
    ) as process:
        live.moving(process, tmp_path)
        live.child(process, live.RECORDER).kill()
        output, errors = process.communicate(timeout=30)
        assert process.returncode == 0, errors
        report = live.last_line(output)
        assert report["exit"] == "done"
        assert report["log_dropped"] > 0
        assert "recorder" in report["log_error"]
        check(report["logs"][0])


def test_what_a_killed_run_leaves_is_removed_by_the_next_and_a_living_run_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets = tmp_path / "tmp"
    sockets.mkdir()
    monkeypatch.setenv("TMPDIR", str(sockets))
    arm, tracker = live.patient("arm", tmp_path), live.patient("tracker", tmp_path)
    with live.started(*live.RUN, "--robot", arm, "--log", tmp_path / "killed") as process:
        live.moving(process, tmp_path / "killed")
        process.kill()
        process.wait(10)
    (left,) = sockets.glob("vla-run-*")
    with live.started(*live.RUN, "--robot", arm, "--log", tmp_path / "living") as living:
        live.moving(living, tmp_path / "living")
        (held,) = sockets.glob("vla-run-*")
        assert held != left
        code, _, errors = live.finish(*live.RUN, "--robot", tracker, "--episodes", 1, "--no-log", "--json")
        assert code == 0, errors
        assert list(sockets.glob("vla-run-*")) == [held]
        assert (held / "robot").exists()
        assert living.poll() is None


def test_an_orphaned_local_host_ends_by_itself(tmp_path: Path) -> None:
    with live.started(*live.RUN, "--robot", live.patient("arm", tmp_path), "--log", tmp_path) as process:
        live.moving(process, tmp_path)
        family = [relative.pid for relative in psutil.Process(process.pid).children(recursive=True)]
        process.kill()
        process.wait(10)
        live.wait_for(lambda: live.all_gone(family), "the end of host, planner and recorder")


def test_the_toy_environment_hosted_over_sockets_is_solved_and_its_log_replays_on_a_fresh_one(tmp_path: Path) -> None:
    code, report, errors = live.finish(
        *live.RUN, "--robot", live.patient("toy", tmp_path), "--episodes", 10, "--log", tmp_path, "--json", timeout=120
    )
    assert code == 0, errors
    assert report["host"]["successes"] == report["host"]["episodes"] == 10
    code, found, errors = live.finish(*live.REPLAY, report["logs"][3], "--env", "toy", "--check", "--json")
    assert code == 0, errors
    assert found["identical"]
    assert found["findings"]["env"]["success"]
