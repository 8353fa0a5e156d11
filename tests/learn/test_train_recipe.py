"""``vla-train recipe``: one command from a task to a policy file."""

import json
import subprocess
import sys

import pytest

from vla_runtime.app.load import load_config
from vla_runtime.cli.train import main
from vla_runtime.plugins.policies.onnx import OnnxPolicy

RECIPE = [sys.executable, "-m", "vla_runtime.cli.train", "recipe", "--robot", "tracker"]
SMALL = ["--episodes", "24", "--steps", "20", "--evaluate", "4", "--workers", "2", "--json"]


def last(output: str) -> dict:
    return json.loads(output.splitlines()[-1])


def test_one_command_leaves_demonstrations_a_policy_file_and_the_time_of_every_stage(tmp_path):
    out = tmp_path / "track"
    done = subprocess.run(
        [*RECIPE, "--task", "track", "--out", str(out), *SMALL],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = last(done.stdout)
    assert json.loads((out / "report.json").read_text()) == report
    assert list(report["stages"]) == ["collect", "train", "export", "evaluate"]
    assert all(stage["seconds"] > 0 for stage in report["stages"].values())
    assert sum(stage["seconds"] for stage in report["stages"].values()) <= report["seconds"]
    assert len(list((out / "episodes").glob("*.mcap"))) == 24
    assert report["stages"]["train"]["report"]["steps"] == 20
    assert report["stages"]["evaluate"]["report"]["latencies"][0]["episodes"] == 4
    policy = OnnxPolicy(out / "track.onnx")
    assert [action.name for action in policy.spec.actions] == list(load_config("tracker").joint_names)


def test_a_directory_with_something_in_it_is_refused(tmp_path, capsys):
    (tmp_path / "mine").write_text("")
    assert main(["recipe", "--robot", "tracker", "--task", "track", "--out", str(tmp_path)]) == 2
    assert "--out" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(("option", "value"), [("--task", "dance"), ("--robot", "no_such_robot")])
def test_what_a_stage_refuses_ends_the_recipe_with_its_words(tmp_path, capfd, option, value):
    options = {"--robot": "tracker", "--task": "track", "--out": str(tmp_path / "new")} | {option: value}
    assert main(["recipe", *(word for pair in options.items() for word in pair), "--json"]) == 2
    said = capfd.readouterr()
    assert value in last(said.out)["cause"]
    assert last(said.out)["cause"].startswith("collect: ")
