"""The shipped arm with its shipped policies: pixels and words reach the motors."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from vla_runtime.app.evaluate import EvaluateOptions, evaluate
from vla_runtime.app.load import load_config
from vla_runtime.app.simulate import Scenario, instructions_of, open_demonstrator, open_policy, simulate
from vla_runtime.episode.reader import read_episode

from . import live

POLICIES = Path(__file__).parents[2] / "robot_configs" / "policies"
EPISODES = 12


def success(task: str, **options: object) -> float:
    found = evaluate(
        EvaluateOptions("arm", task, EPISODES, policy=str(POLICIES / f"{task}.onnx"), **options), lambda line: None
    )
    return sum(result.success for result in found.results) / EPISODES


@pytest.mark.parametrize("task", ["reach", "push", "track"])
def test_the_shipped_policy_does_its_task_from_beginnings_it_has_not_seen(task: str) -> None:
    assert success(task) >= 0.7


@pytest.mark.parametrize("task", ["reach", "track"])
@pytest.mark.parametrize("ablate", ["images", "instruction"])
def test_without_seeing_or_told_another_colour_success_falls_to_chance(task: str, ablate: str) -> None:
    assert success(task, ablate=ablate) <= 0.25


def test_one_beginning_and_three_instructions_end_over_three_blocks() -> None:
    config = load_config("arm")
    device = open_demonstrator(config)
    texts = instructions_of(device, "reach")
    policy = open_policy(config, texts)
    ends = []
    for text in texts:
        assert simulate(config, device, policy, Scenario(1_000_007, text)).success
        ends.append(device.measure()[0][:6].round(2).tolist())
    assert len({tuple(end) for end in ends}) == 3


def test_two_processes_simulate_an_episode_of_the_policy_to_the_same_bytes(tmp_path: Path) -> None:
    hashes = []
    for name in ("one", "other"):
        command = ("vla_runtime.cli.eval", "--robot", "arm", "--task", "reach", "--episodes", 1)
        code, report, errors = live.finish(
            *live.RUN[:2], *command, "--workers", 1, "--log", tmp_path / name, "--json", timeout=120
        )
        assert code == 0, errors
        assert report["latencies"][0]["successes"] == 1
        (log,) = (tmp_path / name).glob("*.mcap")
        hashes.append(hashlib.sha256(log.read_bytes()).hexdigest())
    assert hashes[0] == hashes[1]
    code, found, errors = live.finish(*live.REPLAY, log, "--check", "--policy", POLICIES / "reach.onnx", "--json")
    assert code == 0, errors
    assert found["identical"]


def test_in_real_time_the_arm_reaches_what_it_is_told_to(tmp_path: Path) -> None:
    code, report, errors = live.finish(
        *live.RUN, "--robot", live.patient("arm", tmp_path), "--instruction", "reach the blue block",
        "--episodes", 3, "--log", tmp_path, "--json", timeout=120,
    )  # fmt: skip
    assert code == 0, errors
    assert report["episodes"] == 3
    assert report["successes"] >= 2
    cameras = report["host"]["cameras"]
    assert all(cameras[name]["published"] > 0 and cameras[name]["failed"] == 0 for name in ("front", "wrist"))
    assert read_episode(Path(report["log"])).cameras == ("front", "wrist")
