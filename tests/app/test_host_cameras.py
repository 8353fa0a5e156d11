"""A host's cameras: each frame keeps its stamp and number, and no camera delays the motors or another camera."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zmq

from vla_runtime.app.build import camera_endpoint, device_context, robot_endpoint
from vla_runtime.app.config import CameraConfig
from vla_runtime.app.delivery import Delivery
from vla_runtime.app.host import CameraReport, RobotHost
from vla_runtime.app.host.camera import PublishedCamera
from vla_runtime.app.host.cameras import HostCameras
from vla_runtime.app.load import load_config
from vla_runtime.core.errors import DeviceLost, Refusal
from vla_runtime.core.protocols import DeviceCamera
from vla_runtime.plugins.devices.servo_arm import ServoArm
from vla_runtime.plugins.robots.host import HostRobot
from vla_runtime.wire.frames import decode_frame, pixels_of
from vla_runtime.wire.sockets import open_socket, receive_all

from .live import HOST, wait_for

MS = 1_000_000
TRACKER = load_config("tracker")
CONFIG = msgspec.structs.replace(
    TRACKER,
    cameras=tuple(CameraConfig(name, 8, 8, fps=50, encoding="raw") for name in ("front", "wrist")),
    device=msgspec.structs.replace(TRACKER.device, dead_man_ms=1000),
)


@pytest.fixture
def ipc():
    directory = Path(tempfile.mkdtemp(prefix="vla-test-"))
    yield directory
    shutil.rmtree(directory)


def image(value):
    return np.full((8, 8, 3), value % 256, np.uint8)


class Studio:
    """One published camera and its subscriber. ``read``: what a picture does when it is asked for, given its number."""

    def __init__(self, ipc, **how):
        self.camera = DeviceCamera("front", 8, 8, 1e9, **how)
        self.said, self.stamps, self.asked, self.threads, self.frames = [], [], [], set(), {}
        self.read = image
        endpoint = f"ipc://{ipc}/front"
        self.published = PublishedCamera(self.camera, endpoint, "raw", time.monotonic_ns(), self.said.append)
        self.report = self.published.report
        self._socket = open_socket(zmq.Context.instance(), zmq.SUB, connect=endpoint)

    def capture(self, _):
        seq = len(self.stamps)

        def pixels():
            self.asked.append(seq)
            self.threads.add(threading.get_ident())
            return self.read(seq)

        return pixels

    def take(self, capture_ns=None):
        """Capture a frame and, unless it is lost, wait until its picture is asked for."""
        seq, lost = len(self.stamps), self.report.lost
        self.shoot(capture_ns)
        wait_for(lambda: self.report.lost > lost or seq in self.asked, "the camera's thread")

    def shoot(self, capture_ns=None):
        capture_ns = time.monotonic_ns() if capture_ns is None else capture_ns
        self.published.capture_if_due(self, capture_ns)
        self.stamps.append(capture_ns)

    def receive(self):
        """What has come by now: seq to (message, time of receipt)."""
        for data in receive_all(self._socket):
            message = decode_frame(data, "front")
            assert message.seq not in self.frames
            self.frames[message.seq] = (message, time.monotonic_ns())
        return self.frames

    def connect(self):
        """Take frames until the subscriber gets them; returns the number of the next one."""

        def connected():
            self.take()
            time.sleep(0.01)
            return self.receive()

        wait_for(connected, "the first frame")
        wait_for(lambda: sum(self.counts()) == self.report.captured, "the last frame")
        self.receive()
        return len(self.stamps)

    def counts(self):
        report = self.report
        return report.published, report.lost, report.skipped, report.failed

    def close(self):
        self.published.end()
        assert self.published.join(30)
        self._socket.close(0)


@pytest.fixture
def studio(ipc, monkeypatch):
    monkeypatch.setattr("vla_runtime.app.host.camera._QUEUE", 1000)  # no frame is to be missing for a full queue
    opened = []

    def make(**how):
        opened.append(Studio(ipc, **how))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def fates(studio, first, seed=0):
    """Number to arrival of the frames from ``first`` on that are not lost."""
    delivery = Delivery(studio.camera, seed)
    arrivals = {seq: delivery.arrival_ns(seq, studio.stamps[seq]) for seq in range(first, len(studio.stamps))}
    return {seq: arrival_ns for seq, arrival_ns in arrivals.items() if arrival_ns is not None}


def test_a_late_or_lossy_camera_keeps_stamp_and_number_and_delivers_no_frame_early(studio):
    front = studio(latency_ns=20 * MS, jitter_ns=30 * MS, drop=0.3)
    first = front.connect()
    for _ in range(60):
        front.take()
    expected = fates(front, first)
    assert 20 < len(expected) < 60
    wait_for(lambda: expected.keys() <= front.receive().keys(), "all frames that are not lost")
    assert {seq for seq in front.frames if seq >= first} == expected.keys()
    for seq, arrival_ns in expected.items():
        message, received_ns = front.frames[seq]
        assert message.capture_ns == front.stamps[seq]
        assert arrival_ns <= message.sent_ns <= received_ns
        assert np.array_equal(pixels_of(message), image(seq))
    assert front.report.lost == len(front.stamps) - len(fates(front, 0))
    assert front.report == CameraReport(len(front.stamps), len(fates(front, 0)), front.report.lost, 0, 0)


def test_a_lost_frame_is_not_read(studio):
    front = studio(drop=0.5)
    for _ in range(50):
        front.take()
    assert front.asked == sorted(fates(front, 0))


def test_frames_overtake_each_other_when_the_jitter_exceeds_the_period(studio):
    front = studio(latency_ns=300 * MS, jitter_ns=300 * MS)
    first, start_ns = front.connect(), time.monotonic_ns()
    for number in range(20):
        front.take(start_ns + number * MS)
    wait_for(lambda: len([seq for seq in front.receive() if seq >= first]) == 20, "all frames")
    came = [seq for seq in front.frames if seq >= first]
    assert came != sorted(came)


def test_another_seed_is_other_fates(studio):
    front = studio(drop=0.5)
    first = front.connect()
    front.published.begin(7)
    for _ in range(40):
        front.take()
    assert [seq for seq in front.asked if seq >= first] == list(fates(front, first, seed=7))
    assert list(fates(front, first, seed=7)) != list(fates(front, first))


def test_frames_are_captured_on_absolute_deadlines_that_a_late_step_does_not_shift(ipc):
    start_ns, stamps = time.monotonic_ns(), []
    published = PublishedCamera(DeviceCamera("front", 8, 8, 1000.0), f"ipc://{ipc}/front", "raw", start_ns, print)

    class Device:
        def capture(self, _):
            stamps.append(tenth)
            return lambda: image(0)

    for tenth in [*range(100), *range(125, 225)]:  # of a period
        published.capture_if_due(Device(), start_ns + tenth * MS // 10)
    published.end()
    assert published.join(30)
    phase = stamps[1] % 10
    late = [stamp for stamp in stamps[1:] if stamp % 10 != phase]
    assert late in ([], [125])
    assert len(stamps) == published.report.captured
    assert np.diff([stamp for stamp in stamps[1:] if stamp < 100]).tolist() == [10] * (stamps.index(125) - 2)
    assert np.diff([stamp for stamp in stamps if stamp > 125]).tolist() == [10] * (len(stamps) - stamps.index(125) - 2)


def test_cameras_of_one_rate_look_at_the_same_instants(ipc):
    looked = []

    class Device:
        cameras = tuple(DeviceCamera(name, 8, 8, 50.0) for name in ("front", "wrist"))

        def capture(self, name):
            looked.append((now_ns, name))
            return lambda: image(0)

    cameras = HostCameras(Device(), CONFIG, ipc, print)
    begin_ns = time.monotonic_ns()
    for now_ns in range(begin_ns, begin_ns + 200 * MS, MS):
        cameras.capture_due(now_ns)
    cameras.close()
    assert len(looked) >= 20
    assert looked == [(at_ns, name) for at_ns, _ in looked[::2] for name in ("front", "wrist")]


def test_a_thread_that_falls_behind_goes_on_with_the_newest_picture(studio):
    front, gate = studio(), threading.Event()
    first = front.connect()
    front.read = lambda seq: gate.wait(30) and image(seq)
    front.take()
    for _ in range(5):
        front.shoot()
    gate.set()
    front.take()
    wait_for(lambda: first + 6 in front.receive(), "the newest frame")
    skipped = front.report.skipped
    assert skipped == 4 + (first + 5 not in front.asked)
    assert [seq for seq in front.asked if seq > first and seq < first + 5] == []
    assert sum(front.counts()) == front.report.captured


@pytest.mark.parametrize("wrong", ["raises", "size", "type", "no image"])
def test_a_picture_that_fails_is_counted_said_once_and_followed_by_good_ones(studio, wrong):
    front = studio()
    first = front.connect()

    def fails(seq):
        if wrong == "raises":
            raise OSError("the cable is out")
        return {"size": np.zeros((8, 9, 3), np.uint8), "type": np.zeros((8, 8, 3)), "no image": None}[wrong]

    front.read = fails
    for _ in range(3):
        front.take()
    front.read = image
    front.take()
    wait_for(lambda: first + 3 in front.receive(), "a good frame")
    assert [seq for seq in front.frames if seq >= first] == [first + 3]
    assert front.report.failed == 3
    (said,) = front.said
    assert said.startswith(f"camera front: picture {first} failed (")
    assert {
        "raises": "OSError: the cable is out",
        "size": "an image of uint8 (8, 9, 3), expected uint8 (8, 8, 3)",
        "type": "an image of float64 (8, 8, 3), expected uint8 (8, 8, 3)",
        "no image": "AttributeError",
    }[wrong] in said


def test_a_capture_that_raises_is_a_picture_that_fails(studio):
    front = studio()
    first = front.connect()
    front.capture = lambda name: {}[name]
    front.shoot()
    wait_for(lambda: front.report.failed == 1, "the failure")
    del front.capture
    front.take()
    wait_for(lambda: first + 1 in front.receive(), "a good frame")
    assert "KeyError: 'front'" in front.said[0]


def test_a_cameras_pictures_are_all_asked_for_by_one_thread_that_is_not_the_capturing_one(studio):
    front = studio()
    front.connect()
    for _ in range(10):
        front.take()
    assert len(front.threads) == 1
    assert threading.get_ident() not in front.threads


class Arm(ServoArm):
    """A servo arm whose pictures do what the test wants. ``read`` is given the camera's name."""

    def __init__(self):
        from vla_runtime.plugins.registry import plugin_options

        super().__init__(plugin_options(ServoArm, CONFIG.device.options, "$"), device_context(CONFIG))
        self.read = lambda name: image(1)
        self.closed = False

    def capture(self, camera):
        return lambda: self.read(camera)

    def close(self):
        self.closed = True


