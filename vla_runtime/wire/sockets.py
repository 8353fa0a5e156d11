"""ZMQ sockets that never hang: LINGER 0, bounded queues, non-blocking calls, and a guard on where they reach.

Endpoints stay on this machine (ipc, loopback) unless the config says ``insecure: true``: whoever can send a
command can move the robot.
"""

from __future__ import annotations

import os
import re
import socket as unix
import stat
from contextlib import suppress
from pathlib import Path

import zmq

from vla_runtime.core.errors import ConfigError, Refusal

__all__ = ["Endpoint", "bulk_context", "check_endpoint", "open_socket", "private_directory", "receive_all", "send"]

Endpoint = str
_LOOPBACK = {"127.0.0.1", "localhost", "[::1]"}
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_MAX_IPC_PATH = 107  # sizeof(sockaddr_un.sun_path) - 1
# As plain ints: an enum member costs an attribute look-up and a conversion at every use.
_EVENTS, _READABLE, _NOBLOCK, _MORE = int(zmq.EVENTS), int(zmq.POLLIN), int(zmq.NOBLOCK), int(zmq.RCVMORE)
MAX_MESSAGE_BYTES = 64 * 1024 * 1024


def check_endpoint(endpoint: Endpoint, *, insecure: bool = False, path: str = "") -> Endpoint:
    """Return ``endpoint`` if this runtime may use it.

    Raises:
        ConfigError: another transport than ipc and tcp, an ipc path that is too long, or a host beyond loopback
            without ``insecure: true``.
    """
    scheme, _, rest = endpoint.partition("://")
    if scheme == "ipc" and rest:
        if len(rest.encode()) > _MAX_IPC_PATH:
            raise ConfigError(
                f"ipc path {rest!r} is longer than the {_MAX_IPC_PATH} bytes a socket name can have", path
            )
        return endpoint
    if scheme != "tcp" or not rest:
        raise ConfigError(f"{endpoint!r} is no endpoint; expected ipc:///path/to/socket or tcp://127.0.0.1:port", path)
    found = _HOST_AND_PORT.fullmatch(rest)
    if found is None or not 0 < int(found[2]) < 65536:
        raise ConfigError(f"{endpoint!r} is no host and port from 1 to 65535; expected tcp://127.0.0.1:port", path)
    if found[1] not in _LOOPBACK and not insecure:
        raise ConfigError(
            f"{endpoint!r} reaches beyond this machine, where anyone could command the robot or feed it images; "
            "use ipc or 127.0.0.1, or accept the risk with 'insecure: true'",
            path,
        )
    return endpoint


def bulk_context() -> zmq.Context[zmq.Socket[bytes]]:
    """A context for what may come late: images, records.

    ZMQ sends and receives in a thread of each context. That of any other context is named ``ZMQbg/IO/0`` and may be
    made real-time with the loop it serves; those of this kind have a prefix to their name, and are left alone.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.set(zmq.THREAD_NAME_PREFIX, 1)
    return context


def open_socket(
    context: zmq.Context[zmq.Socket[bytes]],
    kind: int,
    *,
    bind: Endpoint = "",
    connect: Endpoint = "",
    queue: int = 1000,
) -> zmq.Socket[bytes]:
    """A socket of ``kind``, bound or connected, with LINGER 0 and at most ``queue`` messages waiting each way."""
    socket = context.socket(kind)
    try:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, queue)
        socket.setsockopt(zmq.RCVHWM, queue)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        if kind == zmq.SUB:
            socket.setsockopt(zmq.SUBSCRIBE, b"")
        if bind:
            _bind(socket, bind)
        if connect:
            _connect(socket, connect)
    except BaseException:
        socket.close(0)
        raise
    return socket


def _bind(socket: zmq.Socket[bytes], endpoint: Endpoint) -> None:
    used = f"{endpoint} is in use: is another vla-host or vla-run with this robot running?"
    if endpoint.startswith("ipc://") and _listening(endpoint.removeprefix("ipc://")):
        raise Refusal(used)  # ZMQ would take the socket away from whoever has it
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        if error.errno == zmq.EADDRINUSE:
            raise Refusal(used) from error
        raise Refusal(f"cannot bind {endpoint}: {error.strerror}") from error


def _listening(path: str) -> bool:
    """Whether somebody listens at the socket file ``path``; the file of a process that was killed does not count."""
    with unix.socket(unix.AF_UNIX, unix.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except (OSError, ValueError):
            return False
    return True


def _connect(socket: zmq.Socket[bytes], endpoint: Endpoint) -> None:
    try:
        socket.connect(endpoint)
    except zmq.ZMQError as error:
        raise Refusal(f"cannot connect to {endpoint}: {error.strerror}") from error


def send(socket: zmq.Socket[bytes], message: bytes) -> bool:
    """Queue ``message`` without waiting; False if the queue is full or nobody is there."""
    try:
        socket.send(message, _NOBLOCK)
    except zmq.Again:
        return False
    return True


def receive_all(socket: zmq.Socket[bytes], limit: int = 1000) -> list[bytes]:
    """Every message waiting now, oldest first, at most ``limit``. Multipart messages lose all but their last part."""
    messages: list[bytes] = []
    with suppress(zmq.Again):
        # Asking first costs a tenth of the exception that an empty socket raises.
        while len(messages) < limit and socket.get(_EVENTS) & _READABLE:
            part = socket.recv(_NOBLOCK)
            while socket.get(_MORE):
                part = socket.recv(_NOBLOCK)
            messages.append(part)
    return messages


def private_directory(path: Path) -> Path:
    """Create ``path`` readable by this user alone, or check that it is.

    Raises:
        Refusal: it belongs to someone else or others may enter it: they could command the robot.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(f"cannot make the directory {path}: {error.strerror}") from error
    found = path.stat()
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise Refusal(f"{path} must belong to this user with mode 0700: sockets in it command a robot")
    return path
