"""A policy that was made for another robot is refused, both sides are named, and nothing moves."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import psutil
import pytest
import yaml

from vla_runtime.app.contract import check_contract
from vla_runtime.app.load import config_from
from vla_runtime.core.errors import ContractMismatch
from vla_runtime.plugins.policies.onnx import OnnxPolicy

SHIPPED = Path(__file__).resolve().parents[2] / "robot_configs"
TRACKER = (SHIPPED / "tracker.yaml").read_text()
PUSH = "push the T-shaped block onto the target"
SPEC = OnnxPolicy(SHIPPED / "policies" / "toy.onnx").spec
replace = msgspec.structs.replace


def tracker(change=lambda data: None):
    data = yaml.safe_load(TRACKER)
    change(data)
    return config_from(data, SHIPPED)


def differences(change=lambda data: None, spec=SPEC, instruction=PUSH):
    with pytest.raises(ContractMismatch) as caught:
        check_contract(spec, tracker(change), instruction)
    assert all(line in str(caught.value) for line in caught.value.differences)
    return caught.value.differences


def swap_joints(data):
    data["joints"][0], data["joints"][1] = data["joints"][1], data["joints"][0]


def rename_joint(data):
    data["joints"][2]["name"] = "elbow"


def drop_joint(data):
    del data["joints"][3]


def other_unit(data):
    data["joints"][1]["unit"] = "rad"


def other_camera(data):
    data["cameras"][0]["name"] = "wrist"


def no_camera(data):
    data["cameras"] = []


def other_size(data):
    data["cameras"][0] |= {"height": 32, "width": 24}


def other_step(data):
    data["policy"]["step_hz"] = 30


def long_interval(data):
    data["policy"]["replan_interval"] = 9


def no_target(data):
    data["extras"] = ["target0", "target1"]


def test_the_robot_it_was_made_for_is_accepted():
    check_contract(SPEC, tracker(), PUSH)


@pytest.mark.parametrize(
    ("change", "ours", "theirs"),
    [
        (
            swap_joints,
            "the robot has ['a1', 'a0', 'a2', 'a3']",
            "joint order: the policy moves ['a0', 'a1', 'a2', 'a3']",
        ),
        (other_unit, "the robot in rad", "unit of joint 'a1': the policy acts in none"),
        (other_camera, "the robot has ['wrist']", "camera: the policy looks through 'image'"),
        (no_camera, "the robot has []", "camera: the policy looks through 'image'"),
        (other_size, "the robot sends 32x24", "image size of camera 'image': the policy takes 16x16"),
        (other_step, "the robot expects step_hz 30 (33.3333 ms)", "the policy was trained at 50 Hz (dt 20 ms)"),
        (long_interval, "the robot asks for 9 steps of a chunk", "the policy's chunks have 8"),
        (no_target, "'target0', 'target1']", "state: the policy reads ['target2', 'target3']"),
    ],
)
def test_each_difference_names_both_sides(change, ours, theirs):
    assert SPEC.chunk_length == 8
    (line,) = differences(change)
    assert ours in line
    assert theirs in line


@pytest.mark.parametrize("change", [rename_joint, drop_joint])
def test_other_joints_are_called_other_joints(change):
    line = differences(change)[0]
    assert line.startswith("joints: the policy moves ['a0', 'a1', 'a2', 'a3'], the robot has ['a0', 'a1', ")


def test_a_state_in_another_unit_is_refused():
    state = (replace(SPEC.state[0], unit="rad"), *SPEC.state[1:])
    assert differences(spec=replace(SPEC, state=state)) == (
        "unit of state 'a0.position': the policy reads rad, the robot measures none",
    )


def test_a_state_that_the_robot_does_not_measure_is_refused():
    spec = replace(SPEC, state=(*SPEC.state[:-1], replace(SPEC.state[-1], name="a9.velocity")))
    (line,) = differences(spec=spec)
    assert "the policy reads ['a9.velocity']" in line
    assert "'a3.velocity'" in line


def test_another_image_size_is_accepted_where_the_contract_says_how_to_resize():
    spec = replace(SPEC, cameras=(replace(SPEC.cameras[0], resize="area"),))
    check_contract(spec, tracker(other_size), PUSH)
    assert differences(other_camera, spec)


@pytest.mark.parametrize("interval", [None, 1, 8])
def test_every_replan_interval_inside_the_chunk_is_accepted(interval):
    check_contract(SPEC, tracker(lambda data: data["policy"].update(replan_interval=interval)), PUSH)


def test_further_cameras_and_extras_of_the_robot_do_not_matter():
    def more(data):
        data["cameras"].insert(0, {"name": "wrist", "height": 8, "width": 8})
        data["extras"].insert(0, "force")

    check_contract(SPEC, tracker(more), PUSH)


@pytest.mark.parametrize("text", ["pull the block", "", PUSH.upper(), PUSH + " "])
def test_an_untrained_instruction_is_refused_with_the_trained_ones(text):
    (line,) = differences(instruction=text)
    assert f"instruction {text!r} is not one the policy was trained on: '{PUSH}'" in line


def test_all_differences_are_named_at_once():
    def all_of_them(data):
        for change in (swap_joints, other_size, other_step, long_interval, no_target):
            change(data)

    found = differences(all_of_them, instruction="pull")
    starts = ["joint order", "state", "image size", "policy step", "replan_interval", "instruction"]
    assert [line.partition(":")[0].split(" of ")[0].split(" 'pull'")[0] for line in found] == starts


COMMAND = {
    "wrong order": (swap_joints, ["['a0', 'a1', 'a2', 'a3']", "['a1', 'a0', 'a2', 'a3']"]),
    "much else": (
        lambda data: [change(data) for change in (other_step, other_size, other_unit)],
        ["trained at 50 Hz", "step_hz 30", "16x16", "32x24", "acts in none", "the robot in rad"],
    ),
}


@pytest.mark.parametrize(("change", "said"), COMMAND.values(), ids=COMMAND)
def test_vla_run_refuses_it_before_any_command_and_leaves_nothing_behind(change, said, tmp_path):
    data = yaml.safe_load(TRACKER)
    change(data)
    data["policy"]["file"] = str(SHIPPED / "policies" / "toy.onnx")
    (tmp_path / "robot.yaml").write_text(yaml.safe_dump(data))
    mark = f"TEST_CONTRACT={tmp_path}"
    environ = os.environ | dict([mark.split("=")]) | {"TMPDIR": str(tmp_path)}
    run = command("run", "--no-log", cwd=tmp_path, env=environ)
    ended = run.communicate(timeout=60)
    assert run.returncode == 2
    report = json.loads(ended[0].splitlines()[-1])
    assert report["exit"] == "refused"
    for side in said:
        assert side in ended[1]
        assert side in report["cause"]
    assert (report["episodes"], report["ticks"]) == (0, 0)
    assert [process.pid for process in psutil.process_iter() if mark in environment(process)] == []
    assert [*tmp_path.glob("vla-*")] == []


def test_vla_run_sends_no_command_to_a_host_whose_robot_is_another(tmp_path):
    data = yaml.safe_load(TRACKER)
    swap_joints(data)
    data["policy"]["file"] = str(SHIPPED / "policies" / "toy.onnx")
    (tmp_path / "robot.yaml").write_text(yaml.safe_dump(data))
    ipc = Path(tempfile.mkdtemp(prefix="vla-test-"))
    host = command("host", "--ipc", str(ipc), cwd=tmp_path)
    end = time.monotonic() + 30
    while not (ipc / "robot").exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    run = command("run", "--no-log", "--ipc", str(ipc), cwd=tmp_path)
    assert "joint order" in run.communicate(timeout=60)[1]
    assert run.returncode == 2
    host.terminate()
    report = json.loads(host.communicate(timeout=30)[0].splitlines()[-1])
    assert (report["commands"], report["episodes"], report["dead_man_ms"]) == (0, 0, [])
    assert report["steps"] == 0
    shutil.rmtree(ipc)


def command(name, *options, **where):
    line = [sys.executable, "-m", f"vla_runtime.cli.{name}", "--robot", "robot.yaml", "--json", *options]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **where)


def environment(process):
    try:
        return {f"{key}={value}" for key, value in process.environ().items()}
    except psutil.Error:
        return set()
