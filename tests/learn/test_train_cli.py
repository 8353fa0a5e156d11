"""``vla-train`` as a user and a script meet it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vla_runtime.cli.train import main
from vla_runtime.learn.checkpoint import load_checkpoint

from ..blocked import TRAIN_EXTRA, blocking

NO_TORCH = blocking(*TRAIN_EXTRA, "onnx", "onnxruntime") + "from vla_runtime.cli.train import main\n"


@pytest.mark.parametrize("argv", [["--help"], ["bc", "--help"]])
def test_help_needs_no_torch(argv: list[str]) -> None:
    code = f"{NO_TORCH}sys.exit(main({argv!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "vla-train bc --env toy --out model.pt" in done.stdout


def test_without_torch_it_says_what_to_install() -> None:
    code = f"{NO_TORCH}sys.exit(main(['bc', '--env', 'toy']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "pip install 'vla-runtime[train]'" in done.stderr


def test_the_last_line_is_json_and_the_model_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model.pt"
    argv = ["bc", "--env", "toy", "--out", str(out), "--steps", "5", "--batch-size", "32", "--episodes", "10", "--json"]
    assert main(argv) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out.splitlines()[-1])
    assert captured.out.count("\n") == 1
    assert {"success", "episodes", "seconds", "model"} <= report.keys()
    assert report["model"] == str(out)
    assert report["episodes"] == 10
    assert report["steps"] == 5
    assert load_checkpoint(out).training["success"] == report["success"]
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]


def test_a_missing_directory_is_refused_before_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bc", "--env", "toy", "--out", str(tmp_path / "no" / "model.pt"), "--steps", "1000000"]) == 2
    assert "vla-train: cannot write" in capsys.readouterr().err


def test_a_number_of_steps_below_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bc", "--env", "toy", "--steps", "0"]) == 2
    assert "--steps: 0 given, expected at least 1" in capsys.readouterr().err


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vla_runtime.learn.bc.BCLoss.forward", interrupted)
    assert main(["bc", "--env", "toy", "--out", str(tmp_path / "model.pt"), "--quiet"]) == 130
    assert list(tmp_path.iterdir()) == []
