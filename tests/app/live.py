"""Real runs in real processes, for the tests beside this file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from .. import patience

RUN = [sys.executable, "-m", "vla_runtime.cli.run"]
HOST = [sys.executable, "-m", "vla_runtime.cli.host"]
REPLAY = [sys.executable, "-m", "vla_runtime.cli.replay"]


SHIPPED = Path(__file__).parents[2] / "robot_configs"


def patient(robot: str, directory: Path, **control: object) -> Path:
    """A shipped robot's config with long timeouts, in ``directory``."""
    return patience.patient(SHIPPED / f"{robot}.yaml", directory / f"{robot}.yaml", **control)


def last_line(output: str) -> dict[str, Any]:
    """The JSON object on the last line of standard output."""
    found = json.loads(output.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def finish(*command: object, timeout: float = 60) -> tuple[int, dict[str, Any], str]:
    """Run to the end; exit code, JSON object and stderr."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=timeout)
    return done.returncode, last_line(done.stdout), done.stderr


@contextmanager
def started(*command: object) -> Iterator[subprocess.Popen[str]]:
    """A process that is gone, with all its children, when the block ends."""
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    family = psutil.Process(process.pid)
    try:
        yield process
    finally:
        try:
            relatives = [family, *family.children(recursive=True)]
        except psutil.NoSuchProcess:
            relatives = []
        for relative in relatives:
            try:
                relative.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        process.communicate()


def wait_for(condition: Callable[[], Any], what: str, timeout: float = 30) -> Any:
    """The first true answer of ``condition``; a failure names ``what`` never came."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if answer := condition():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come within {timeout} s")


def child(process: subprocess.Popen[str], module: str) -> psutil.Process | None:
    """The child of ``process`` that runs ``module``."""
    try:
        children = psutil.Process(process.pid).children()
    except psutil.NoSuchProcess:
        return None
    for candidate in children:
        try:
            if module in candidate.cmdline():
                return candidate
        except psutil.NoSuchProcess:
            continue
    return None


PLANNER = "vla_runtime.plugins.planners.child"
RECORDER = "vla_runtime.episode.child"
LOCAL_HOST = "vla_runtime.cli.host"


def moving(process: subprocess.Popen[str], logs: Path, size: int = 60_000) -> Path:
    """Wait until a run has logged ``size`` bytes: it moves. Returns the log."""

    def big_enough() -> Path | None:
        assert process.poll() is None, process.communicate()
        return next((path for path in logs.glob("*.mcap") if path.stat().st_size > size), None)

    found = wait_for(big_enough, "a log that grows")
    assert isinstance(found, Path)
    return found


def all_gone(pids: list[int]) -> bool:
    """None of ``pids`` is a living process."""
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                return False
        except psutil.NoSuchProcess:
            continue
    return True
