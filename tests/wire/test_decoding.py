"""Whatever bytes come, a decoder gives a checked message or MalformedMessage."""

import contextlib
import math
import zlib

import msgspec
import numpy as np
import pytest
import simplejpeg
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vla_runtime.core.errors import MalformedMessage
from vla_runtime.core.types import ActionChunk, CommittedChunk, Frame, PlanRequest, RobotState, StateTrack
from vla_runtime.wire import plan, robot
from vla_runtime.wire.frames import FrameMessage, decode_frame, encode_frame, pixels_of

PIXELS = np.arange(8 * 12 * 3, dtype=np.uint8).reshape(8, 12, 3)
STATE = RobotState(np.array([0.1, -0.2]), np.array([1.0, 2.0]), 5, 6, np.array([0.5]))

TO_HOST = [
    robot.Hello(robot.PROTOCOL, 1, 10_000_000),
    robot.Command(3, 4, 5, (0.1, -0.2)),
    robot.StopRequest(1),
    robot.Reset(3, 4, "reach left"),
    robot.Goodbye(),
    robot.Ping(5),
]
FROM_HOST = [
    robot.Welcome(("a", "b"), ("x",), (robot.CameraInfo("front", 8, 12, 30.0),), 20_000_000),
    robot.Refused("no"),
    robot.Pong(5, 6),
    robot.State(3, 4, 5, (0.1, -0.2), (1.0, 2.0), (0.5,), robot.Task(6, True, False), ""),
    robot.State(3, 4, 5, (0.1,), None, (), None, "dead man"),
]
FROM_PLANNER = [
    plan.Ready("hash", b"{}"),
    plan.Failed("why"),
    plan.Alive(5, 6),
    plan.NoPlan(7, "why"),
    plan.Chunk(1, 2, 3, 4, "hash", 2, 3, bytes(24), {"front": 5}, 6),
    plan.Chunk(1, 2, 3, 4, "hash", 2, 3, bytes(24), {}, 6, plan.Measured((0.1,), (0.2,), (), 5, -1)),
]
ASK = plan.request_message(PlanRequest(1, 2, STATE, "reach left", 3))

DECODERS = {
    "frame": (lambda data: decode_frame(data, "front"), FrameMessage, [
        encode_frame("front", Frame(PIXELS, 5, 6), 7, encoding) for encoding in ("raw", "jpeg")
    ]),
    "to host": (robot.decode_to_host, robot.ToHost, [robot.encode(message) for message in TO_HOST]),
    "from host": (robot.decode_from_host, robot.FromHost, [robot.encode(message) for message in FROM_HOST]),
    "ask": (plan.decode_ask, plan.Ask, [ASK]),
    "from planner": (plan.decode_from_planner, plan.FromPlanner, [plan.encode(message) for message in FROM_PLANNER]),
}  # fmt: skip
every_decoder = pytest.mark.parametrize(("decode", "kind", "valid"), DECODERS.values(), ids=DECODERS)


def message_or_malformed(decode, kind, data):
    try:
        message = decode(data)
    except MalformedMessage:
        return None
    assert isinstance(message, kind)
    return message


@pytest.mark.parametrize("message", TO_HOST, ids=repr)
def test_what_a_client_says_arrives_as_it_was_said(message):
    assert robot.decode_to_host(robot.encode(message)) == message


@pytest.mark.parametrize("message", FROM_HOST, ids=repr)
def test_what_a_host_says_arrives_as_it_was_said(message):
    assert robot.decode_from_host(robot.encode(message)) == message


@pytest.mark.parametrize("message", FROM_PLANNER, ids=repr)
def test_what_a_planner_says_arrives_as_it_was_said(message):
    assert plan.decode_from_planner(plan.encode(message)) == message


@pytest.mark.parametrize("velocity", [np.array([1.0, 2.0]), None])
def test_a_request_arrives_to_the_bit(velocity):
    state = RobotState(np.array([0.1, math.pi]), velocity, 2**62, 6, np.array([1e-300]))
    came = plan.request_from(plan.decode_ask(plan.request_message(PlanRequest(1, 2**62, state, "zür", 3))))
    assert (came.seq, came.stamp_ns, came.instruction, came.episode) == (1, 2**62, "zür", 3)
    assert (came.state.stamp_ns, came.state.seq) == (2**62, 6)
    assert np.array_equal(came.state.position, state.position)
    assert np.array_equal(came.state.extras, state.extras)
    assert (came.state.velocity is None) if velocity is None else np.array_equal(came.state.velocity, velocity)


