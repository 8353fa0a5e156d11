"""The simulated arm in real time: physics, two cameras at 30 Hz, policy at 10 Hz, control at 100 Hz on one machine.

The same seeds and instructions run in virtual time too; the real-time success rate should lie inside the Wilson
interval of the virtual one.
"""

from __future__ import annotations

from result import DIRECTORY, leave, options, report

from vla_runtime.app.evaluate.wilson import wilson
from vla_runtime.app.load import load_config
from vla_runtime.app.simulate import Scenario, instructions_of, open_demonstrator, open_policy, simulate

_SEED = 1_000_000


def virtual_successes(episodes: int) -> int:
    """How many of the same episodes succeed in virtual time."""
    config = load_config("arm")
    device = open_demonstrator(config)
    texts = instructions_of(device, "reach")
    policy = open_policy(config, texts)
    scenarios = [Scenario(_SEED + index, text) for text in texts for index in range(episodes)]
    return sum(simulate(config, device, policy, scenario).success for scenario in scenarios)


def main() -> None:
    arguments = options(__doc__, episodes=20).parse_args()
    texts = instructions_of(open_demonstrator(load_config("arm")), "reach")
    ticks = overruns = successes = episodes = 0
    worst: dict[str, dict[str, float]] = {}
    cameras: dict[str, dict[str, int]] = {}
    for text in texts:
        ran = report("vla_runtime.cli.run", "--robot", "arm", "--instruction", text, "--episodes", arguments.episodes,
                     "--seed", _SEED, "--log", DIRECTORY / "arm")  # fmt: skip
        ticks, overruns = ticks + ran["ticks"], overruns + ran["overruns"]
        episodes, successes = episodes + ran["episodes"], successes + ran["successes"]
        for name in ("lateness_us", "tick_us", "capture_to_chunk_ms"):
            kept = worst.setdefault(name, ran[name])
            worst[name] = {key: max(kept[key], value) for key, value in ran[name].items()}
        for name, counted in ran["host"]["cameras"].items():
            sums = cameras.setdefault(name, dict.fromkeys(counted, 0))
            cameras[name] = {key: sums[key] + value for key, value in counted.items()}
    rate = successes / episodes
    virtual = virtual_successes(arguments.episodes)
    low, high = wilson(virtual, episodes)
    leave(
        "realtime_arm",
        {
            "episodes": episodes,
            "ticks": ticks,
            "overruns": overruns,
            "overrun_share": overruns / ticks,
            **{f"worst_{name}": values for name, values in worst.items()},
            "cameras": cameras,
            "success": rate,
            "virtual_success": virtual / episodes,
            "virtual_interval": [low, high],
            "inside": low <= rate <= high,
        },
        arguments.json,
    )


if __name__ == "__main__":
    main()
