"""``vla-train inspect``: what a data set holds, for people."""

from __future__ import annotations

from pathlib import Path

import pytest

from vla_runtime.cli.train import main

from .made_openx import NAME


def test_it_says_what_training_would_see(made: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(made["v2.1"]), "--read"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines == {
        "kind": "LeRobot v2.1",
        "episodes": "3, of 5 to 12 steps",
        "steps": "26, 0.9 s, 30 a second",
        "actions": "shoulder, elbow, grip",
        "state": "shoulder.pos, elbow.pos",
        "cameras": "top 32x48, wrist 32x48",
        "instructions": "pick it up; put it down",
        "read": "all 3 episodes are whole",
    }


def test_a_data_set_that_does_not_say_its_rate_is_told_it(
    made: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(made["openx"])]) == 2
    assert f"{NAME} does not say how many steps a second" in capsys.readouterr().err
    assert main(["inspect", str(made["openx"]), "--rate-hz", "10", "--state", "state"]) == 0
    assert "26, 2.6 s, 10 a second" in capsys.readouterr().out


def test_only_reading_finds_a_missing_video(copy, capsys: pytest.CaptureFixture[str]) -> None:
    path = copy("v2.1")
    next(path.glob("videos/**/episode_000002.mp4")).unlink()
    assert main(["inspect", str(path)]) == 0
    assert main(["inspect", str(path), "--read"]) == 2
    assert "episode_000002.mp4 is missing, expected a video with 12 frames" in capsys.readouterr().err
