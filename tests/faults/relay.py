"""Relays between a run and its host: they pass messages on, or whatever a fault makes of them."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable, Iterable
from threading import Event, Thread

import zmq

__all__ = ["CameraRelay", "Fate", "RobotRelay", "dropped", "late", "untouched"]

Fate = Callable[[bytes], Iterable[tuple[float, bytes]]]
"""What becomes of a message: any number of messages, each so many seconds later."""


def untouched(data: bytes) -> Iterable[tuple[float, bytes]]:
    """Passed on at once."""
    return [(0.0, data)]


def dropped(data: bytes) -> Iterable[tuple[float, bytes]]:
    """Lost."""
    return []


def late(seconds: float) -> Fate:
    """Passed on later."""
    return lambda data: [(seconds, data)]


class _Delayed:
    """Messages waiting for their time, in its order."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, bytes]] = []
        self._count = itertools.count()

    def put(self, fates: Iterable[tuple[float, bytes]]) -> None:
        now = time.monotonic()
        for seconds, data in fates:
            heapq.heappush(self._heap, (now + seconds, next(self._count), data))

    def due(self) -> Iterable[bytes]:
        now = time.monotonic()
        while self._heap and self._heap[0][0] <= now:
            yield heapq.heappop(self._heap)[2]


class _Relay:
    def __init__(self) -> None:
        self._over = Event()
        self._thread = Thread(target=self._serve, name=type(self).__name__, daemon=True)

    def close(self) -> None:
        self._over.set()
        self._thread.join(5)

    def _serve(self) -> None:
        raise NotImplementedError


class CameraRelay(_Relay):
    """One camera: subscribes to the host and publishes to the run. ``fate`` may be replaced at any time."""

    def __init__(self, host: str, run: str) -> None:
        super().__init__()
        self.fate: Fate = untouched
        context = zmq.Context.instance()
        self._host, self._run = context.socket(zmq.SUB), context.socket(zmq.PUB)
        self._host.setsockopt(zmq.SUBSCRIBE, b"")
        for socket in (self._host, self._run):
            socket.setsockopt(zmq.LINGER, 0)
        self._run.bind(run)
        self._host.connect(host)
        self._thread.start()

    def _serve(self) -> None:
        delayed = _Delayed()
        while not self._over.is_set():
            if self._host.poll(5):
                delayed.put(self.fate(self._host.recv()))
            for data in delayed.due():
                self._run.send(data)
        self._host.close(0)
        self._run.close(0)


class RobotRelay(_Relay):
    """The robot's link: ``to_host`` and ``to_run`` are the fates of what travels there."""

    def __init__(self, host: str, run: str) -> None:
        super().__init__()
        self.to_host: Fate = untouched
        self.to_run: Fate = untouched
        context = zmq.Context.instance()
        self._host, self._run = context.socket(zmq.DEALER), context.socket(zmq.ROUTER)
        for socket in (self._host, self._run):
            socket.setsockopt(zmq.LINGER, 0)
        self._run.bind(run)
        self._host.connect(host)
        self._thread.start()

    def _serve(self) -> None:
        client = b""
        up, down = _Delayed(), _Delayed()
        poller = zmq.Poller()
        poller.register(self._host, zmq.POLLIN)
        poller.register(self._run, zmq.POLLIN)
        while not self._over.is_set():
            ready = dict(poller.poll(5))
            if self._run in ready:
                client, data = self._run.recv_multipart()
                up.put(self.to_host(data))
            if self._host in ready:
                down.put(self.to_run(self._host.recv()))
            for data in up.due():
                self._host.send(data)
            for data in down.due():
                if client:
                    self._run.send_multipart([client, data])
        self._host.close(0)
        self._run.close(0)
