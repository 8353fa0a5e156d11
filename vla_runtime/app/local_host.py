"""A robot host that ``vla-run`` starts by itself (``host: local``)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from vla_runtime.core.errors import Refusal

__all__ = ["LocalHost"]


class LocalHost:
    """``vla-host`` as a child. It outlives a killed parent just long enough to stop the robot."""

    def __init__(self, robot: str, ipc: Path) -> None:
        command = [sys.executable, "-m", "vla_runtime.cli.host", "--robot", robot, "--ipc", str(ipc), "--json"]
        command += ["--parent", str(os.getpid())]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    @property
    def pid(self) -> int:
        return self._process.pid

    def gone(self) -> str:
        """Why the host can no longer answer, "" while it can.

        Raises:
            Refusal: it refused to start; it has said why on stderr.
        """
        code = self._process.poll()
        if code == Refusal.exit_code:
            raise Refusal("vla-host refused to start; its reason stands above")
        if code is None:
            return ""
        if code < 0:
            return f"vla-host was killed by {signal.Signals(-code).name}"
        return f"vla-host ended with exit code {code}"

    def close(self, timeout_s: float = 5.0) -> dict[str, Any] | None:
        """End the host; returns its report, None if it left none."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            output, _ = self._process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            output, _ = self._process.communicate()
        lines = output.decode(errors="replace").strip().splitlines()
        try:
            report = json.loads(lines[-1]) if lines else None
        except json.JSONDecodeError:
            return None
        return report if isinstance(report, dict) else None