@pytest.mark.parametrize("velocity", [True, False])
def test_what_the_robot_measured_before_arrives_to_the_bit(velocity):
    random = np.random.default_rng(0)
    speeds = random.normal(size=(5, 2)) if velocity else None
    track = StateTrack(np.arange(5) * 10**17, random.normal(size=(5, 2)), speeds, random.normal(size=(5, 1)))
    state = RobotState(np.zeros(2), np.zeros(2) if velocity else None, 6, 6, np.zeros(1))
    message = plan.request_message(PlanRequest(1, 2, state, "go", 3, track))
    came = plan.request_from(plan.decode_ask(message)).history
    for name in ("stamps_ns", "position", "velocity", "extras"):
        mine, theirs = getattr(track, name), getattr(came, name)
        assert theirs is None if mine is None else np.array_equal(mine, theirs)
    ask = plan.decode_ask(message)
    for broken in ({"history": ask.history[:-8]}, {"history_stamps": ask.history_stamps[:-1]}, {"history_stamps": b""}):
        with pytest.raises(MalformedMessage, match="history"):
            plan.decode_ask(plan.encode(msgspec.structs.replace(ask, **broken)))


def test_what_is_committed_arrives_to_the_bit():
    state = RobotState(np.zeros(3), None, 6, 6, np.zeros(1))
    rows = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    message = plan.request_message(PlanRequest(1, 2, state, "go", 3, committed=CommittedChunk(rows, 2**62, 7, 9),
                                               takeover_ns=8))  # fmt: skip
    found = plan.request_from(plan.decode_ask(message))
    came = found.committed
    assert np.array_equal(came.actions, rows)
    assert (came.t0_ns, came.dt_ns, came.end_ns, found.takeover_ns) == (2**62, 7, 9, 8)
    ask = plan.decode_ask(message)
    for broken in ({"values": ask.committed.values[:-4]}, {"values": b""}, {"dt_ns": 0}, {"end_ns": 1}, {"end_ns": -1}):
        wrong = msgspec.structs.replace(ask, committed=msgspec.structs.replace(ask.committed, **broken))
        with pytest.raises(MalformedMessage, match="committed"):
            plan.decode_ask(plan.encode(wrong))


@pytest.mark.parametrize("takeover_ns", [-1, 1])
def test_a_plan_that_takes_over_before_it_is_asked_for_is_malformed(takeover_ns):
    state = RobotState(np.zeros(3), None, 6, 6)
    ask = plan.request_message(PlanRequest(1, 2, state, "go", takeover_ns=takeover_ns))
    with pytest.raises(MalformedMessage, match=f"to take over at {takeover_ns}, asked at 2"):
        plan.decode_ask(ask)


@pytest.mark.parametrize("delay", [None, 0, 3])
def test_how_many_rows_a_chunk_holds_arrives(delay):
    chunk = ActionChunk(np.zeros((3, 1), np.float32), 1, 2, 3, 4, "hash", delay=delay)
    assert plan.chunk_from(plan.decode_from_planner(plan.chunk_message(chunk))).delay == delay


@pytest.mark.parametrize("delay", [-1, 4])
def test_a_chunk_that_holds_rows_that_it_has_not_is_malformed(delay):
    chunk = ActionChunk(np.zeros((3, 1), np.float32), 1, 2, 3, 4, "hash", delay=delay)
    with pytest.raises(MalformedMessage, match=f"{delay} rows held of a chunk of 3x1"):
        plan.decode_from_planner(plan.chunk_message(chunk))


@pytest.mark.parametrize("velocity", [np.array([1.0, 2.0]), None])
def test_the_state_that_a_policy_was_shown_arrives_to_the_bit(velocity):
    state = RobotState(np.array([0.1, math.pi]), velocity, 2**62, -1, np.array([1e-300]))
    chunk = ActionChunk(np.zeros((1, 1), np.float32), 1, 2, 3, 4, "hash", {}, 5, state)
    came = plan.chunk_from(plan.decode_from_planner(plan.chunk_message(chunk))).state
    assert (came.stamp_ns, came.seq) == (2**62, -1)
    assert np.array_equal(came.position, state.position)
    assert np.array_equal(came.extras, state.extras)
    assert (came.velocity is None) if velocity is None else np.array_equal(came.velocity, velocity)


