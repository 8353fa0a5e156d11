"""The toy recipe end to end: train, export, and run against a hosted ToyVLAEnv over sockets, many episodes."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

from result import DIRECTORY, leave


def last_line(*command: object) -> dict[str, Any]:
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    model, policy = DIRECTORY / "toy.pt", DIRECTORY / "toy.onnx"
    python = (sys.executable, "-m")
    trained = last_line(*python, "vla_runtime.cli.train", "bc", "--env", "toy", "--seed", arguments.seed,
                        "--out", model, "--json")  # fmt: skip
    exported = last_line(*python, "exporters.cli", model, "--out", policy, "--format", "both", "--json")
    ran = last_line(*python, "vla_runtime.cli.run", "--robot", "toy", "--policy", policy, "--episodes",
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