class Served:
    """A host in a thread of this process, its client, and subscribers to its cameras."""

    def __init__(self, arm, ipc):
        self.said, self.over = [], threading.Event()
        self.host = RobotHost(CONFIG, arm, ipc, self.said.append)
        self.thread = threading.Thread(target=self.host.serve, args=(self.over.is_set,))
        self.thread.start()
        options = HostRobot.Options(timeout_s=20)
        self.client = HostRobot(
            robot_endpoint(CONFIG, ipc), CONFIG.joint_names, CONFIG.extras, CONFIG.period_ns, options
        )
        self.sockets = {
            camera.name: open_socket(zmq.Context.instance(), zmq.SUB, connect=camera_endpoint(camera, ipc))
            for camera in CONFIG.cameras
        }

    def move(self):
        """The steps of the episode that the arm has made under commands."""
        self.client.write(np.zeros(4), time.monotonic_ns())
        time.sleep(0.005)
        return next((state.task.step for state in reversed(self.client.read(time.monotonic_ns()))), 0)

    def frames(self, name):
        return [decode_frame(data, name) for data in receive_all(self.sockets[name])]

    def close(self):
        self.over.set()
        self.thread.join(30)
        assert not self.thread.is_alive()
        self.client.close()
        for socket in self.sockets.values():
            socket.close(0)


