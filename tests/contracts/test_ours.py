"""Our own plug-ins keep the contracts that plug-in authors test theirs against."""

import contextlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vla_runtime.app.build import device_context
from vla_runtime.app.load import load_config
from vla_runtime.core.sampling import OPTIONAL_INPUTS, Sampling
from vla_runtime.core.types import Frame
from vla_runtime.plugins.cameras.zmq import FramePublisher, ZmqCamera
from vla_runtime.plugins.devices.servo_arm import ServoArm
from vla_runtime.plugins.policies.onnx import OnnxPolicy
from vla_runtime.plugins.registry import plugin_options
from vla_runtime.plugins.robots.host import HostRobot
from vla_runtime.testing import CameraContract, DeviceContract, PolicyContract, RobotContract

from ..plugins.conditioned import condition

POLICIES = Path(__file__).resolve().parents[2] / "robot_configs" / "policies"


@pytest.fixture(scope="module")
def ipc():
    directory = Path(tempfile.mkdtemp(prefix="vla-test-"))
    yield directory
    shutil.rmtree(directory)


@contextlib.contextmanager
def publishing(endpoint, encoding):
    """A camera that publishes until the end."""
    publisher, over = FramePublisher("front", endpoint, encoding), threading.Event()

    def publish():
        random = np.random.default_rng(0)
        for seq in range(1_000_000):
            now_ns = time.monotonic_ns()
            publisher.publish(Frame(random.integers(0, 256, (12, 16, 3), dtype=np.uint8), now_ns, seq), now_ns)
            if over.wait(0.01):
                break

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        publisher.close()


@pytest.fixture(scope="module")
def sources(ipc):
    """A raw and a jpeg camera, by encoding."""
    endpoints = {encoding: f"ipc://{ipc}/{encoding}" for encoding in ("raw", "jpeg")}
    with contextlib.ExitStack() as stack:
        for encoding, endpoint in endpoints.items():
            stack.enter_context(publishing(endpoint, encoding))
        yield endpoints


@pytest.fixture(scope="module")
def tracker_host():
    """The endpoint of a vla-host."""
    directory = tempfile.mkdtemp(prefix="vla-test-")
    command = [sys.executable, "-m", "vla_runtime.cli.host", "--robot", "tracker", "--ipc", directory]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    yield f"ipc://{directory}/robot"
    process.terminate()
    assert process.wait(20) == 0
    shutil.rmtree(directory)


class OverZmq(CameraContract):
    encoding = ""

    @pytest.fixture(autouse=True)
    def source(self, sources, ipc):
        self.endpoint, self.nobody = sources[self.encoding], f"ipc://{ipc}/nobody"

    def make(self):
        return ZmqCamera("front", self.endpoint)

    def make_dark(self):
        return ZmqCamera("front", self.nobody)


class TestZmqCameraRaw(OverZmq):
    encoding = "raw"


class TestZmqCameraJpeg(OverZmq):
    encoding = "jpeg"


class TestHostRobot(RobotContract):
    joints = extras = 4
    instruction = "push the T-shaped block onto the target"

    @pytest.fixture(autouse=True)
    def host(self, tracker_host):
        self.endpoint = tracker_host

    def make(self):
        config = load_config("tracker")
        robot = HostRobot(self.endpoint, config.joint_names, config.extras, config.period_ns)
        robot.connect()
        return robot


class TestOnnxPolicyToy(PolicyContract):
    def make(self):
        return OnnxPolicy(POLICIES / "toy.onnx")


class Continuing(PolicyContract):
    """The toy policy with every optional input."""

    rtc = "off"

    @pytest.fixture(autouse=True)
    def file(self, tmp_path):
        self.path = condition(POLICIES / "toy.onnx", OPTIONAL_INPUTS, tmp_path / "continuing.onnx")

    def make(self):
        policy = OnnxPolicy(self.path, sampling=Sampling(self.rtc))
        assert policy.rtc == self.rtc
        return policy


class TestOnnxPolicyHeldToThePrefix(Continuing):
    rtc = "prefix"


class TestOnnxPolicyGuided(Continuing):
    rtc = "guidance"


class TestOnnxPolicyHeldAndGuided(Continuing):
    rtc = "both"


class TestOnnxPolicySampledAlone(Continuing):
    rtc = "off"


class TestOnnxPolicyArm(PolicyContract):
    def make(self):
        return OnnxPolicy(POLICIES / "reach.onnx")


@pytest.fixture(scope="module")
def torchscript_file(tmp_path_factory):
    """An untrained toy policy, exported: the laws do not ask for success."""
    import torch

    from exporters.export import export
    from vla_runtime.learn import toy
    from vla_runtime.learn.checkpoint import Checkpoint
    from vla_runtime.learn.contract import make_spec
    from vla_runtime.learn.policy import build_policy

    random = torch.Generator().manual_seed(0)
    states, actions = torch.randn(50, 8, generator=random), torch.randn(50, 4, generator=random).clamp(-1, 1)
    spec = make_spec(toy.facts(), states, actions, "continuous")
    kwargs = {"hidden_dim": 16, "num_bins": 16}
    path = tmp_path_factory.mktemp("policy") / "toy.ts"
    export(Checkpoint(spec, build_policy(spec, seed=1, **kwargs).eval(), kwargs, {}, "0" * 64), {"torchscript": path})
    return path


class TestTorchScriptPolicy(PolicyContract):
    @pytest.fixture(autouse=True)
    def file(self, torchscript_file):
        self.path = torchscript_file

    def make(self):
        from vla_runtime.learn.torchscript_policy import TorchScriptPolicy

        return TorchScriptPolicy(self.path)


def tracker(**options):
    config = load_config("tracker")
    options = config.device.options | options
    context = replace(device_context(config), extras=() if options["task"] == "pose" else config.extras)
    return ServoArm(plugin_options(ServoArm, options, "$.device.options"), context)


class TestServoArmTrack(DeviceContract):
    def make(self):
        return tracker()


class TestServoArmPose(DeviceContract):
    instruction = "go left"

    def make(self):
        return tracker(task="pose", poses={"go left": (0.5, 0.1, -0.2, 0.0)})


class TestToyVLADevice(DeviceContract):
    instruction = "push the T-shaped block onto the target"

    def make(self):
        from vla_runtime.learn.toy_device import ToyVLADevice

        config = load_config("toy")
        options = plugin_options(ToyVLADevice, config.device.options, "$.device.options")
        return ToyVLADevice(options, device_context(config))


class Broken(ServoArm):
    """Measures through the array it goes on writing to."""

    def measure(self):
        self._shared = getattr(self, "_shared", np.zeros(4))
        position, velocity, extras = super().measure()
        self._shared[:] = position
        return self._shared, velocity, extras

    def step(self, command):
        super().step(command)
        self.measure()


class Late(ServoArm):
    """Its pictures show the instant at which they are asked for."""

    def capture(self, camera):
        return lambda: super(Late, self).capture(camera)()


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        (Broken, "test_a_measurement_is_not_written_over_by_a_later_step"),
        (Late, "test_a_picture_shows_its_instant_however_late_and_wherever_it_is_asked_for"),
    ],
)
def test_a_device_that_breaks_a_law_is_found(kind, law):
    config = load_config("tracker")

    class Suite(DeviceContract):
        def make(self):
            options = plugin_options(ServoArm, config.device.options, "$.device.options")
            return kind(options, device_context(config))

    with pytest.raises(AssertionError):
        getattr(Suite(), law)()
