"""``vla-demo`` in real processes."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from vla_runtime.app.demo import DemoOptions, demonstrate
from vla_runtime.core.errors import Refusal
from vla_runtime.episode.reader import read_episode

from . import live

DEMO = [sys.executable, "-m", "vla_runtime.cli.demo"]
TEXT = "push the T-shaped block onto the target"


def test_a_demo_leaves_an_episode_a_report_and_a_film(tmp_path):
    out = tmp_path / "demo"
    robot = live.patient("tracker", tmp_path)
    code, report, errors = live.finish(*DEMO, "--robot", robot, "--out", out, "--seed", 3, "--json")
    assert code == 0, errors
    assert (report["successes"], report["episodes"], list(report["runs"])) == (1, 1, [TEXT])
    assert json.loads((out / "report.json").read_text()) == report
    run = report["runs"][TEXT]
    assert run["identical"]
    assert read_episode(Path(run["log"])).metadata["seed"] == "3"
    assert (out / "film.gif").read_bytes()[:4] == b"GIF8"


def test_an_instruction_that_is_not_done_is_an_exit_code_of_its_own(tmp_path):
    robot = live.patient("tracker", tmp_path)
    content = yaml.safe_load(robot.read_text())
    content["device"]["options"] |= {"max_steps": 20, "tolerance": 0.0}
    robot.write_text(yaml.safe_dump(content))
    code, report, _ = live.finish(*DEMO, "--robot", robot, "--out", tmp_path / "demo", "--json")
    assert code == 1
    assert report["successes"] == 0


def test_what_vla_run_refuses_is_refused_with_its_words(tmp_path):
    options = DemoOptions(str(live.patient("tracker", tmp_path)), tmp_path / "demo", instructions=("dance",))
    with pytest.raises(Refusal, match="instruction 'dance' is not one the policy was trained on"):
        demonstrate(options, lambda line: None)
    assert not list((tmp_path / "demo").glob("*.gif"))


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    options = DemoOptions("tracker", tmp_path / "file" / "demo")
    with pytest.raises(Refusal, match="--out: cannot write to"):
        demonstrate(options, lambda line: None)
