"""Sockets stay on this machine, in private places, and never wait for anybody."""

import contextlib
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from vla_runtime.core.errors import ConfigError, Refusal
from vla_runtime.wire.sockets import check_endpoint, open_socket, private_directory, receive_all, send
from vla_runtime.wire.tap import FrameTap

CONTEXT = zmq.Context.instance()


@pytest.fixture
def ipc():
    directory = Path(tempfile.mkdtemp(prefix="vla-test-"))
    yield directory
    shutil.rmtree(directory)


def received(socket, timeout_s=10.0):
    """What comes until something does."""
    end = time.monotonic() + timeout_s
    while not (messages := receive_all(socket)):
        assert time.monotonic() < end, "nothing came"
        socket.poll(20)
    return messages


@pytest.mark.parametrize(
    "endpoint",
    ["ipc:///run/robot", "ipc://relative", "tcp://127.0.0.1:5555", "tcp://localhost:1", "tcp://[::1]:65535"],
)
def test_this_machine_may_be_reached(endpoint):
    assert check_endpoint(endpoint) == endpoint


@pytest.mark.parametrize(
    "endpoint",
    ["tcp://0.0.0.0:5555", "tcp://192.168.1.7:5555", "tcp://robot.local:5555", "tcp://[::]:5555", "tcp://127.0.0.2:5"],
)
def test_another_machine_may_be_reached_only_by_an_explicit_insecure(endpoint):
    with pytest.raises(ConfigError, match=r"^\$\.x: .*insecure: true"):
        check_endpoint(endpoint, path="$.x")
    assert check_endpoint(endpoint, insecure=True) == endpoint


@pytest.mark.parametrize(
    "endpoint",
    [
        "", "127.0.0.1:5555", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://127.0.0.1:*", "tcp://*:5555",
        "tcp://127.0.0.1:0", "tcp://127.0.0.1:65536", "tcp://127.0.0.1:-1", "tcp://:5555", "udp://127.0.0.1:5", "ipc://",
        "inproc://x", "http://127.0.0.1:80", "tcp://evil@127.0.0.1:5", "tcp://127.0.0.1:5/x", "tcp://127.0.0.1:5\n",
        "tcp://10.0.0.1;127.0.0.1:5", "tcp://10.0.0.1:1;127.0.0.1:5", "tcp:// 127.0.0.1:5", "tcp://eth0;127.0.0.1:5",
    ],
)  # fmt: skip
def test_what_is_no_endpoint_is_refused_even_when_insecure(endpoint):
    for insecure in (False, True):
        with pytest.raises(ConfigError, match=r"^\$\.x: .*expected"):
            check_endpoint(endpoint, insecure=insecure, path="$.x")


@given(st.text(max_size=30), st.sampled_from(["", "tcp://", "tcp://127.0.0.1:", "ipc://"]), st.booleans())
def test_any_text_is_an_endpoint_or_refused(text, scheme, insecure):
    with contextlib.suppress(ConfigError):
        assert check_endpoint(scheme + text, insecure=insecure) == scheme + text


def test_an_ipc_path_longer_than_a_socket_name_is_refused():
    assert check_endpoint("ipc://" + "a" * 107)
    with pytest.raises(ConfigError, match="107 bytes"):
        check_endpoint("ipc://" + "a" * 108)
    with pytest.raises(ConfigError, match="107 bytes"):
        check_endpoint("ipc://" + "ü" * 54)


def test_a_place_that_is_taken_is_refused_by_name(ipc):
    for endpoint in (f"ipc://{ipc}/robot", "tcp://127.0.0.1:*"):
        with contextlib.closing(open_socket(CONTEXT, zmq.ROUTER, bind=endpoint)) as first:
            taken = first.getsockopt_string(zmq.LAST_ENDPOINT)
            with pytest.raises(Refusal, match=f"{taken} is in use: is another vla-host or vla-run"):
                open_socket(CONTEXT, zmq.ROUTER, bind=taken)


def test_a_socket_file_that_a_killed_process_left_is_no_hindrance(ipc):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(ipc / "robot"))
    open_socket(CONTEXT, zmq.ROUTER, bind=f"ipc://{ipc}/robot").close()


def test_a_place_that_does_not_exist_is_refused_by_name(ipc):
    with pytest.raises(Refusal, match=f"cannot bind ipc://{ipc}/no/robot"):
        open_socket(CONTEXT, zmq.ROUTER, bind=f"ipc://{ipc}/no/robot")


