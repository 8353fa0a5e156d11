"""How the runs of the campaign are set up: their times, their variants and the configs they are started with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

__all__ = ["JOINTS", "PATIENT", "QUICK", "Setting", "Times", "write_configs"]

JOINTS = ("x", "y", "grip")
LOW, HIGH, VELOCITY, ACCELERATION, JERK, LEAD = -1.0, 1.0, 2.0, 10.0, 500.0, 0.5
CHUNK_S = 0.5
"""Ten rows of 50 ms, as ``plugins/circle_policy.py`` has them."""


@dataclass(frozen=True)
class Times:
    """The timeouts of the runs, in seconds, and what a busy machine adds to every bound (``margin``).

    ``brake``: from full speed to rest inside the limits on acceleration and jerk, and to the device.
    ``noisy``: a machine so busy that the pose may be held for a moment without any fault.
    """

    period: float = 0.01
    device_period: float = 0.005
    frame: float = 0.25
    side_frame: float = 0.2
    frozen: float = 0.3
    skew: float = 0.03
    answer: float = 0.2
    state: float = 0.25
    dead_man: float = 0.25
    hang: float = 1.0
    hold: float = 6.0
    short_hold: float = 1.0
    settle: float = 0.1
    planner_start: float = 2.5
    gap: float = 0.25
    heartbeat: float = 0.4
    brake: float = VELOCITY / ACCELERATION + ACCELERATION / JERK + 0.03
    margin: float = 0.15
    noisy: bool = False


QUICK = Times()
"""The campaign's: short, so that the bounds mean something."""
PATIENT = Times(
    state=1.5,
    gap=1.5,
    side_frame=0.3,
    frozen=1.0,
    skew=1.0,
    heartbeat=3.0,
    dead_man=1.0,
    hold=20.0,
    short_hold=2.0,
    hang=3.0,
    planner_start=15.0,
    margin=5.0,
    frame=0.4,
    noisy=True,
)
"""The tests': a busy machine is not to be taken for a fault."""


@dataclass(frozen=True)
class Setting:
    """One way of starting a run. Rows with equal settings may share a run.

    ``apart``: ``vla-host`` is started by itself, and every link goes through a relay. ``disk``: where the log goes:
    a folder, or a file system of its own that can fill up. ``shim``: wall clock and disk can be tampered with.
    ``realtime``: the run asks for SCHED_FIFO, and goes on without where that is not granted.
    """

    apart: bool = True
    short_hold: bool = False
    start: tuple[float, float, float] = (0.5, 0.0, 0.2)
    displaced: float = 0.0
    shim: bool = False
    disk: str = "folder"
    realtime: bool = False


def write_configs(setting: Setting, times: Times, folder: Path) -> tuple[Path, Path]:
    """The configs of ``vla-run`` and ``vla-host``: one file if they share one."""
    (folder / "circle.policy").write_text("a circle\n")
    hold = times.short_hold if setting.short_hold else times.hold
    config: dict[str, Any] = {
        "name": "witness",
        "instruction": "draw a circle",
        "joints": [
            {
                "name": name,
                "unit": "rad",
                "position": [LOW, HIGH],
                "velocity": VELOCITY,
                "acceleration": ACCELERATION,
                "jerk": JERK,
                "lead": LEAD,
                "align_tolerance": 0.3,
            }
            for name in JOINTS
        ],
        "cameras": [
            {"name": name, "height": 32, "width": 32, "fps": 30, "frozen_ms": times.frozen * 1e3}
            | ({"max_age_ms": times.side_frame * 1e3} if name == "side" else {})
            for name in ("front", "side")
        ],
        "host": "local",
        "device": {
            "type": "witness_arm",
            "dead_man_ms": times.dead_man * 1e3,
            "options": {
                "rate_hz": 1 / times.device_period,
                "truth": str(folder / "truth"),
                "start": list(setting.start),
                "displaced": setting.displaced,
            },
        },
        "control": {
            "rate_hz": 1 / times.period,
            "state_timeout_ms": times.state * 1e3,
            "hold_timeout_ms": hold * 1e3,
            "settle_ms": times.settle * 1e3,
            "gap_timeout_ms": times.gap * 1e3,
        },
        "policy": {
            "file": "circle.policy",
            "type": "circle",
            "step_hz": 20,
            "replan_interval": 4,
            "answer_timeout_ms": times.answer * 1e3,
            "hang_timeout_ms": times.hang * 1e3,
            "heartbeat_timeout_ms": times.heartbeat * 1e3,
            "frame_timeout_ms": times.frame * 1e3,
            "max_skew_ms": times.skew * 1e3,
        },
        "log": {"directory": str(folder / "log")},
    }
    if setting.realtime:
        config["realtime"] = {}
    run, host = folder / "run.yaml", folder / "host.yaml"
    host.write_text(yaml.safe_dump(config))
    if not setting.apart:
        return host, host
    config["host"] = "remote"
    config["robot"] = {"endpoint": f"ipc://{folder}/relay.robot"}
    for camera in config["cameras"]:
        camera["endpoint"] = f"ipc://{folder}/relay.{camera['name']}"
    run.write_text(yaml.safe_dump(config))
    return run, host
