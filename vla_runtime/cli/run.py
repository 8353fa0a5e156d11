"""``vla-run``: run a policy on a robot."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vla_runtime.cli.common import EXIT_CODES, command, parser, print_json, teller

if TYPE_CHECKING:
    from vla_runtime.app.run import RunOptions

__all__ = ["main"]

_EXAMPLES = """\
  vla-run --robot toy --episodes 5
  vla-run --robot robot_configs/arm.yaml --check
  vla-run --robot robot_configs/arm.yaml --duration 20 --instruction "reach the blue block"
  vla-run --robot arm --policy model.onnx --log episodes/ --json"""


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    started_ns = _process_start_ns()
    arguments = _parser().parse_args(argv)
    return command("vla-run", lambda: _run(arguments, started_ns), arguments.json)


def _parser() -> argparse.ArgumentParser:
    options = parser("vla-run", "Run a chunk policy on a robot, inside its limits, and log every episode.", _EXAMPLES)
    options.add_argument("--robot", required=True, metavar="R", help="a shipped robot's name or a YAML file")
    options.add_argument("--policy", metavar="FILE", help="a policy file instead of the config's (.onnx or .ts)")
    options.add_argument("--instruction", metavar="TEXT", help="what to do, instead of the config's instruction")
    options.add_argument("--duration", type=_positive, metavar="S", help="end after S seconds")
    options.add_argument("--episodes", type=_count, metavar="N", help="end after N episodes")
    options.add_argument("--seed", type=int, default=0, help="seed of the first episode (default 0)")
    options.add_argument("--log", metavar="DIR", help="where episodes are written instead of the config's place")
    options.add_argument("--no-log", action="store_true", help="write no episodes")
    options.add_argument("--check", action="store_true", help="check machine, policy, robot and cameras; move nothing")
    options.add_argument("--check-seconds", type=_positive, default=5.0, metavar="S",
                         help="how long --check measures the loop's lateness (default 5)")  # fmt: skip
    options.add_argument("--ipc", type=Path, metavar="DIR", help="use the vla-host whose sockets lie in DIR")
    options.add_argument("--json", action="store_true", help="print the report as one JSON object on the last line")
    return options


def _run(arguments: argparse.Namespace, started_ns: int) -> int:
    from vla_runtime.app.run import RunOptions, run

    options = RunOptions(
        robot=arguments.robot,
        duration_s=arguments.duration,
        episodes=arguments.episodes,
        policy=arguments.policy,
        instruction=arguments.instruction,
        log_directory="" if arguments.no_log else arguments.log,
        seed=arguments.seed,
        ipc=arguments.ipc,
    )
    say = teller(sys.stderr if arguments.json else sys.stdout)
    if arguments.check:
        return _check(options, arguments, say)
    report = run(options, say, started_ns, teller(sys.stderr))
    if report.metrics.ticks:
        say(report.as_text())
    if report.cause.kind in ("refused", "fault"):
        print(f"vla-run: {report.cause.text}", file=sys.stderr)
    if arguments.json:
        print_json(report.as_json())
    return EXIT_CODES[report.cause.kind]


def _check(options: RunOptions, arguments: argparse.Namespace, say: Callable[[str], None]) -> int:
    from vla_runtime.app.check import check

    report = check(options, arguments.check_seconds, say)
    assert report.cause is not None
    if report.cause.kind != "done":
        print(f"vla-run: {report.cause.text}", file=sys.stderr)
    if arguments.json:
        print_json(report.as_json())
    return EXIT_CODES[report.cause.kind]


def _process_start_ns() -> int:
    """When this process began, on CLOCK_MONOTONIC: the kernel knows, so that the interpreter's own start counts."""
    now_ns = time.monotonic_ns()
    try:
        import os

        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return now_ns - (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError):
        return now_ns


if __name__ == "__main__":
    sys.exit(main())
