"""One run of real processes that faults are injected into."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from .shim import Shim
from .started import HOST, Started
from .timeline import Timeline
from .truth import Truth, read_truth

__all__ = ["NeverHappened", "Run"]

PLANNER, RECORDER = "vla_runtime.plugins.planners.child", "vla_runtime.episode.child"
_START_S = 40.0
_END_S = 40.0
_POLL_S = 0.03
_STEADY_S = 0.25


class NeverHappened(Exception):
    """What the campaign waited for did not come."""


class Run(Started):
    """A run with handles for faults, and what is known of it while it lives."""

    @property
    def planner(self) -> psutil.Process:
        return self._child(PLANNER)

    @property
    def recorder(self) -> psutil.Process:
        return self._child(RECORDER)

    @property
    def host(self) -> psutil.Process:
        return psutil.Process(self._host.pid) if self._host is not None else self._child(HOST)

    @property
    def shim(self) -> Shim:
        assert self._shim is not None, "this run has no shim"
        return self._shim

    def signal_group(self, number: int) -> None:
        """As a terminal does: to ``vla-run`` and all that it started."""
        self._look()
        os.killpg(self._run.pid, number)

    def misbehave(self, how: str) -> None:
        """Tell the policy how; "" for no longer."""
        self._switch(self.folder / "circle.policy.misbehave", how)

    def camera_fails(self, how: str) -> None:
        """Tell the device which camera fails, and how; "" for no longer."""
        self._switch(self.folder / "truth.camera", how)

    def wait(self, condition: Callable[[], Any], what: str, seconds: float) -> Any:
        """The first true answer of ``condition``. Raises NeverHappened."""
        end = time.monotonic() + seconds
        while True:
            if answer := condition():
                return answer
            if self.over:
                raise NeverHappened(f"the run ended before {what}: {self.last_words()}")
            if time.monotonic() > end:
                raise NeverHappened(f"{what} did not come within {seconds:.1f} s")
            time.sleep(_POLL_S)

    def wait_mode(self, mode: str, after_ns: int, seconds: float, entered_ns: int = 0) -> int:
        """Until the run's mode is ``mode`` at some time after ``after_ns``; returns when it was entered.

        One that was entered before ``entered_ns`` does not count.
        """

        def seen() -> int:
            changes = self._timeline().poll()
            ends = [change.ns for change in changes[1:]] + [1 << 62]
            return next(
                (
                    change.ns
                    for change, end in zip(changes, ends, strict=True)
                    if change.mode == mode and end > after_ns and change.ns >= entered_ns
                ),
                0,
            )

        return int(self.wait(seen, f"mode {mode}", seconds))

    def steady(self) -> None:
        """Wait until the run follows its plan and has done so for a while, the log being up to date."""
        called_ns = time.monotonic_ns()

        def following() -> bool:
            timeline = self._timeline()
            changes = timeline.poll()
            steady_ns = max(called_ns, changes[-1].ns + round(_STEADY_S * 1e9) if changes else 0)
            return timeline.mode == "running" and timeline.newest_ns > steady_ns

        self.wait(following, "steady motion", _START_S)
        self._look()

    def wait_end(self, seconds: float = _END_S) -> None:
        """Wait for the end of ``vla-run``."""
        try:
            self.exit_code = self._run.wait(seconds)
        except subprocess.TimeoutExpired:
            raise NeverHappened(f"vla-run did not end within {seconds:.0f} s") from None

    def truth(self) -> Truth:
        """What the device has seen so far."""
        return read_truth(self.folder / "truth")

    def last_words(self) -> str:
        lines = (self.folder / "run.err").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    @property
    def log(self) -> Path | None:
        """The episode's file."""
        found = self._logs()
        return found[0] if found else None

    def _logs(self) -> list[Path]:
        return sorted(self.log_folder.glob("*.mcap"))

    def _timeline(self) -> Timeline:
        if self.timeline is None:
            self.timeline = Timeline(self.wait(self._logs, "a log", _START_S)[0])
        return self.timeline

    def _child(self, module: str) -> psutil.Process:
        for child in self.control.children():
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if module in child.cmdline():
                    self._seen[child.pid] = child
                    return child
        raise NeverHappened(f"there is no process {module}")

    def _switch(self, path: Path, how: str) -> None:
        if not how:
            path.unlink(missing_ok=True)
            return
        new = path.with_name(path.name + ".new")
        new.write_text(how)
        new.rename(path)
