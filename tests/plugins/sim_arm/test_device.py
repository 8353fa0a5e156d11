import os
import subprocess
import sys

import numpy as np
import pytest

from tests.plugins.sim_arm.world import FRONT, HIGH, JOINTS, WRIST, arm, context, run_expert
from vla_runtime.core.errors import ConfigError
from vla_runtime.core.protocols import DeviceCamera, DeviceContext
from vla_runtime.plugins.devices.sim_arm import Options, SimArm
from vla_runtime.plugins.registry import load_plugin, plugin_options
from vla_runtime.testing import DeviceContract


class TestSimArm(DeviceContract):
    instruction = "push the green block onto the mat"

    def make(self) -> SimArm:
        return arm((FRONT, WRIST))


def test_the_physics_runs_at_500_hz_whatever_the_rate_of_commands():
    for rate_hz, steps in ((500, 1), (250, 2), (100, 5)):
        device = arm(rate_hz=rate_hz)
        assert device._substeps == steps
        assert device._scene.timestep == 0.002
        assert device.period_ns == round(1e9 / rate_hz)


def test_each_camera_shows_the_blocks_and_they_move_with_the_arm_or_stay():
    device = arm((FRONT, WRIST))
    device.reset(1, "reach the green block")
    before = {name: device.capture(name)() for name in ("front", "wrist")}
    for image in before.values():
        red, green, blue = image[..., 0].astype(int), image[..., 1].astype(int), image[..., 2].astype(int)
        assert ((green > 90) & (green > red + 60) & (green > blue + 50)).any() or ((red > 120) & (blue < 60)).any()
    pose = device.measure()[0]
    pose[0] += 0.3
    for _ in range(200):
        device.step(pose)
    assert (device.capture("wrist")() != before["wrist"]).mean() > 0.2
    changed = (device.capture("front")() != before["front"]).any(axis=-1)
    assert 0.01 < changed.mean() < 0.3


def test_exchanging_two_blocks_changes_the_picture():
    device = arm((FRONT,))
    device.reset(1, "reach the green block")
    place = {colour: device._scene.block(colour) for colour in ("red", "blue")}
    before = device.capture("front")()
    for colour, at in (("red", place["blue"]), ("blue", place["red"])):
        start = device._scene._blocks[colour].qposadr[0]
        device._scene._data.qpos[start : start + 3] = at
    assert (device.capture("front")() != before).any()


def test_faults_of_a_camera_come_from_the_options():
    options = plugin_options(SimArm, {"cameras": {"wrist": {"latency_ms": 20, "jitter_ms": 5, "drop": 0.1}}}, "$")
    front, wrist = SimArm(options, context()).cameras
    assert (front.latency_ns, front.jitter_ns, front.drop) == (0, 0, 0.0)
    assert (wrist.latency_ns, wrist.jitter_ns, wrist.drop) == (20_000_000, 5_000_000, 0.1)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"joints": JOINTS[::-1]}, {}, r"\$.joints: gripper.* sim_arm has base"),
        ({"high": (3.0, *HIGH[1:])}, {}, r"\$.joints: base may go \[-2.6, 3.0\]"),
        ({"extras": ("force",)}, {}, r"\$.extras: force given"),
        ({"cameras": (DeviceCamera("top", 96, 96, 30.0),)}, {}, r"\$.cameras: there is no camera 'top'.*front"),
        ({"cameras": (DeviceCamera("front", 960, 96, 30.0),)}, {}, "at most 480x640"),
        ({}, {"rate_hz": 200.0}, "no whole part of the physics' 500 Hz"),
        ({}, {"cameras": {"side": {}}}, "there is no camera 'side'"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_with_both_sides(changes, options, message):
    values = {"joints": JOINTS, "low": context().low, "high": HIGH, "extras": (), "cameras": (FRONT,)} | changes
    with pytest.raises(ConfigError, match=message):
        SimArm(plugin_options(SimArm, options, "$.device.options"), DeviceContext(**values))


@pytest.mark.parametrize("gl", ["egl", "osmesa"])
def test_a_missing_renderer_is_named_with_the_package_that_brings_it(gl):
    code = (
        "import ctypes.util, sys\n"
        "from unittest import mock\n"
        f"sys.modules['mujoco.{gl}'] = None\n"
        "from tests.plugins.sim_arm.world import FRONT, arm\n"
        f"arm((FRONT,), gl={gl!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    package = {"egl": "libegl1", "osmesa": "libosmesa6"}[gl]
    assert "ConfigError: $.device.options.gl" in done.stderr
    assert package in done.stderr


def test_without_mujoco_the_extra_is_named():
    code = (
        "import sys; sys.modules['mujoco'] = None\n"
        "from vla_runtime.plugins.registry import load_plugin\n"
        "load_plugin('devices', 'sim_arm')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "vla-runtime[sim]" in done.stderr


def test_two_processes_simulate_and_draw_the_same_bits():
    code = (
        "import hashlib\n"
        "from tests.plugins.sim_arm.world import FRONT, WRIST, arm, run_expert\n"
        "device = arm((FRONT, WRIST))\n"
        "print(run_expert(device, 11, 'push the red block onto the mat'))\n"
        "print(hashlib.sha256(device._scene.snapshot().qpos.tobytes()).hexdigest())\n"
        "for name in ('front', 'wrist'): print(hashlib.sha256(device.capture(name)().tobytes()).hexdigest())\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True, env=os.environ
        ).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert "True" in runs[0]


def test_a_stopped_arm_comes_to_rest_where_it_was():
    device = arm()
    run_expert(device, 2, "reach the red block")
    device.reset(2, "reach the red block")
    pose = device.measure()[0]
    pose[0] += 0.2
    for _ in range(15):
        device.step(pose)
    at = device.measure()[0]
    device.stop(0)
    for _ in range(250):
        device.step(None)
    assert np.abs(device.measure()[0] - at).max() < 0.05
    assert np.abs(device.measure()[1]).max() < 1e-3


def test_the_registry_knows_it():
    assert load_plugin("devices", "sim_arm") is SimArm
    assert SimArm.Options is Options
