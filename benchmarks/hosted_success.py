"""The toy recipe end to end: train, export, and run against a hosted ToyVLAEnv over sockets, many episodes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from result import DIRECTORY, last_line, leave, options


def report(*command: object) -> dict[str, Any]:
    """Run a command with ``--json`` and return what it reports."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=True)
    return last_line(done.stdout)


def main() -> None:
    arguments = options(__doc__, episodes=200, seed=0).parse_args()
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    model, policy = DIRECTORY / "toy.pt", DIRECTORY / "toy.onnx"
    python = (sys.executable, "-m")
    trained = report(*python, "vla_runtime.cli.train", "bc", "--env", "toy", "--seed", arguments.seed,
                        "--out", model, "--json")  # fmt: skip
    exported = report(*python, "exporters.cli", model, "--out", policy, "--format", "both", "--json")
    ran = report(*python, "vla_runtime.cli.run", "--robot", "toy", "--policy", policy, "--episodes",
                    arguments.episodes, "--seed", 10_000, "--no-log", "--json")  # fmt: skip
    leave(
        "hosted_success",
        {
            "train_seconds": round(trained["seconds"], 1),
            "train_success": trained["success"],
            "train_episodes": trained["episodes"],
            "max_abs_error": exported["max_abs_error"],
            "latency_ms": exported["latency_ms"],
            "hosted_episodes": ran["host"]["episodes"],
            "hosted_success": ran["host"]["successes"] / ran["host"]["episodes"],
            "overruns": ran["overruns"],
            "ticks": ran["ticks"],
            "lateness_us": ran["lateness_us"],
        },
        arguments.json,
    )


if __name__ == "__main__":
    main()
