"""``vla-train bc --run``: logged, evaluated, and the same weights however often it was interrupted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from vla_runtime.cli.train import main
from vla_runtime.learn.checkpoint import load_checkpoint

from ..docs.markdown import ROOT, section
from .logs import TEXTS, write_episode

TOY = ["bc", "--env", "toy", "--steps", "120", "--batch-size", "8", "--threads", "1", "--episodes", "10"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("episodes")
    for episode in range(4):
        numbers = [10 * episode + i for i in range(1, 8)]
        write_episode(directory / f"e{episode}.mcap", numbers, instruction=TEXTS[episode % 2])
    return directory


def options(data: Path, out: Path, *more: str) -> list[str]:
    return [
        "bc", "--data", str(data), "--run", str(out), "--steps", "6", "--batch-size", "4", "--threads", "1", *more
    ]  # fmt: skip


def interrupted_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the step after ``step`` is computed."""
    from vla_runtime.learn.bc import Fit

    whole = Fit.step

    def stop(self: Fit) -> dict[str, float]:
        if self.step_number == step:
            os.kill(os.getpid(), signal.SIGINT)
        return whole(self)

    monkeypatch.setattr(Fit, "step", stop)


def test_a_process_that_is_killed_and_resumed_ends_with_the_same_bytes(tmp_path: Path) -> None:
    assert main([*TOY, "--run", str(tmp_path / "whole"), "--quiet"]) == 0
    command = [sys.executable, "-m", "vla_runtime.cli.train", *TOY, "--run", "run", "--quiet", "--save-seconds", "0.05"]
    process = subprocess.Popen(command, cwd=tmp_path)
    table = tmp_path / "run" / "progress.csv"
    while process.poll() is None and not (table.exists() and table.read_bytes().count(b"\n") > 30):
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "run" / "last.pt").exists()
    assert main(["bc", "--run", str(tmp_path / "run"), "--resume", "--quiet"]) == 0
    for name in ("last.pt", "best.pt"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    steps = [line.split(",")[0] for line in table.read_text().splitlines()]
    assert steps == ["step", *map(str, range(1, 121))]


@pytest.mark.parametrize(
    "more", [(), ("--augment",), ("--architecture", "flow", "--state-time", "takeover")], ids=["l1", "augment", "flow"]
)
def test_ctrl_c_and_resume_give_the_weights_of_one_piece(
    more: tuple[str, ...],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = (*more, "--evaluate-every", "2")
    assert main(options(data, tmp_path / "whole", *given, "--quiet")) == 0
    with monkeypatch.context() as patch:
        interrupted_at(2, patch)
        assert main(options(data, tmp_path / "run", *given)) == 130
    assert "3 of 6 steps are saved, go on with --resume" in capsys.readouterr().err
    assert main(options(data, tmp_path / "run", *given, "--resume", "--json")) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["run"]["resumed_from"], report["run"]["end"], report["steps"]) == (3, "done", 6)
    assert report["model"] == report["run"]["best"] == str(tmp_path / "run" / "best.pt")
    for name in ("last.pt", "best.pt"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_the_run_in_the_report_has_the_documented_keys(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "reach.pt"
    assert main(options(data, tmp_path / "run", "--json", "--out", str(out))) == 0
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    report = json.loads(captured.out)
    text = section(ROOT / "docs" / "training.md", "## A run directory").partition("| key of `run` |")[2]
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(report["run"])
    assert report["model"] == str(out)
    assert load_checkpoint(out).training.items() <= report.items()


def test_the_recipe_with_nothing_left_open_is_in_the_run_directory(data: Path, tmp_path: Path) -> None:
    assert main(options(data, tmp_path / "run", "--lr", "0.002", "--quiet")) == 0
    saved = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())
    assert (saved["method"], saved["data"], saved["lr"], saved["threads"]) == ("bc", str(data), 0.002, 1)
    again = ["bc", "--recipe", str(tmp_path / "run" / "recipe.yaml"), "--run", str(tmp_path / "again"), "--quiet"]
    assert main(again) == 0
    assert (tmp_path / "again" / "last.pt").read_bytes() == (tmp_path / "run" / "last.pt").read_bytes()


def test_another_recipe_or_other_demonstrations_are_not_resumed(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "episodes"
    mine.mkdir()
    for path in data.iterdir():
        (mine / path.name).write_bytes(path.read_bytes())
    with monkeypatch.context() as patch:
        interrupted_at(2, patch)
        assert main(options(mine, tmp_path / "run", "--quiet")) == 130
    assert main(options(mine, tmp_path / "run", "--quiet", "--resume", "--lr", "0.5")) == 2
    assert "$.lr is 0.001 there, 0.5 given" in capsys.readouterr().err
    assert main(options(mine, tmp_path / "run", "--quiet")) == 2
    assert "is used already" in capsys.readouterr().err
    (mine / "e0.mcap").unlink()
    assert main(options(mine, tmp_path / "run", "--quiet", "--resume")) == 2
    assert "the demonstrations are not those that the run was begun with" in capsys.readouterr().err


def test_the_target_ends_a_run_early(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["--run", str(tmp_path / "run"), "--evaluate-every", "3", "--target-score", "0", "--json"]
    assert main([*TOY, *run]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["run"]["end"], report["run"]["steps"], report["steps"]) == ("target", 3, 3)


@pytest.mark.parametrize("option", [["--resume"], ["--evaluate-every", "5"], ["--target-score", "0.9"]], ids=str)
def test_what_belongs_to_a_run_is_refused_without_one(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bc", "--env", "toy", *option]) == 2
    assert f"{option[0]}: has a meaning with --run only" in capsys.readouterr().err


def test_a_token_head_is_trained(tmp_path: Path) -> None:
    out = tmp_path / "model.pt"
    assert main([*TOY, "--head", "tokens", "--steps", "2", "--out", str(out), "--quiet"]) == 0
    assert load_checkpoint(out).spec.head == "tokens"