def test_a_chunk_arrives_to_the_bit():
    actions = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    chunk = ActionChunk(actions, 1, 2, 3, 4, "hash", {"front": 5}, 6)
    came = plan.chunk_from(plan.decode_from_planner(plan.chunk_message(chunk)))
    assert np.array_equal(came.actions, actions)
    assert (came.t0_ns, came.dt_ns, came.seq, came.request_seq, came.policy_hash) == (1, 2, 3, 4, "hash")
    assert (came.frames, came.sent_ns) == ({"front": 5}, 6)


def test_a_raw_frame_arrives_to_the_bit_and_a_jpeg_nearly_so():
    smooth = np.tile(np.linspace(0, 255, 32).astype(np.uint8)[:, None, None], (1, 48, 3))
    for encoding, allowed in (("raw", 0), ("jpeg", 12)):
        message = decode_frame(encode_frame("front", Frame(smooth, 5, 6), 7, encoding), "front")
        assert (message.capture_ns, message.seq, message.sent_ns) == (5, 6, 7)
        pixels = pixels_of(message)
        assert pixels.shape == smooth.shape
        assert np.abs(pixels.astype(int) - smooth).max() <= allowed


def test_a_frame_that_is_a_view_of_another_image_arrives_as_seen():
    mirrored = PIXELS[:, ::-1]
    assert np.array_equal(pixels_of(decode_frame(encode_frame("f", Frame(mirrored, 1, 1), 1, "raw"), "f")), mirrored)


@every_decoder
@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=200))
@example(b"")
@example(b"\xc1")
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\xdf\xff\xff\xff\xff")
def test_arbitrary_bytes_are_a_message_or_malformed(decode, kind, valid, data):
    message_or_malformed(decode, kind, data)


@every_decoder
@settings(max_examples=150, deadline=None)
@given(
    values=st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=12,
    ),
    tag=st.sampled_from(["Hello", "Command", "Reset", "State", "Welcome", "Chunk", "Ready", "Ask", "Alive"]),
)
def test_arbitrary_msgpack_is_a_message_or_malformed(decode, kind, valid, values, tag):
    rest = values if isinstance(values, list) else [values]
    for data in (values, [tag, *rest]):
        message_or_malformed(decode, kind, msgspec.msgpack.encode(data))


