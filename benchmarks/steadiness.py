"""A long run of the simulated arm at 200 Hz: does any process grow, does the loop's phase drift, does it get later?"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil
import yaml
from result import last_line, leave, options

from vla_runtime.episode.reader import read_episode

CONFIGS = Path(__file__).resolve().parents[1] / "robot_configs"
RATE_HZ = 200
MODULES = {"vla_runtime.cli.run": "control", "vla_runtime.plugins.planners.child": "planner",
           "vla_runtime.episode.child": "recorder", "vla_runtime.cli.host": "host"}  # fmt: skip
SAMPLE_S = 2.0


def endless_arm(folder: Path) -> Path:
    """The arm at 200 Hz, following a block that turns for ever."""
    config = yaml.safe_load((CONFIGS / "arm.yaml").read_text())
    config["instruction"] = "follow the red block"
    config["control"]["rate_hz"] = RATE_HZ
    config["policy"]["file"] = str(CONFIGS / "policies" / "track.onnx")
    config["device"]["options"]["endless"] = True
    path = folder / "arm.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def family(pid: int) -> dict[str, psutil.Process]:
    """The run's processes by what they do."""
    found = {}
    for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
        for module, name in MODULES.items():
            if module in process.cmdline():
                found[name] = process
    return found


def watch(process: subprocess.Popen[str], seconds: float) -> dict[str, list[tuple[float, int]]]:
    """Resident memory in bytes by process, each as (seconds since the start, bytes)."""
    memory: dict[str, list[tuple[float, int]]] = defaultdict(list)
    begun = time.monotonic()
    time.sleep(2)
    processes = family(process.pid)
    while process.poll() is None:
        now_s = time.monotonic() - begun
        if now_s < seconds - 2:  # not while they end
            for name, each in processes.items():
                memory[name].append((now_s, each.memory_info().rss))
        if int(now_s) % 60 < SAMPLE_S:
            print(f"\r{now_s / 60:.0f} of {seconds / 60:.0f} min", end="", file=sys.stderr, flush=True)
        time.sleep(SAMPLE_S)
    print(file=sys.stderr)
    return memory


def growth(samples: list[tuple[float, int]], seconds: float) -> dict[str, float]:
    """MB in the second tenth of the run and in its last tenth, and by which share the last differs."""
    tenth = seconds / 10
    early = statistics.median(rss for at, rss in samples if tenth <= at < 2 * tenth)
    late = statistics.median(rss for at, rss in samples if at >= 9 * tenth)
    return {"early_mb": round(early / 1e6, 2), "late_mb": round(late / 1e6, 2), "share": round(late / early - 1, 4)}


def phase(log: Path) -> dict[str, Any]:
    """How far any tick's deadline lies from the grid of the first, and how late ticks were, early and late."""
    period_ns = round(1e9 / RATE_HZ)
    ticks = read_episode(log).ticks
    first_ns = ticks[0].now_ns - ticks[0].late_ns
    off = [(tick.now_ns - tick.late_ns - first_ns + period_ns // 2) % period_ns - period_ns // 2 for tick in ticks]
    tenth = len(ticks) // 10
    early, late = ([tick.late_ns / 1e3 for tick in part] for part in (ticks[tenth : 2 * tenth], ticks[-tenth:]))
    return {
        "ticks": len(ticks),
        "worst_off_grid_ns": max(map(abs, off)),
        "lateness_p50_early_us": round(statistics.median(early), 1),
        "lateness_p50_late_us": round(statistics.median(late), 1),
    }


def main() -> None:
    arguments = options(__doc__, seconds=600).parse_args()
    if arguments.seconds < 40:
        sys.exit("--seconds: expected at least 40, so that a tenth of the run holds a sample")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, "-m", "vla_runtime.cli.run", "--robot", str(endless_arm(folder)), "--log",
                   str(folder / "log"), "--duration", str(arguments.seconds), "--json"]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            memory = watch(process, arguments.seconds)
            report = last_line(process.communicate()[0])
        if report["exit"] != "done":
            sys.exit(f"the run ended early: {report['exit']}: {report['cause']}")
        (log,) = (folder / "log").glob("*.mcap")
        figures = {
            "seconds": arguments.seconds,
            "rate_hz": RATE_HZ,
            "exit": report["exit"],
            "cause": report["cause"],
            "overruns": report["overruns"],
            "lateness_us": report["lateness_us"],
            "tick_us": report["tick_us"],
            "starved_ticks": report["starved_ticks"],
            "log_dropped": report["log_dropped"],
            "log_mb": round(log.stat().st_size / 1e6, 1),
            "memory": {who: growth(samples, arguments.seconds) for who, samples in memory.items()},
            **phase(log),
        }
    leave("steadiness", figures, arguments.json)


if __name__ == "__main__":
    main()
