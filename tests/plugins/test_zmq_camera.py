"""The newest valid frame wins, whatever else comes over the socket."""

import shutil
import tempfile
import time

import numpy as np
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from vla_runtime.core.types import Frame
from vla_runtime.plugins.cameras import zmq as zmq_camera
from vla_runtime.plugins.cameras.zmq import FramePublisher, ZmqCamera
from vla_runtime.wire.clock import ClockClient, ClockService
from vla_runtime.wire.frames import decode_frame, encode_frame, pixels_of
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
    assert camera.counts["older"] == 1
    source.send(wire(3, 1001))
    sees(camera, 3)


def test_a_frame_that_comes_twice_is_kept_once(camera, source):
    for _ in range(3):
        source.send(wire(1, 1000))
    before = camera.counts["duplicate"]  # of those that found the connection
    eventually(lambda: camera.drain() or camera.counts["duplicate"] == before + 2)
    assert [shot.seq for shot in camera.shots()] == [0, 1]


@given(st.lists(st.integers(0, 40), max_size=60))
def test_whatever_the_network_does_the_frames_kept_are_the_newest_in_order(stamps):
    """The k-th message is the frame captured at ``stamps[k]``: late ones, repeated ones, in any order."""
    camera = ZmqCamera("front", "ipc:///tmp/vla-test-nobody")
    for stamp in stamps:
        data = wire(stamp, stamp)
        camera._take(decode_frame(data, "front"), data)
    rising = [stamp for k, stamp in enumerate(stamps) if all(stamp > earlier for earlier in stamps[:k])]
    assert [shot.capture_ns for shot in camera.shots()] == rising[-12:]
    assert camera.counts["older"] + camera.counts["duplicate"] == len(stamps) - len(rising)
    assert camera.malformed == 0
    camera.close()


def test_only_the_frame_that_is_looked_at_is_decoded(camera, source, monkeypatch):
    decoded = []
    monkeypatch.setattr(zmq_camera, "pixels_of", lambda message: decoded.append(message.seq) or pixels_of(message))
    for seq in range(1, 10):
        source.send(wire(seq, 1000 + seq))
    eventually(lambda: camera.drain() or camera.shots()[-1].seq == 9)
    shots = {shot.seq: shot for shot in camera.shots()}
    assert shots[6].look() is shots[6].look()
    assert np.array_equal(shots[6].look().pixels, image(6))
    assert decoded == [6]


def test_a_frame_from_the_future_is_dropped(camera, source):
    source.send(wire(1, time.monotonic_ns() + 3_600_000_000_000))
    source.send(wire(2, 1000))
    sees(camera, 2)
    assert camera.malformed == camera.counts["future"] == 1


def test_a_camera_whose_clock_is_not_ours_says_so(source, endpoint):
    camera = ZmqCamera("front", endpoint)
    ahead_ns = 3_600_000_000_000
    eventually(lambda: source.send(wire(1, time.monotonic_ns() + ahead_ns)) or camera.latest() or camera.doubt)
    assert "its frames are stamped 3" in camera.doubt
    assert "s ahead of this machine's clock" in camera.doubt
    assert camera.latest() is None
    eventually(lambda: source.send(wire(2, 1)) or camera.latest())
    assert "behind this machine's clock" in camera.doubt
    eventually(lambda: source.send(wire(3, time.monotonic_ns())) or camera.latest().seq == 3)
    assert camera.doubt == ""
    camera.close()


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


HOUR = 3_600_000_000_000


@pytest.fixture
def foreign(source, endpoint):
    """A camera of a machine whose clock is an hour ahead and 150 ppm fast; called, it makes their stamp of ours."""
    start_ns = time.monotonic_ns()

    def theirs(at_ns):
        return at_ns + HOUR + round(150e-6 * (at_ns - start_ns))

    service = ClockService(f"{endpoint}.clock", lambda: theirs(time.monotonic_ns()))
    theirs.camera = ZmqCamera("front", endpoint)
    theirs.camera.clock = ClockClient(f"{endpoint}.clock")
    yield theirs
    theirs.camera.clock.close()
    theirs.camera.close()
    service.close()


def test_frames_of_another_machine_are_stamped_by_our_clock_also_in_the_log(foreign, source):
    camera = foreign.camera
    eventually(lambda: camera.clock.at(time.monotonic_ns()))
    taken = {}
    for seq in range(40):
        taken[seq] = time.monotonic_ns()
        source.send(wire(seq, foreign(taken[seq])))
        time.sleep(0.01)
    eventually(lambda: camera.latest().seq == 39)
    shots = camera.shots()
    assert [shot.seq for shot in shots] == list(range(28, 40))
    for shot in shots:
        assert abs(shot.capture_ns - taken[shot.seq]) <= shot.error_ns + 1
        frame = shot.look()
        assert frame.capture_ns == shot.capture_ns
        logged = decode_frame(frame.wire, "front")
        assert (logged.capture_ns, logged.sent_ns) == (shot.capture_ns, shot.capture_ns)
        assert np.array_equal(pixels_of(logged), image(shot.seq))
    assert camera.counts["future"] == 0


def test_a_frame_that_comes_twice_from_another_machine_is_kept_once(foreign, source):
    camera = foreign.camera
    eventually(lambda: camera.clock.at(time.monotonic_ns()))
    stamp = foreign(time.monotonic_ns())
    eventually(lambda: source.send(wire(1, stamp)) or camera.shots())
    before = camera.counts["duplicate"]
    for _ in range(20):
        source.send(wire(1, stamp))
        time.sleep(0.01)
    eventually(lambda: camera.drain() or camera.counts["duplicate"] >= before + 20)
    assert len(camera.shots()) == 1


def test_until_the_clock_of_its_machine_is_known_a_camera_shows_nothing_and_says_why(source, endpoint):
    camera = ZmqCamera("front", endpoint)
    camera.clock = ClockClient(f"{endpoint}.clock")
    eventually(lambda: source.send(wire(1, HOUR)) or camera.drain() or camera.counts["untimed"])
    assert camera.latest() is None
    assert camera.doubt == "the clock of its machine is not known, nobody answers there"
    camera.clock.close()
    camera.close()