@every_decoder
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_damaged_message_is_a_message_or_malformed(decode, kind, valid, data):
    message = bytearray(data.draw(st.sampled_from(valid)))
    for _ in range(data.draw(st.integers(1, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    found = message_or_malformed(decode, kind, bytes(message))
    if isinstance(found, FrameMessage):
        with contextlib.suppress(MalformedMessage):
            assert pixels_of(found).shape == (found.height, found.width, 3)


@every_decoder
def test_every_cut_of_a_message_is_malformed(decode, kind, valid):
    for message in valid:
        for length in range(len(message)):
            with pytest.raises(MalformedMessage):
                decode(message[:length])


@every_decoder
def test_a_message_with_something_after_it_is_malformed(decode, kind, valid):
    for message in valid:
        with pytest.raises(MalformedMessage):
            decode(message + b"\x00")


@every_decoder
def test_deeply_nested_bytes_are_malformed(decode, kind, valid):
    for message in valid:
        fields = msgspec.msgpack.decode(message)
        inside = b"".join(map(msgspec.msgpack.encode, fields))
        longer = b"\xdc" + (len(fields) + 1).to_bytes(2, "big") + inside + b"\x91" * 100_000 + b"\xc0"
        with pytest.raises(MalformedMessage):
            decode(longer)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_malformed(value):
    with pytest.raises(MalformedMessage, match="not finite"):
        robot.decode_to_host(robot.encode(robot.Command(1, 2, 3, (0.0, value))))
    for fields in (((value,), None, ()), ((0.0,), (value,), ()), ((0.0,), None, (value,))):
        with pytest.raises(MalformedMessage, match="not finite"):
            robot.decode_from_host(robot.encode(robot.State(1, 2, 3, *fields, None, "")))


@pytest.mark.parametrize(
    ("rows", "columns", "values"),
    [(0, 3, b""), (3, 0, b""), (-1, -1, bytes(4)), (2, 3, bytes(20)), (2, 3, bytes(28)), (10**6, 10**6, b"")],
)
def test_a_chunk_whose_bytes_are_not_its_shape_is_malformed(rows, columns, values):
    with pytest.raises(MalformedMessage, match="chunk"):
        plan.decode_from_planner(plan.encode(plan.Chunk(1, 2, 3, 4, "h", rows, columns, values, {})))


def frame_message(**changes):
    payload = changes.pop("payload", PIXELS.tobytes())
    given = {
        "version": 1, "camera": "front", "seq": 6, "capture_ns": 5, "sent_ns": 7, "encoding": "raw", "height": 8,
        "width": 12, "payload": payload, "crc32": zlib.crc32(payload),
    } | changes  # fmt: skip
    return msgspec.msgpack.encode(FrameMessage(**given))


def test_a_frame_from_another_camera_is_refused_by_name():
    with pytest.raises(MalformedMessage, match=r"from camera 'wrist', expected 'front'"):
        decode_frame(frame_message(camera="wrist"), "front")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"version": 2}, "version 2, expected 1"),
        ({"crc32": 1}, "checksum"),
        ({"height": 0}, "0x12"),
        ({"width": 8193}, "8x8193"),
        ({"seq": -1}, "seq -1"),
        ({"capture_ns": -1}, "capture_ns -1"),
    ],
)
def test_a_frame_with_an_absurd_header_is_refused(changes, what):
    with pytest.raises(MalformedMessage, match=what):
        decode_frame(frame_message(**changes), "front")


def test_a_changed_pixel_breaks_the_checksum():
    data = bytearray(encode_frame("front", Frame(PIXELS, 5, 6), 7, "raw"))
    place = data.index(PIXELS.tobytes()) + 17
    data[place] ^= 1
    with pytest.raises(MalformedMessage, match="checksum"):
        decode_frame(bytes(data), "front")


def test_a_raw_frame_of_another_size_than_announced_is_malformed():
    with pytest.raises(MalformedMessage, match="raw frame of 288 bytes"):
        pixels_of(decode_frame(frame_message(height=9), "front"))


def jpeg(height=8, width=12):
    return simplejpeg.encode_jpeg(np.zeros((height, width, 3), np.uint8))


@pytest.mark.parametrize("payload", [b"", b"\xff", b"\xff\xd8\xff\xd9", bytes(500), jpeg()[:100], jpeg()[:-2]])
def test_a_payload_that_is_no_jpeg_is_malformed(payload):
    with pytest.raises(MalformedMessage, match="jpeg"):
        pixels_of(decode_frame(frame_message(encoding="jpeg", payload=payload), "front"))


def test_a_jpeg_of_another_size_than_announced_is_malformed():
    with pytest.raises(MalformedMessage, match="jpeg of 16x12, header says 8x12"):
        pixels_of(decode_frame(frame_message(encoding="jpeg", payload=jpeg(16, 12)), "front"))


def test_a_small_jpeg_that_announces_a_huge_image_is_refused_before_it_is_decoded(monkeypatch):
    bomb = bytearray(jpeg())
    size = bomb.index(b"\xff\xc0") + 5
    bomb[size : size + 4] = (60_000).to_bytes(2, "big") * 2
    message = decode_frame(frame_message(encoding="jpeg", payload=bytes(bomb)), "front")
    monkeypatch.setattr(simplejpeg, "decode_jpeg", None)  # calling it would be a TypeError
    with pytest.raises(MalformedMessage, match="60000x60000"):
        pixels_of(message)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_damaged_jpeg_is_an_image_of_the_announced_size_or_malformed(data):
    payload = bytearray(simplejpeg.encode_jpeg(PIXELS))
    for _ in range(data.draw(st.integers(1, 6))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    message = decode_frame(frame_message(encoding="jpeg", payload=bytes(payload)), "front")
    with contextlib.suppress(MalformedMessage):
        assert pixels_of(message).shape == (8, 12, 3)
