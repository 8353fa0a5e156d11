"""The processes of a run: started together, ended together, with whatever lies between them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil

from .relay import CameraRelay, RobotRelay
from .setting import Setting, Times, write_configs
from .shim import Shim
from .timeline import Timeline

__all__ = ["HOST", "Started"]

ROOT = Path(__file__).parents[2]
PLUGINS = Path(__file__).with_name("plugins")
HOST = "vla_runtime.cli.host"
_END_S = 40.0
_POLL_S = 0.03
_SMALL_DISK = "2m"

_Self = TypeVar("_Self", bound="Started")


class Started:
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

    def __enter__(self: _Self) -> _Self:
        try:
            self._start()
        except BaseException:
            self._clean()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._clean()

    @property
    def over(self) -> bool:
        """``vla-run`` has ended."""
        return self._run.poll() is not None

    @property
    def control(self) -> psutil.Process:
        return psutil.Process(self._run.pid)

    def beside(self, *command: str) -> None:
        """Start a process that competes with the run."""
        self._others.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))

    def end_beside(self) -> None:
        for other in self._others:
            other.kill()
            other.wait()
        self._others.clear()

    def finish(self) -> None:
        """End whatever still runs, as a user would, and collect the reports."""
        self._look()
        if not self.over:
            self._run.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self.exit_code = self._run.wait(_END_S)
        if self._host is not None and self._host.poll() is None:
            self._host.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._host.wait(10)
        self.report = _last_line(self.folder / "run.out")
        self.left_behind = self._left()

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

    def _look(self) -> None:
        """Remember every process of the run, to see later that it is gone."""
        with suppress(psutil.NoSuchProcess, AttributeError):  # gone, or never started
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
