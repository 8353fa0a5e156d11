"""The toy recipe end to end: train, export, and run against a hosted ToyVLAEnv over sockets, many episodes."""

from __future__ import annotations

from result import DIRECTORY, leave, options, report


def main() -> None:
    arguments = options(__doc__, episodes=200, seed=0).parse_args()
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    model, policy = DIRECTORY / "toy.pt", DIRECTORY / "toy.onnx"
    trained = report("vla_runtime.cli.train", "bc", "--env", "toy", "--seed", arguments.seed, "--out", model)
    exported = report("exporters.cli", model, "--out", policy, "--format", "both")
    ran = report("vla_runtime.cli.run", "--robot", "toy", "--policy", policy, "--episodes", arguments.episodes,
                 "--seed", 10_000, "--no-log")  # fmt: skip
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
