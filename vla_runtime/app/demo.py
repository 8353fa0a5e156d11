"""A robot's policy shown at work: one beginning, every instruction it knows, a report and a film."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from vla_runtime.app.config import CameraConfig, RobotConfig
from vla_runtime.app.load import load_config
from vla_runtime.app.replay.check import check_loop
from vla_runtime.app.replay.film import write_film
from vla_runtime.core.errors import ConfigError, Fault, Refusal
from vla_runtime.episode.reader import read_episode
from vla_runtime.plugins.registry import open_policy

__all__ = ["DemoOptions", "DemoReport", "demonstrate"]

_VIEW = CameraConfig("view", height=288, width=384, fps=10)
_SIMULATED = "sim_arm"
_PATIENT_MS = 1000.0
_CLOSING_S = 20.0


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """``instructions`` empty: all that the policy was trained on. ``seconds``: the longest episode allowed."""

    robot: str
    out: Path
    seed: int = 0
    instructions: tuple[str, ...] = ()
    policy: str | None = None
    seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class DemoReport:
    """``runs``: for each instruction the report of its ``vla-run``, and whether its log re-executes bit for bit.

    ``film``: "" if no camera was looked through.
    """

    robot: str
    seed: int
    runs: dict[str, dict[str, Any]]
    film: str

    @property
    def successes(self) -> int:
        return sum(run["successes"] for run in self.runs.values())

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "robot": self.robot,
            "seed": self.seed,
            "episodes": len(self.runs),
            "successes": self.successes,
            "film": self.film,
            "runs": self.runs,
        }

    def as_text(self) -> str:
        """A line for each instruction."""
        width = max(map(len, self.runs))
        lines = [
            f"{text:<{width}}  {'reached' if run['successes'] else 'not reached'} in {_moving_s(run):4.1f} s, "
            f"{run['ticks']} ticks, {run['overruns']} overruns, log {'re-executes' if run['identical'] else 'DIFFERS'}"
            for text, run in self.runs.items()
        ]
        return "\n".join([*lines, f"film: {self.film or 'none, no frame was logged'}"])


def demonstrate(options: DemoOptions, say: Callable[[str], None]) -> DemoReport:
    """Run every instruction once, in real time, from the same beginning; leave logs, report.json and film.gif in
    ``options.out``.

    Raises:
        Refusal: a bad option, or what ``vla-run`` refuses.
        Fault: a run ended by a fault.
    """
    config = load_config(options.robot)
    if options.policy is not None:
        file = str(Path(options.policy).resolve())
        config = msgspec.structs.replace(config, policy=msgspec.structs.replace(config.policy, file=file))
    instructions = options.instructions or _known(config)
    robot = _written(config, options.out)
    runs = {}
    for text in instructions:
        say(text)
        runs[text] = _run(robot, text, options)
    episodes = [read_episode(Path(run["log"])) for run in runs.values()]
    for run, episode in zip(runs.values(), episodes, strict=True):
        run["identical"] = check_loop(episode).identical
    film = ""
    if seen := [episode for episode in episodes if episode.cameras]:
        film = str(options.out / "film.gif")
        write_film(seen, Path(film))
    report = DemoReport(config.name, options.seed, runs, film)
    (options.out / "report.json").write_text(json.dumps(report.as_json(), indent=2) + "\n")
    return report


def _known(config: RobotConfig) -> tuple[str, ...]:
    policy = open_policy(config.policy.type, Path(config.policy.file), 1, config.policy.sampling)
    policy.close()
    return policy.spec.instruction.texts


def _written(config: RobotConfig, out: Path) -> Path:
    """The config as a file. The simulated arm gets a camera to look on from, and waits out a busy machine."""
    if config.device is not None and config.device.type == _SIMULATED:
        config = msgspec.structs.replace(
            config,
            cameras=(*config.cameras, _VIEW),
            control=msgspec.structs.replace(config.control, state_timeout_ms=_PATIENT_MS),
            device=msgspec.structs.replace(config.device, dead_man_ms=_PATIENT_MS),
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        path = out / f"{config.name}.yaml"
        path.write_text(yaml.safe_dump(msgspec.to_builtins(config), sort_keys=False))
    except OSError as error:
        raise ConfigError(f"cannot write to {str(out)!r}: {error.strerror}", "--out") from error
    return path


def _run(robot: Path, instruction: str, options: DemoOptions) -> dict[str, Any]:
    """``vla-run`` in a process of its own, as anyone would start it."""
    command = [
        sys.executable, "-m", "vla_runtime.cli.run", "--robot", str(robot), "--instruction", instruction,
        "--episodes", "1", "--duration", str(options.seconds), "--seed", str(options.seed),
        "--log", str(options.out), "--json",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        output, errors = process.communicate()
    except BaseException:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_CLOSING_S)
        process.kill()
        raise
    try:
        report: dict[str, Any] = json.loads(output.splitlines()[-1])
    except (IndexError, ValueError):
        raise Fault(f"vla-run gave no report: {errors.strip()}") from None
    if report["exit"] != "done":
        raise (Refusal if report["exit"] == "refused" else Fault)(f"{instruction!r}: {report['cause']}")
    return report


def _moving_s(run: dict[str, Any]) -> float:
    return float(sum(run["mode_ns"].values())) / 1e9
