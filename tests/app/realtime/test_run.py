"""``vla-run`` under real-time scheduling, with and without the right to it."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import yaml

from .. import live
from .test_entering import UNPRIVILEGED

HERE = sorted(os.sched_getaffinity(0))


def test_without_rights_a_run_says_so_once_and_is_as_good_as_any(tmp_path: Path) -> None:
    code, report, errors = live.finish(
        *UNPRIVILEGED, *live.RUN, "--robot", live.patient("tracker", tmp_path), "--episodes", 1, "--no-log", "--json"
    )
    assert code == 0, errors
    assert report["successes"] == 1
    for granted in (report["realtime"], report["host"]["realtime"]):
        assert (granted["asked"], granted["policy"], granted["locked"]) == (True, "other", False)
        assert [words.split()[0] for words in granted["denied"]] == ["SCHED_FIFO", "locked"]
    assert errors.count("realtime.sh") == errors.count("RLIMIT_RTPRIO") == 1
    assert report["gc_collections"] == 0


def test_a_config_without_the_section_asks_for_nothing_and_is_told_nothing(tmp_path: Path) -> None:
    config = live.patient("tracker", tmp_path)
    content = yaml.safe_load(config.read_text())
    del content["realtime"]
    config.write_text(yaml.safe_dump(content))
    code, report, errors = live.finish(
        *UNPRIVILEGED, *live.RUN, "--robot", config, "--episodes", 1, "--no-log", "--json"
    )
    assert code == 0, errors
    assert not report["realtime"]["asked"]
    assert report["realtime"]["denied"] == report["host"]["realtime"]["denied"] == []
    assert "realtime" not in errors


def test_each_process_runs_on_its_own_cores_and_only_the_loops_threads_are_real_time(tmp_path: Path) -> None:
    config = live.patient("arm", tmp_path)
    content = yaml.safe_load(config.read_text())
    content["realtime"]["cpus"] = {"control": [HERE[0]], "planner": [HERE[-1]], "host": [HERE[-1]]}
    config.write_text(yaml.safe_dump(content))
    with live.started(*live.RUN, "--robot", config, "--log", tmp_path / "log", "--json") as process:
        live.moving(process, tmp_path / "log")
        cores = {
            "control": process.pid,
            **{
                name: live.child(process, module).pid
                for name, module in (("planner", live.PLANNER), ("recorder", live.RECORDER), ("host", live.LOCAL_HOST))
            },
        }
        expected = {"control": HERE[:1], "planner": HERE[-1:], "recorder": HERE, "host": HERE[-1:]}
        assert {name: sorted(os.sched_getaffinity(pid)) for name, pid in cores.items()} == expected
        first = live.child(process, live.PLANNER)
        first.kill()
        second = live.wait_for(
            lambda: (found := live.child(process, live.PLANNER)) and found.pid != first.pid and found, "another planner"
        )
        live.wait_for(lambda: sorted(second.cpu_affinity()) == HERE[-1:], "the new planner's cores")
        priorities = {name: priorities_of(pid) for name, pid in {**cores, "planner": second.pid}.items()}
    assert set(priorities["planner"]) == set(priorities["recorder"]) == {0}
    for name, expected in (("control", [20, 21]), ("host", [1, 1, 30, 31])):  # the host has two cameras
        assert sorted(priority for priority in priorities[name] if priority) in ([], expected), name


def priorities_of(pid: int) -> list[int]:
    return [os.sched_getparam(thread.id).sched_priority for thread in psutil.Process(pid).threads()]
