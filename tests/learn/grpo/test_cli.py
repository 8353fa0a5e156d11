"""``vla-train grpo`` as a user and a script meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from vla_runtime.cli.train import main
from vla_runtime.learn.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

SMALL = ["--groups", "8", "--group-size", "8", "--episodes", "20", "--threads", "1"]


def practise(init: Path, *more: str) -> int:
    return main(["grpo", "--env", "toy", "--init", str(init), *SMALL, *more])


@pytest.fixture
def init(weak: Checkpoint, tmp_path: Path) -> Path:
    save_checkpoint(weak, tmp_path / "weak.pt")
    return tmp_path / "weak.pt"


def test_the_last_line_is_json_and_the_model_loads(
    init: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "practised.pt"
    assert practise(init, "--iterations", "2", "--out", str(out), "--json") == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out.splitlines()[-1])
    assert captured.out.count("\n") == 1
    assert (report["model"], report["iterations"], report["end"], report["run"]) == (str(out), 2, "done", None)
    assert load_checkpoint(out).training["method"] == "grpo"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["practised.pt", "weak.pt"]


def test_a_run_is_resumed_to_the_weights_of_one_in_one_piece(init: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert practise(init, "--iterations", "3", "--run", str(whole), "--evaluate-every", "0", "--quiet") == 0
    again = ["--iterations", "3", "--run", str(parts), "--evaluate-every", "0", "--quiet"]
    assert practise(init, *again, "--max-seconds", "0") == 0
    assert main(["grpo", "--run", str(parts), "--resume", "--quiet"]) == 0
    first, second = (load_checkpoint(run / "last.pt").policy.state_dict() for run in (whole, parts))
    assert all(torch.equal(first[name], second[name]) for name in first)
    steps = [line.split(",")[0] for line in (parts / "progress.csv").read_text().splitlines()]
    assert steps == ["step", "1", "2", "3"]


def test_a_policy_without_a_token_head_is_refused(
    toy_checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_checkpoint(toy_checkpoint, tmp_path / "continuous.pt")
    assert practise(tmp_path / "continuous.pt", "--out", str(tmp_path / "out.pt")) == 2
    assert "has a 'continuous' head, expected 'tokens'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--iterations", "1"], "one of --env and --robot is needed"),
        (["--env", "toy", "--group-size", "1"], "--group-size: 1 given, expected at least 2"),
        (["--env", "toy", "--lr", "nan"], "--lr: nan given, expected more than 0"),
        (["--env", "toy", "--seed", "-1"], "--seed: -1 given, expected 0 to 999"),
        (["--env", "toy", "--resume"], "--resume: has a meaning with --run only"),
        (["--robot", "arm", "--task", "reach"], "$.init: left out, expected with a robot"),
        (["--env", "toy", "--task", "reach"], "$.task: 'reach' given, a task is a robot's"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["grpo", *argv]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"task": "juggle"}, "there is no task 'juggle'; valid: track"),
        ({"task": "track", "levels": [{}, {"speed": 2}]}, "$.device.options.speed: unknown key"),
    ],
)
def test_what_the_robots_device_does_not_know_is_refused_before_any_worker_starts(
    recipe: dict[str, object], message: str, init: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps({"method": "grpo", "robot": "tracker", **recipe}))
    run = tmp_path / "run"
    assert main(["grpo", "--recipe", str(path), "--init", str(init), "--run", str(run)]) == 2
    assert message in capsys.readouterr().err
    assert not run.exists()


def test_a_coherence_beyond_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grpo", "--env", "toy", "--coherence", "1.5"]) == 2
    assert "--coherence: 1.5 given, expected 0 to 1" in capsys.readouterr().err
