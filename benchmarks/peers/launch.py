"""Run a contestant as a process group of its own: watched, limited in time, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Failed", "Finished", "launch", "pss_bytes", "tree"]

_LOOK_S = 2.0


class Failed(Exception):
    """A contestant hung, crashed or was refused; the message says which."""


@dataclass(frozen=True, slots=True)
class Finished:
    """``started_ns``: just before the process was made. ``pss_mb``: the most that all its processes had together."""

    last_line: str
    started_ns: int
    pss_mb: float


def launch(command: Sequence[str], environment: Mapping[str, str], limit_s: float) -> Finished:
    """Run ``command`` to its end and return what it says on its last line.

    Raises:
        Failed: it took longer than ``limit_s`` and was killed, or did not exit with 0.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started_ns = time.monotonic_ns()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=dict(environment),
                                   start_new_session=True)  # fmt: skip
        try:
            pss = _watch(process, time.monotonic() + limit_s)
        finally:
            _end(process)
        for file in (out, err):
            file.seek(0)
        said, complaints = out.read().splitlines(), err.read().splitlines()
    if pss is None:
        raise Failed(f"was killed after {limit_s:g} s")
    if process.returncode or not said:
        raise Failed(f"exit code {process.returncode}: {complaints[-1] if complaints else 'it said nothing'}")
    return Finished(said[-1], started_ns, pss / 2**20)


def _watch(process: subprocess.Popen, end_s: float) -> int | None:
    """The highest sum of the PSS of the process and its descendants, bytes; None if it is still there at ``end_s``."""
    most = 0
    while time.monotonic() < end_s:
        try:
            process.wait(min(_LOOK_S, max(0.0, end_s - time.monotonic())))
            return most
        except subprocess.TimeoutExpired:
            most = max(most, sum(map(pss_bytes, tree(process.pid))))
    return None


def _end(process: subprocess.Popen) -> None:
    """Whatever of its group is left goes."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def tree(pid: int) -> list[int]:
    """``pid`` and its descendants."""
    found = [pid]
    with suppress(OSError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                found += tree(int(child))
    return found


def pss_bytes(pid: int) -> int:
    """The process's proportional set size; 0 where it is gone or may not be read."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