@pytest.fixture
def arm():
    return Arm()


@pytest.fixture
def stuck():
    """What blocks until the end of the test."""
    event = threading.Event()
    yield event
    event.set()
    for thread in threading.enumerate():
        if thread.name.startswith("camera "):
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture
def serve(arm, stuck, ipc):
    """Start the host. It is closed before what is stuck comes loose."""
    started = []

    def start():
        started.append(Served(arm, ipc))
        return started[-1]

    yield start
    for served in started:
        served.close()


def test_a_camera_that_blocks_for_ever_stops_neither_the_motors_nor_the_other_camera_nor_the_end(arm, stuck, serve):
    arm.read = lambda name: stuck.wait() and image(2) if name == "front" else image(1)
    served = serve()
    served.client.reset(0, 0, "")
    wait_for(lambda: served.move() > 20, "20 steps under commands")
    seen = set()

    def others():
        seen.update(frame.seq for frame in served.frames("wrist"))
        return served.move() > 20 and len(seen) > 5

    wait_for(others, "frames of the wrist")
    assert served.frames("front") == []
    served.close()
    assert arm.closed
    assert "camera front is stuck in a picture; it is left behind" in served.said
    front, wrist = (served.host.report.cameras[name] for name in ("front", "wrist"))
    assert front.published == 0
    assert front.skipped > 0
    assert wrist.published > 5
    assert served.host.report.dead_man_ms == []


