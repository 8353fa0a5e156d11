"""Asking another machine what time it is: who stamps frames or states there answers, who reads them here asks."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread

import msgspec
import zmq

from vla_runtime.core.errors import MalformedMessage
from vla_runtime.wire.decode import decoder
from vla_runtime.wire.offset import ClockOffset, Offset
from vla_runtime.wire.sockets import Endpoint, open_socket, receive_all, send

__all__ = ["ClockClient", "ClockService", "Ping", "Pong", "encode"]

_FIRST, _FIRST_S, _LATER_S = 20, 0.01, 0.5
_POLL_MS = 100


class Ping(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Asks for the time; ``sent_ns`` is the asker's clock and comes back."""

    sent_ns: int


class Pong(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Answers a Ping with the clock that stamps frames and states here."""

    ping_ns: int
    now_ns: int


encode = msgspec.msgpack.Encoder().encode
_ping: Callable[[bytes], Ping] = decoder(Ping, "a question for the time")
_pong: Callable[[bytes], Pong] = decoder(Pong, "an answer with the time")


class ClockService:
    """Answers at ``endpoint``, in a thread, until it is closed. For a camera's machine without a vla-host.

    Args:
        now: the clock that stamps the frames.

    Raises:
        Refusal: the endpoint is in use.
    """

    def __init__(self, endpoint: Endpoint, now: Callable[[], int] = time.monotonic_ns) -> None:
        self._now, self._over = now, Event()
        self._socket = open_socket(zmq.Context.instance(), zmq.ROUTER, bind=endpoint)
        self._thread = Thread(target=self._answer, name="clock service", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _answer(self) -> None:
        while not self._over.is_set():
            if not self._socket.poll(_POLL_MS):
                continue
            sender, *parts = self._socket.recv_multipart()
            with suppress(MalformedMessage, zmq.ZMQError):
                if len(parts) == 1:
                    answer = Pong(_ping(parts[0]).sent_ns, self._now())
                    self._socket.send_multipart([sender, encode(answer)], zmq.NOBLOCK)
        self._socket.close(0)


class ClockClient:
    """Keeps asking at ``endpoint``, in a thread: often at first, then twice a second."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._offset, self._over = ClockOffset(), Event()
        self._socket = open_socket(zmq.Context.instance(), zmq.DEALER, connect=endpoint, queue=16)
        self._thread = Thread(target=self._ask, name="clock", daemon=True)
        self._thread.start()

    @property
    def steps(self) -> int:
        """How often that clock jumped."""
        return self._offset.steps

    def at(self, now_ns: int) -> Offset | None:
        """Their clock minus ours at ``now_ns``; None while nobody has answered."""
        return self._offset.at(now_ns)

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        answers, next_s = 0, 0.0
        while not self._over.is_set():
            if time.monotonic() >= next_s:
                next_s = time.monotonic() + (_FIRST_S if answers < _FIRST else _LATER_S)
                send(self._socket, encode(Ping(time.monotonic_ns())))
            self._socket.poll(max(1, min(_POLL_MS, round(1e3 * (next_s - time.monotonic())))))
            for data in receive_all(self._socket):
                received_ns = time.monotonic_ns()
                with suppress(MalformedMessage):
                    pong = _pong(data)
                    self._offset.exchange(pong.ping_ns, pong.now_ns, received_ns)
                    answers += 1
        self._socket.close(0)
