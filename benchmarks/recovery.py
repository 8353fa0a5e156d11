"""What a kill costs: how long the robot is held after ``kill -9`` of the planner, and how old the last command was when
the host stopped the robot after ``kill -9`` of ``vla-run``."""

from __future__ import annotations

import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from result import last_line, leave, options

TRACK = Path(__file__).resolve().parents[1] / "robot_configs" / "policies" / "track.onnx"
# An episode of this task lasts 7 s: nothing is killed between two of them.
RUN = [sys.executable, "-m", "vla_runtime.cli.run", "--robot", "arm", "--policy", str(TRACK),
       "--instruction", "follow the red block"]  # fmt: skip
HOST = [sys.executable, "-m", "vla_runtime.cli.host"]
REPLAY = [sys.executable, "-m", "vla_runtime.cli.replay"]
MOVING_S = 2.5


def held_after_planner_kill_ms() -> float:
    command = [*RUN, "--duration", "6", "--no-log", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        time.sleep(MOVING_S)
        planner = next(
            child
            for child in psutil.Process(process.pid).children()
            if "vla_runtime.plugins.planners.child" in child.cmdline()
        )
        planner.kill()
        report = last_line(process.communicate()[0])
    assert report["exit"] == "done", report
    assert report["planner_restarts"] == 1, report
    return float(report["mode_ns"]["holding"]) / 1e6


def age_at_stop_ms() -> float:
    """Kill a run; the host must have stopped the robot once, and the log must re-execute."""
    with tempfile.TemporaryDirectory() as folder:
        ipc, logs = Path(folder, "ipc"), Path(folder, "log")
        host = subprocess.Popen([*HOST, "--robot", "arm", "--ipc", str(ipc), "--json"], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True)  # fmt: skip
        run = subprocess.Popen([*RUN, "--ipc", str(ipc), "--log", str(logs)],
                               stdout=subprocess.DEVNULL)  # fmt: skip
        time.sleep(MOVING_S)
        run.send_signal(signal.SIGKILL)
        run.wait()
        time.sleep(1.0)
        host.send_signal(signal.SIGTERM)
        report = last_line(host.communicate()[0])
        (log,) = logs.glob("*.mcap")
        subprocess.run([*REPLAY, str(log), "--check"], check=True, stdout=subprocess.DEVNULL)
    (age_ms,) = report["dead_man_ms"]
    return float(age_ms)


def main() -> None:
    arguments = options(__doc__, runs=5).parse_args()
    held = [held_after_planner_kill_ms() for _ in range(arguments.runs)]
    ages = [age_at_stop_ms() for _ in range(arguments.runs)]
    leave(
        "recovery",
        {
            "robot": "arm",
            "runs": arguments.runs,
            "held_after_planner_kill_ms": {"median": round(statistics.median(held), 1), "max": round(max(held), 1)},
            "command_age_at_stop_ms": {"median": round(statistics.median(ages), 2), "max": round(max(ages), 2)},
        },
        arguments.json,
    )


if __name__ == "__main__":
    main()
