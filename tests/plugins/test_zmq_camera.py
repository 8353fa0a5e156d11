"""The newest valid frame wins, whatever else comes over the socket."""

import shutil
import tempfile
import time

import numpy as np
import pytest
import zmq

from vla_runtime.core.types import Frame
from vla_runtime.plugins.cameras.zmq import FramePublisher, ZmqCamera
from vla_runtime.wire.frames import encode_frame
from vla_runtime.wire.sockets import open_socket


@pytest.fixture
def endpoint():
    directory = tempfile.mkdtemp(prefix="vla-test-")
    yield f"ipc://{directory}/front"
    shutil.rmtree(directory)


@pytest.fixture
def source(endpoint):
    """A PUB socket that sends whatever bytes it is given."""
    socket = open_socket(zmq.Context.instance(), zmq.PUB, bind=endpoint)
    yield socket
    socket.close()


@pytest.fixture
def camera(source, endpoint):
    """A camera that is known to be connected: it has seen frame 0, captured at 1 ns."""
    camera = ZmqCamera("front", endpoint)
    eventually(lambda: source.send(wire(0, 1)) or camera.latest() is not None)
    time.sleep(0.05)
    camera.drain()
    yield camera
    camera.close()


def eventually(holds, timeout_s=10.0):
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def image(value):
    return np.full((8, 12, 3), value, np.uint8)


def wire(seq, capture_ns, name="front", encoding="raw"):
    return encode_frame(name, Frame(image(seq % 256), capture_ns, seq), capture_ns, encoding)


def sees(camera, seq):
    eventually(lambda: camera.latest().seq == seq)
    return camera.latest()


def test_without_a_publisher_there_is_no_frame(endpoint):
    camera = ZmqCamera("front", endpoint)
    assert camera.latest() is None
    assert camera.malformed == 0
    camera.close()


def test_the_newest_frame_wins(camera, source):
    for seq in range(1, 100):
        source.send(wire(seq, 1000 + seq))
    frame = sees(camera, 99)
    assert frame.capture_ns == 1099
    assert np.array_equal(frame.pixels, image(99))
    assert frame.wire == wire(99, 1099)


def test_a_frame_is_decoded_once_and_returned_again(camera, source):
    source.send(wire(1, 1000, encoding="jpeg"))
    assert sees(camera, 1) is camera.latest()


def test_an_older_frame_never_replaces_a_newer_one(camera, source):
    source.send(wire(1, 1000))
    sees(camera, 1)
    source.send(wire(2, 999))
    source.send(b"x")
    eventually(lambda: camera.drain() or camera.malformed == 1)
    assert camera.latest().seq == 1
    source.send(wire(3, 1001))
    sees(camera, 3)


def test_a_frame_from_the_future_is_dropped(camera, source):
    source.send(wire(1, time.monotonic_ns() + 3_600_000_000_000))
    source.send(wire(2, 1000))
    sees(camera, 2)
    assert camera.malformed == 1


def test_a_frame_from_another_camera_is_never_a_substitute(camera, source):
    source.send(wire(1, 1000, name="wrist"))
    source.send(wire(2, 999))
    sees(camera, 2)
    assert camera.malformed == 1


def test_garbage_is_counted_and_the_camera_goes_on(camera, source):
    random = np.random.default_rng(0)
    good = wire(1, 1000)
    garbage = [random.bytes(int(random.integers(0, 300))) for _ in range(60)]
    garbage += [good[:cut] for cut in range(0, len(good), 10)]
    for data in garbage:
        source.send(data)
    source.send(wire(2, 1001))
    sees(camera, 2)
    assert camera.malformed == len(garbage)


def test_a_jpeg_that_cannot_be_decoded_leaves_the_last_good_frame(camera, source):
    source.send(wire(1, 1000))
    sees(camera, 1)
    source.send(encode_frame("front", Frame(image(7), 1001, 2), 0, "jpeg").replace(b"\xff\xc0", b"\xff\xc1", 1))
    eventually(lambda: camera.latest().seq == 1 and camera.malformed == 1)
    source.send(wire(3, 1002, encoding="jpeg"))
    sees(camera, 3)


def test_a_camera_that_was_there_first_sees_a_publisher_that_comes_later(endpoint):
    camera = ZmqCamera("front", endpoint)
    publisher = FramePublisher("front", endpoint, "raw")
    eventually(lambda: publisher.publish(Frame(image(5), 1000, 5), 0) and camera.latest() is not None)
    assert camera.latest().seq == 5
    camera.close()
    publisher.close()


def test_publishing_to_nobody_costs_nothing(endpoint):
    publisher = FramePublisher("front", endpoint, "raw")
    assert all(publisher.publish(Frame(image(0), 1, seq), 1) for seq in range(1000))
    publisher.close()