@pytest.mark.parametrize("endpoint", ["ipc://" + "a" * 200, "tcp://a b:1", "nothing"])
def test_what_cannot_be_connected_to_is_refused_by_name(endpoint):
    with pytest.raises(Refusal, match=f"cannot connect to {endpoint}"):
        open_socket(CONTEXT, zmq.DEALER, connect=endpoint)


def test_no_socket_lingers(ipc):
    with contextlib.closing(open_socket(CONTEXT, zmq.PUB, bind=f"ipc://{ipc}/a")) as socket:
        assert socket.getsockopt(zmq.LINGER) == 0


@pytest.mark.parametrize("kind", [zmq.DEALER, zmq.PUSH, zmq.PUB, zmq.PAIR])
def test_sending_to_nobody_ends_at_once_and_says_when_the_queue_is_full(kind, ipc):
    socket = open_socket(CONTEXT, kind, connect=f"ipc://{ipc}/nobody", queue=10)
    sent = [send(socket, b"x") for _ in range(1000)]
    assert kind == zmq.PUB or not sent[-1]
    assert sum(sent) in (10, 1000)
    socket.close()


@pytest.mark.parametrize("kind", [zmq.DEALER, zmq.PULL, zmq.SUB, zmq.ROUTER, zmq.PAIR])
def test_receiving_from_nobody_is_empty_at_once(kind, ipc):
    with contextlib.closing(open_socket(CONTEXT, kind, connect=f"ipc://{ipc}/nobody")) as socket:
        assert receive_all(socket) == []


def test_messages_come_in_order_and_no_more_than_asked_for(ipc):
    pull = open_socket(CONTEXT, zmq.PULL, bind=f"ipc://{ipc}/a")
    push = open_socket(CONTEXT, zmq.PUSH, connect=f"ipc://{ipc}/a")
    messages = [b"%d" % number for number in range(50)]
    assert all(send(push, message) for message in messages)
    came = []
    while len(came) < 50:
        pull.poll(10_000)
        came += (some := receive_all(pull, 7))
        assert 0 < len(some) <= 7
    assert came == messages
    push.close()
    pull.close()


def test_of_a_multipart_message_only_the_last_part_is_taken(ipc):
    pull = open_socket(CONTEXT, zmq.PULL, bind=f"ipc://{ipc}/a")
    push = open_socket(CONTEXT, zmq.PUSH, connect=f"ipc://{ipc}/a")
    push.send_multipart([b"header", b"body"])
    assert received(pull) == [b"body"]
    push.close()
    pull.close()


def test_a_message_beyond_the_limit_ends_the_connection_and_not_the_receiver(ipc):
    pull = open_socket(CONTEXT, zmq.PULL, bind=f"ipc://{ipc}/a")
    big = open_socket(CONTEXT, zmq.PUSH, connect=f"ipc://{ipc}/a")
    big.send(bytes(64 * 1024 * 1024 + 1))
    push = open_socket(CONTEXT, zmq.PUSH, connect=f"ipc://{ipc}/a")
    send(push, b"x")
    assert received(pull) == [b"x"]
    for end in (push, big, pull):
        end.close()


def test_a_private_directory_is_made_for_this_user_alone(tmp_path):
    made = private_directory(tmp_path / "a" / "b")
    assert made.stat().st_mode & 0o777 == 0o700
    assert private_directory(made) == made


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o750, 0o755, 0o777])
def test_a_directory_that_others_may_enter_is_refused(tmp_path, mode):
    tmp_path.chmod(mode)
    with pytest.raises(Refusal, match="mode 0700"):
        private_directory(tmp_path)


def test_a_directory_of_another_user_is_refused(tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(Refusal, match="must belong to this user"):
        private_directory(tmp_path)


def test_a_private_directory_that_is_a_file_or_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.raises(Refusal, match="file"):
            private_directory(path)


def test_frames_tapped_for_nobody_are_counted_and_cost_nothing(ipc):
    tap = FrameTap(f"ipc://{ipc}/nobody")
    for _ in range(100):
        tap.frame(b"x")
    assert tap.dropped == 100
    tap.close()
    tap.frame(b"x")
    assert tap.dropped == 101


def test_a_tapped_frame_arrives(ipc):
    pull = open_socket(CONTEXT, zmq.PULL, bind=f"ipc://{ipc}/frames")
    tap = FrameTap(f"ipc://{ipc}/frames")
    end = time.monotonic() + 10
    while not pull.poll(10):
        assert time.monotonic() < end
        tap.frame(b"frame")
    assert set(receive_all(pull)) == {b"frame"}
    tap.close()
    pull.close()
