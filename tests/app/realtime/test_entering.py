"""Real-time scheduling is asked for, taken as far as it is granted, and never passed on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vla_runtime.app.realtime import Asked, enter_realtime
from vla_runtime.app.realtime.rights import rights

HERE = Path(__file__).parent
UNPRIVILEGED = [sys.executable, str(HERE / "unprivileged.py")]
OTHER = [os.SCHED_OTHER, 0]


def entered(*cpus: int, before: list[str] | None = None) -> dict[str, Any]:
    """What ``entering.py`` found."""
    command = [*(before or []), sys.executable, str(HERE / "entering.py"), *map(str, cpus)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def as_we_are() -> dict[str, Any]:
    return entered()


@pytest.fixture(scope="module")
def without_rights() -> dict[str, Any]:
    return entered(before=UNPRIVILEGED)


def test_what_is_said_to_be_granted_is_what_the_kernel_says(as_we_are: dict[str, Any]) -> None:
    granted = as_we_are["granted"]
    policy = {"fifo": os.SCHED_FIFO, "other": os.SCHED_OTHER}[granted["policy"]]
    assert as_we_are["self"] == [policy, granted["priority"]]
    assert (as_we_are["locked"] > 0) == granted["locked"]
    assert as_we_are["cpus"]["self"] == granted["cpus"]
    io = [policy, granted["io_priority"]]
    assert as_we_are["io"] == [io]
    assert as_we_are["threads"]["before"] == [policy, granted["threads_priority"]]
    assert granted["threads_priority"] == (granted["policy"] == "fifo")
    assert len(granted["denied"]) == (granted["policy"] == "other") + (not granted["locked"])


def test_no_thread_started_afterwards_and_no_child_inherits_it(as_we_are: dict[str, Any]) -> None:
    assert as_we_are["threads"]["after"] == OTHER
    assert as_we_are["child"] == os.SCHED_OTHER


def test_the_threads_that_carry_images_and_records_keep_the_ordinary_policy(as_we_are: dict[str, Any]) -> None:
    assert as_we_are["bulk"] == [OTHER, OTHER]  # a context has a second thread, which closes sockets


def test_leaving_gives_everything_back(as_we_are: dict[str, Any]) -> None:
    threads = {"before": OTHER, "after": OTHER}
    assert as_we_are["left"] == {"threads": threads, "self": OTHER, "io": [OTHER], "locked": 0}


def test_without_rights_it_runs_on_and_says_what_is_missing_and_how_to_grant_it(without_rights: dict[str, Any]) -> None:
    granted = without_rights["granted"]
    assert without_rights["self"] == without_rights["io"][0] == OTHER
    assert (granted["policy"], granted["priority"], granted["io_priority"], granted["locked"]) == ("other", 0, 0, False)
    assert granted["threads_priority"] == 0
    scheduling, memory = granted["denied"]
    advice = without_rights["advice"]
    assert scheduling in advice
    assert memory in advice
    assert "sudo deploy/realtime.sh --apply" in advice
    assert "\n" not in advice


def test_what_needs_no_rights_is_granted_to_everyone(without_rights: dict[str, Any]) -> None:
    granted = without_rights["granted"]
    assert granted["spin_us"] == 100
    assert granted["timer_slack_ns"] == 1


def test_every_thread_of_the_process_goes_to_the_cores_asked_for() -> None:
    core = max(os.sched_getaffinity(0))
    found = entered(core)
    assert found["granted"]["cpus"] == [core]
    assert found["cpus"] == {"self": [core], "before": [core], "after": [core]}


def test_who_asks_for_nothing_changes_nothing() -> None:
    before = (os.sched_getscheduler(0), os.sched_getaffinity(0))
    granted = enter_realtime(Asked())
    assert (os.sched_getscheduler(0), os.sched_getaffinity(0)) == before
    assert (granted.asked, granted.policy, granted.locked, granted.denied, granted.advice) == (
        False, "other", False, (), "")  # fmt: skip


def test_the_rights_are_a_priority_that_exists_and_a_size() -> None:
    found = rights()
    assert 0 <= found.rtprio <= 99
    assert found.memlock is None or found.memlock >= 0
