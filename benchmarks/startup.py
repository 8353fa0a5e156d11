"""How soon the arm moves, and what the robot-side processes weigh.

Figures, medians over ``--runs``: from process start to the first command; resident memory of all processes together
in mid-run; what ``vla-run --help`` imports. Each beside a bare interpreter start in the same run.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time

import psutil
from result import last_line, leave, options

RUN = [sys.executable, "-m", "vla_runtime.cli.run"]


def first_command_ms(robot: str) -> float:
    """Process start to first command, as the run itself reports it (the kernel's start time counts)."""
    done = subprocess.run([*RUN, "--robot", robot, "--duration", "0.5", "--no-log", "--json"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    return float(last_line(done.stdout)["start_to_first_command_ms"])


def memory_mb(robot: str) -> dict[str, float]:
    """RSS (shared pages counted in each process) and PSS (shared pages counted once) of the family, with logging."""
    with subprocess.Popen([*RUN, "--robot", robot, "--duration", "6", "--log", "build/bench/episodes"],
                          stdout=subprocess.DEVNULL) as process:  # fmt: skip
        time.sleep(4)
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        full = [member.memory_full_info() for member in family]
        process.wait()
    return {
        "processes": len(full),
        "rss": sum(info.rss for info in full) / 1e6,
        "pss": sum(info.pss for info in full) / 1e6,
    }


def help_import_ms() -> float:
    """The cumulative import time that ``python -X importtime`` shows for ``vla-run --help``."""
    done = subprocess.run([sys.executable, "-X", "importtime", *RUN[1:], "--help"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    return sum(int(own) for own in re.findall(r"import time:\s+(\d+) \|", done.stderr)) / 1e3


def wall_ms(*command: str) -> float:
    begin = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return (time.perf_counter() - begin) * 1e3


def main() -> None:
    parser = options(__doc__, runs=7)
    parser.add_argument("--robot", default="arm")
    arguments = parser.parse_args()
    first_command_ms(arguments.robot)  # warms the file cache
    samples = [
        (
            first_command_ms(arguments.robot),
            wall_ms(*RUN, "--help"),
            help_import_ms(),
            wall_ms(sys.executable, "-c", ""),
        )
        for _ in range(arguments.runs)
    ]
    first, help_wall, imports, bare = (statistics.median(column) for column in zip(*samples, strict=True))
    memory = memory_mb(arguments.robot)
    leave(
        "startup",
        {
            "robot": arguments.robot,
            "first_command_ms": round(first, 1),
            "first_command_over_bare": round(first / bare, 1),
            "help_import_ms": round(imports, 1),
            "help_wall_ms": round(help_wall, 1),
            "bare_interpreter_ms": round(bare, 1),
            "memory_mb": {key: round(value, 1) for key, value in memory.items()},
        },
        arguments.json,
    )


if __name__ == "__main__":
    main()
