"""One run of real processes that faults are injected into."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from .relay import CameraRelay, RobotRelay
from .setting import Setting, Times, write_configs
from .shim import Shim
from .timeline import Timeline
from .truth import Truth, read_truth

__all__ = ["NeverHappened", "Run"]

ROOT = Path(__file__).parents[2]
PLUGINS = Path(__file__).with_name("plugins")
PLANNER, RECORDER, HOST = "vla_runtime.plugins.planners.child", "vla_runtime.episode.child", "vla_runtime.cli.host"
_START_S = 40.0
_END_S = 40.0
_POLL_S = 0.03
_STEADY_S = 0.25
_SMALL_DISK = "2m"


class NeverHappened(Exception):
    """What the campaign waited for did not come."""


class Run:
    """``vla-run`` with its planner, recorder and host, in a folder of its own. Use as a context."""

    def __init__(self, setting: Setting, times: Times) -> None:
        self.setting, self.times = setting, times
        self._folder = tempfile.TemporaryDirectory(prefix="vla-faults-")
        self.folder = Path(self._folder.name)
        self.log_folder = self.folder / "log"
        self.log_folder.mkdir()
        self._mounted = False
        self._shim: Shim | None = None
        self._relays: list[CameraRelay | RobotRelay] = []
        self.front = self.side = None
        self.robot: RobotRelay | None = None
        self._seen: dict[int, psutil.Process] = {}
        self._others: list[subprocess.Popen[bytes]] = []
        self.timeline: Timeline | None = None
        self.report: dict[str, Any] = {}
        self.exit_code: int | None = None
        self.left_behind: list[str] = []

    def __enter__(self) -> Run:
        try:
            self._start()
        except BaseException:
            self._clean()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._clean()

    def _start(self) -> None:
        if self.setting.disk == "small":
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={_SMALL_DISK}", "none", str(self.log_folder)], check=True
            )
            self._mounted = True
        environment = dict(os.environ) | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(PLUGINS)])}
        environment["TMPDIR"] = str(self.folder)
        if self.setting.shim:
            self._shim = Shim(self.folder)
            environment |= self._shim.environment
        run, host = write_configs(self.setting, self.times, self.folder)
        self._environment = environment
        ipc = self.folder / "ipc"
        self._host: subprocess.Popen[bytes] | None = None
        if self.setting.apart:
            self._host = self._popen("host", HOST, "--robot", str(host), "--ipc", str(ipc), "--json")
            self.robot = RobotRelay(f"ipc://{ipc}/robot", f"ipc://{self.folder}/relay.robot")
            self.front = CameraRelay(f"ipc://{ipc}/camera.front", f"ipc://{self.folder}/relay.front")
            self.side = CameraRelay(f"ipc://{ipc}/camera.side", f"ipc://{self.folder}/relay.side")
            self._relays = [self.robot, self.front, self.side]
        more = ["--ipc", str(ipc)] if self.setting.apart else []
        self.started_ns = time.monotonic_ns()
        self._run = self._popen("run", "vla_runtime.cli.run", "--robot", str(run), "--json", *more)

    def _popen(self, name: str, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.out").open("wb") as out, (self.folder / f"{name}.err").open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                env=self._environment, start_new_session=True, cwd=self.folder,
            )  # fmt: skip
        self._seen[process.pid] = psutil.Process(process.pid)
        return process

    @property
    def over(self) -> bool:
        """``vla-run`` has ended."""
        return self._run.poll() is not None

    @property
    def control(self) -> psutil.Process:
        return psutil.Process(self._run.pid)

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

    def beside(self, *command: str) -> None:
        """Start a process that competes with the run."""
        self._others.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))

    def end_beside(self) -> None:
        for other in self._others:
            other.kill()
            other.wait()
        self._others.clear()

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

    def finish(self) -> None:
        """End whatever still runs, as a user would, and collect the reports."""
        self._look()
        if not self.over:
            self._run.send_signal(signal.SIGINT)
        with suppress(NeverHappened):
            self.wait_end()
        if self._host is not None and self._host.poll() is None:
            self._host.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._host.wait(10)
        self.report = _last_line(self.folder / "run.out")
        self.left_behind = self._left()

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

    def _look(self) -> None:
        """Remember every process of the run, to see later that it is gone."""
        with suppress(psutil.NoSuchProcess):
            self._seen |= {child.pid: child for child in self.control.children(recursive=True)}

    def _left(self) -> list[str]:
        """What is still alive a few seconds after the end."""
        end = time.monotonic() + 5
        while (alive := [process for process in self._seen.values() if _alive(process)]) and time.monotonic() < end:
            time.sleep(_POLL_S)
        return [" ".join(process.cmdline()[:4]) for process in alive]

    def _clean(self) -> None:
        self._look()
        self.end_beside()
        for process in self._seen.values():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for started in (getattr(self, "_run", None), getattr(self, "_host", None)):
            if started is not None:
                started.wait()
        for relay in self._relays:
            relay.close()
        if self._shim is not None:
            self._shim.close()
        if self._mounted:
            subprocess.run(["umount", "-l", str(self.log_folder)], check=True)
        self._folder.cleanup()


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _last_line(path: Path) -> dict[str, Any]:
    lines = path.read_text(errors="replace").strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else {}
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