def test_the_dead_man_strikes_while_all_cameras_block(arm, stuck, serve):
    arm.read = lambda name: stuck.wait() and image(2)
    served = serve()
    served.client.reset(0, 0, "")
    wait_for(lambda: served.move() > 2, "steps under commands")

    def lost():
        try:
            served.client.read(time.monotonic_ns())
        except DeviceLost as error:
            return str(error)
        return ""

    assert "no command for" in wait_for(lost, "the dead man")
    assert served.host.report.dead_man_ms[0] >= 1000


def test_cameras_that_always_raise_leave_the_robot_running(arm, serve):
    def read(name):
        raise OSError(f"{name} is out")

    arm.read = read
    served = serve()
    served.client.reset(0, 0, "")
    wait_for(lambda: served.move() > 20, "20 steps under commands")
    served.close()
    failed = [line for line in served.said if "failed" in line]
    assert sorted(line.partition(":")[0] for line in failed) == ["camera front", "camera wrist"]
    assert all(report.failed > 1 for report in served.host.report.cameras.values())


def test_each_camera_has_its_own_thread(arm, serve):
    threads = {"front": set(), "wrist": set()}
    arm.read = lambda name: threads[name].add(threading.get_ident()) or image(1)
    served = serve()
    wait_for(lambda: all(report.published > 10 for report in served.host.report.cameras.values()), "frames")
    assert len(threads["front"]) == len(threads["wrist"]) == 1
    assert len(threads["front"] | threads["wrist"] | {served.thread.ident}) == 3


def test_while_it_serves_a_cameras_python_code_gives_way_to_the_motors_at_once_and_not_in_5_ms(arm, serve):
    before, intervals = sys.getswitchinterval(), set()
    arm.read = lambda name: intervals.add(sys.getswitchinterval()) or image(1)
    served = serve()
    wait_for(lambda: served.host.report.cameras["wrist"].published > 2, "frames")
    served.close()
    assert max(intervals) <= 0.001 < before == sys.getswitchinterval()


def test_a_camera_whose_endpoint_is_taken_refuses_the_host_and_ends_the_threads_of_the_others(arm, ipc):
    taken = open_socket(zmq.Context.instance(), zmq.PUB, bind=camera_endpoint(CONFIG.cameras[1], ipc))
    with pytest.raises(Refusal, match=r"camera\.wrist is in use"):
        RobotHost(CONFIG, arm, ipc, print)
    taken.close(0)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("camera ")]


STUCK = """
import sys, threading
from vla_runtime.cli.host import main
from vla_runtime.plugins.devices.servo_arm import ServoArm
ServoArm.capture = lambda self, name: threading.Event().wait
sys.exit(main(sys.argv[1:]))
"""


def test_vla_host_ends_on_a_signal_though_its_camera_never_does(ipc):
    command = [sys.executable, "-c", STUCK, *HOST[3:], "--robot", "tracker", "--ipc", str(ipc), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        with connected(ipc) as client:
            client.reset(0, 0, TRACKER.instruction)
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        output, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, said
    counts = json.loads(output.splitlines()[-1])["cameras"]["image"]
    assert counts["captured"] > counts["skipped"] > 0
    assert counts["published"] == 0
    assert "vla-host: camera image is stuck in a picture" in said


@contextmanager
def connected(ipc):
    options = HostRobot.Options(timeout_s=20)
    client = HostRobot(
        f"ipc://{ipc}/robot", TRACKER.joint_names, TRACKER.extras, TRACKER.period_ns, options, lambda: ""
    )
    try:
        yield client
    finally:
        client.close()


def test_every_camera_has_made_a_picture_before_the_motors_are_served(arm, stuck, serve):
    """The first picture may take long and hold the interpreter, as a GL context does."""
    order = []
    arm.read = lambda name: order.append(name) or image(1)
    step = arm.step
    arm.step = lambda command: order.append("step") or step(command)
    served = serve()
    wait_for(lambda: order.count("step") > 3, "steps")
    assert {"front", "wrist"} <= set(order[: order.index("step")])
    assert served.said == []
