"""Success measured again: the f32 file and the reduced one through ``vla-eval``, on the same seeds."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vla_runtime.core.errors import ConfigError, Fault, PolicyFileError, Refusal

__all__ = ["EPISODES", "Evaluation", "Success", "check_success", "measure", "parse_evaluation"]

EPISODES = 100


@dataclass(frozen=True)
class Evaluation:
    """What ``--evaluate`` asks for."""

    robot: str
    task: str
    episodes: int = EPISODES


@dataclass(frozen=True)
class Success:
    """Of one file, with the 95 % Wilson interval of its rate."""

    successes: int
    episodes: int
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.successes} of {self.episodes} ({self.low:.2f} to {self.high:.2f})"


def parse_evaluation(text: str) -> Evaluation:
    """``ROBOT:TASK`` or ``ROBOT:TASK:EPISODES``.

    Raises:
        ConfigError: something else.
    """
    robot, _, rest = text.partition(":")
    task, _, episodes = rest.partition(":")
    if not robot or not task or (episodes and not (episodes.isdecimal() and int(episodes) > 0)):
        raise ConfigError(f"{text!r} given, expected ROBOT:TASK or ROBOT:TASK:EPISODES", "--evaluate")
    return Evaluation(robot, task, int(episodes or EPISODES))


def measure(policy: Path, evaluation: Evaluation) -> Success:
    """Run ``vla-eval``, in a process of its own; always from its first seed, so that two files meet the same episodes.

    Raises:
        Refusal, Fault: it ended so; the message is its own.
    """
    command = [sys.executable, "-m", "vla_runtime.cli.eval", "--robot", evaluation.robot, "--task", evaluation.task,
               "--episodes", str(evaluation.episodes), "--policy", str(policy), "--json"]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    report: dict[str, Any] = {}
    with suppress(IndexError, ValueError):
        report = json.loads(done.stdout.splitlines()[-1])
    if done.returncode:
        kind = Refusal if done.returncode == Refusal.exit_code else Fault
        raise kind(f"--evaluate: {report.get('cause', f'vla-eval ended with exit code {done.returncode}')}")
    (found,) = report["latencies"]
    return Success(found["successes"], found["episodes"], found["success_low"], found["success_high"])


def check_success(reduced: Success, full: Success) -> None:
    """Raise PolicyFileError if the reduced file's rate is below the f32 file's interval."""
    if reduced.successes / reduced.episodes < full.low:
        raise PolicyFileError(
            f"the reduced policy succeeds in {reduced} episodes, the fp32 one in {full}: less than its interval; "
            "no file was written"
        )
