"""The log: its process, and the disk beneath it. Nothing of it may touch the motion."""

from __future__ import annotations

import signal
from collections.abc import Callable

import psutil

from ..demands import Row, RunsOn, Trial
from ..evidence import Evidence
from ..run import Run
from ..setting import Setting, Times

__all__ = ["rows"]


def _says(words: str) -> Callable[[Trial, Evidence], str]:
    def check(trial: Trial, evidence: Evidence) -> str:
        found = str(evidence.report.get("log_error", ""))
        return "" if words in found else f"the report's log_error is {found!r}, expected {words!r}"

    return check


def _whole(trial: Trial, evidence: Evidence) -> str:
    found = [tick.index for tick in evidence.ticks(trial.injected_ns, trial.over_ns)]
    lost = found[-1] - found[0] + 1 - len(found) if found else 1
    return f"{lost} ticks are missing from the log" if lost else ""


def _limited(run: Run) -> None:
    """No file of the recorder may grow any more."""
    assert run.log is not None
    size = run.log.stat().st_size
    run.recorder.rlimit(psutil.RLIMIT_FSIZE, (size, size))


def _full(run: Run) -> None:
    try:
        with (run.log_folder / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    except OSError:
        return


def rows(times: Times) -> list[Row]:
    local = Setting(apart=False)
    gap = times.dead_man
    ended = RunsOn(gap, 1.0, finish=True)

    def row(name: str, text: str, inject: Callable[[Run], None], demand: RunsOn, **more: object) -> Row:
        return Row(name, "log", text, inject, demand, more.pop("setting", local), **more)  # type: ignore[arg-type]

    return [
        row("recorder-sigstop", "the recorder stands still for 1 s", lambda run: run.recorder.suspend(), RunsOn(gap),
            restore=lambda run: run.recorder.resume(), also=_whole),
        row("recorder-sigkill", "SIGKILL to the recorder", lambda run: run.recorder.send_signal(signal.SIGKILL), ended,
            also=_says("recorder"), quick=True),
        row("disk-limit", "the log may not grow any more (RLIMIT_FSIZE)", _limited, ended, also=_says("ends after"),
            quick=True),
        row("disk-full", "the disk is full (a file system of 2 MB)", _full, ended, also=_says("No space left"),
            setting=Setting(apart=False, disk="small")),
        row("disk-slow", "every write to the log takes 0.3 s", lambda run: run.shim.set(write_s=0.3), RunsOn(gap, 2.0),
            restore=lambda run: run.shim.set(), setting=Setting(apart=False, shim=True)),
    ]  # fmt: skip
