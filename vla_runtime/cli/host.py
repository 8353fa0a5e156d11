"""``vla-host``: own a robot's devices and serve them to ``vla-run``."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from vla_runtime.cli.common import command, parser, print_json, teller

__all__ = ["main"]

_ORPHAN_NS = 500_000_000
_EXAMPLES = """\
  vla-host --robot toy
  vla-host --robot robot_configs/arm.yaml --json"""


def main(argv: Sequence[str] | None = None) -> int:
    options = parser("vla-host", "Own a robot's actuators and cameras, and stop them when nobody commands.", _EXAMPLES)
    options.add_argument("--robot", required=True, metavar="R", help="a shipped robot's name or a YAML file")
    options.add_argument("--ipc", type=Path, metavar="DIR", help="directory for the sockets (default: one per user)")
    options.add_argument("--parent", type=int, metavar="PID", help="end soon after this process has ended")
    options.add_argument("--json", action="store_true", help="print the report as one JSON object on the last line")
    arguments = options.parse_args(argv)
    return command("vla-host", lambda: _serve(arguments), arguments.json)


def _serve(arguments: argparse.Namespace) -> int:
    from vla_runtime.app.directories import runtime_directory
    from vla_runtime.app.host import RobotHost, open_device
    from vla_runtime.app.load import load_config
    from vla_runtime.app.realtime import Granted, asked_by_host, check_cores, enter_realtime
    from vla_runtime.wire.sockets import private_directory

    tell = teller(sys.stderr)

    def say(line: str) -> None:
        tell(f"vla-host: {line}")

    config = load_config(arguments.robot)
    check_cores(config.realtime)
    over = _Over(arguments.parent)
    ipc = private_directory(arguments.ipc) if arguments.ipc else runtime_directory(config.name)
    host = RobotHost(config, open_device(config), ipc, say)
    if arguments.parent is None:
        say(f"serving {config.name} in {ipc}; Ctrl-C ends it")

    def enter() -> Granted:
        gc.collect()
        gc.freeze()  # what is left to collect is little, and soon done
        granted = enter_realtime(asked_by_host(config.realtime))
        if granted.denied and arguments.parent is None:  # else the parent lacks the same, and says so
            say(granted.advice)
        return granted

    host.serve(over, enter)
    if arguments.json:
        print_json(host.report.as_json())
    elif arguments.parent is None:
        say(f"served {host.report.episodes} episodes, {host.report.successes} successful")
    return 0


class _Over:
    """True when a signal asked for the end, or the parent has been gone for long enough to have stopped the robot."""

    def __init__(self, parent: int | None) -> None:
        self._parent = parent
        self._asked = False
        self._orphan_ns: int | None = None
        signal.signal(signal.SIGTERM, self._ask)
        # Ctrl-C in a terminal, and its end, reach every process of the group; a parent stops its host itself.
        asked = self._ask if parent is None else signal.SIG_IGN
        signal.signal(signal.SIGINT, asked)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # else nohup: it shall outlive the terminal
            signal.signal(signal.SIGHUP, asked)

    def _ask(self, *_: object) -> None:
        self._asked = True

    def __call__(self) -> bool:
        if self._parent is not None and os.getppid() != self._parent:
            now_ns = time.monotonic_ns()
            self._orphan_ns = self._orphan_ns or now_ns
            return now_ns - self._orphan_ns > _ORPHAN_NS
        return self._asked


if __name__ == "__main__":
    sys.exit(main())
