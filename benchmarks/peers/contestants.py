"""Who takes part: each one's environment, how it is started, and with which settings."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from benchmarks.peers.drivers.fake import JOINTS, ROWS, STEP_S, Setting
from benchmarks.peers.environments import ENVIRONMENTS, Environment
from benchmarks.peers.policy_file import INSTRUCTION

__all__ = ["CONTESTANTS", "Contestant", "Start", "robot_config"]

HERE = Path(__file__).parent
DRIVERS, PLUGINS = HERE / "drivers", HERE / "plugins"
_TAIL_S = 2.0


@dataclass(frozen=True, slots=True)
class Start:
    """How one run is started."""

    command: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Contestant:
    """``environment`` None: the interpreter that runs the benchmark. ``chunks``: that section of our config."""

    name: str
    settings: str
    environment: Environment | None
    driver: str = ""
    chunks: Mapping[str, Any] | None = None

    def start(self, setting: Setting, folder: Path) -> Start:
        """The process of one run; its files go to ``folder``."""
        if self.driver:
            return self._driver(self.driver, asdict(setting))
        robot = folder / "robot.yaml"
        robot.write_text(yaml.safe_dump(robot_config(setting, self.chunks), sort_keys=False))
        if setting.cost_only:
            return self._driver("cost_ours", {"robot": str(robot), "policy": setting.policy})
        command = (self._program("vla-run"), "--robot", str(robot), "--duration", str(setting.seconds + _TAIL_S),
                   "--no-log", "--json")  # fmt: skip
        return Start(command, _environment({"VLA_PEERS_SETTING": json.dumps(asdict(setting))}))

    def here(self) -> Contestant:
        """The same in the interpreter that runs the benchmark: for a try without an environment of its own."""
        return replace(self, environment=None)

    def _driver(self, name: str, options: Mapping[str, Any]) -> Start:
        command = (self._program("python"), str(DRIVERS / f"{name}.py"), json.dumps(options))
        return Start(command, _environment({}))

    def _program(self, name: str) -> str:
        return str(Path(sys.executable).parent / name) if self.environment is None else self.environment.program(name)


def robot_config(setting: Setting, chunks: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fake arm for ``vla-run``, with limits so wide that they smooth nothing. ``chunks`` None: not mentioned.

    A machine that stands still for a moment ends no run, as it ends none of the others'.
    """
    patience = {"hang_timeout_ms": 60_000, "heartbeat_timeout_ms": 60_000}
    joint = {"unit": "none", "position": [-1e4, 1e4], "velocity": 1000.0, "align_tolerance": 1000.0}
    config = {
        "name": "peers",
        "instruction": INSTRUCTION,
        "joints": [{"name": name} | joint for name in JOINTS],
        "cameras": [],
        "extras": ["seconds"],
        "robot": {"type": "peers_arm", "options": {"commands": setting.commands}},
        "control": {
            "rate_hz": setting.rate_hz,
            "settle_ms": 1,
            "gap_timeout_ms": 60_000,
            "state_timeout_ms": 60_000,
            "hold_timeout_ms": 60_000,
        },
        "policy": {"type": "slow_onnx", "file": setting.policy, "step_hz": 1 / STEP_S, "replan_interval": ROWS // 2}
        | patience,
        "log": {"directory": ""},
    }
    return config if chunks is None else config | {"chunks": dict(chunks)}


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """This one, without what would reach into another interpreter's packages."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    paths = [str(DRIVERS), str(PLUGINS), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return kept | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"} | dict(more)


_OURS = "vla-run, replan_interval 8 of 16 rows, no log, no realtime section"

CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant("ideal", "no plan: the true motion on absolute deadlines", None, "with_nothing"),
        Contestant("ours", f"{_OURS}; chunks as they are by default", ENVIRONMENTS["ours"]),
        Contestant("ours-blend", f"{_OURS}; blend over 4 rows, cubic", ENVIRONMENTS["ours"],
                   chunks={"strategy": "blend", "blend_rows": 4, "interpolation": "cubic"}),
        Contestant("ours-ensemble", f"{_OURS}; strategy ensemble", ENVIRONMENTS["ours"],
                   chunks={"strategy": "ensemble"}),
        Contestant("openpi", "Runtime + PolicyAgent + ActionChunkBroker, action_horizon half of the chunk",
                   ENVIRONMENTS["openpi"], "with_openpi"),
        Contestant("physicalai", "RobotRuntime + AsyncExecution(0.5) + ChunkedActionQueue(LerpSmoother(5))",
                   ENVIRONMENTS["physicalai"], "with_physicalai"),
        Contestant("torchrl", "MultiStepActorWrapper, replan_interval half of the chunk, on absolute deadlines",
                   ENVIRONMENTS["torch"], "with_torchrl"),
        Contestant("lerobot-queue", "ActionQueue(RTC) + LatencyTracker, its example's two threads re-stated",
                   ENVIRONMENTS["torch"], "with_lerobot_queue"),
        Contestant("lerobot-ensemble", "ACTTemporalEnsembler(0.01), a chunk a tick, its recording loop's pace",
                   ENVIRONMENTS["torch"], "with_lerobot_ensemble"),
    )
}  # fmt: skip
