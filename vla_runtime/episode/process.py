"""The recorder process, seen from the control process: nothing here blocks the loop or raises into it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import msgspec
import zmq

from vla_runtime.core.errors import LogError, MalformedMessage
from vla_runtime.episode.messages import Close, Dropped, Open, Report, Stop, decode_report, encode
from vla_runtime.wire.sockets import bulk_context, check_endpoint, open_socket, private_directory, receive_all, send
from vla_runtime.wire.tap import push_socket

__all__ = ["RecorderProcess", "RecorderStatus"]

_QUEUE = 4000
_POLL_S = 0.005
_LISTEN_EVERY = 256
"""Passes after which the recorder's reports are taken in: unread, a thousand of them would wait, with 6 MB."""


@dataclass(frozen=True, slots=True)
class RecorderStatus:
    """What the recorder last said. ``dropped`` and ``malformed`` count since the episode was opened.

    ``size`` is in bytes. ``error`` is "" while all is well; a finished episode has its summary only if it is "".
    """

    alive: bool
    path: str
    messages: int
    frames: int
    size: int
    dropped: int
    malformed: int
    error: str


class RecorderProcess:
    """Starts the recorder process and is the sink of ``PassLog``.

    Its sockets lie in ``directory``, which is made with mode 0700 if it is not there. It runs on ``cores``, if any are
    given, else where we run, and shows the metrics at the listening socket ``listener``, if there is one.

    Raises:
        Refusal: the directory is open to other users, or its path is too long for a socket.
    """

    def __init__(self, directory: Path, cores: Collection[int] = (), listener: socket.socket | None = None) -> None:
        private_directory(directory)
        self._cores, self._listener = cores, listener
        self._files = [directory / f"log-{os.getpid()}-{name}" for name in ("orders", "frames", "reports")]
        self._endpoints = [check_endpoint(f"ipc://{file}") for file in self._files]
        self.frame_endpoint = self._endpoints[1]
        """Where a ``FrameTap`` sends camera frames."""
        self._context = bulk_context()
        self._reports = open_socket(self._context, zmq.PULL, bind=self._endpoints[2])
        self._report = Report(0, "", 0, 0, 0, 0, 0, "")
        self._dropped = self._told = self._passes = 0
        self._token = 1  # 0 is a regular report
        self._start()

    @property
    def pid(self) -> int:
        """The recorder's process id."""
        return self._process.pid

    def open(self, path: Path | None, metadata: dict[str, str], timeout_s: float = 5.0) -> None:
        """Begin an episode, in a new process if the last one died. Waits; call it while nothing moves.

        Without a ``path`` nothing is written, and the episode is counted for the metrics alone.

        Raises:
            LogError: the file exists or cannot be created, or the recorder does not answer.
        """
        if self._process.poll() is not None:
            self._orders.close(0)
            self._start()
        self._dropped = self._told = 0
        self._token += 1
        report = self._ask(encode(Open(self._token, "" if path is None else str(path.absolute()), metadata)), timeout_s)
        if report is None:
            raise LogError(f"{path or 'metrics'}: {self._silence(timeout_s)}")
        if report.error:
            raise LogError(report.error)

    def put(self, message: bytes, records: int) -> None:
        """Queue one packed pass. Never blocks, never raises: the records of one that finds no queue are dropped."""
        self._passes += 1
        if self._passes % _LISTEN_EVERY == 0:
            self._listen()
        try:
            if not send(self._orders, message):
                self._dropped += records
            elif self._dropped != self._told and send(self._orders, encode(Dropped(self._dropped))):
                self._told = self._dropped
        except zmq.ZMQError:  # closed
            self._dropped += records

    def drop(self, records: int = 1) -> None:
        """Count records that could not even be packed."""
        self._dropped += records

    def close_episode(self, timeout_s: float = 5.0) -> RecorderStatus:
        """Wait until the episode's file is finished, and say what is in it. Never raises; see ``error``."""
        self._token += 1
        report = self._ask(encode(Close(self._token, self._dropped)), timeout_s)
        if report is None and not self._report.error:
            problem = f"the file may lack its end: {self._silence(timeout_s)}"
            self._report = msgspec.structs.replace(self._report, error=problem)
        return self.status()

    def status(self) -> RecorderStatus:
        """The latest known, without waiting."""
        self._listen()
        alive = self._process.poll() is None
        known = self._report
        error = known.error if alive or known.error else self._silence(0.0)
        return RecorderStatus(
            alive, known.path, known.messages, known.frames, known.size, known.dropped + self._dropped,
            known.malformed, error,
        )  # fmt: skip

    def close(self, timeout_s: float = 5.0) -> None:
        """Finish an open episode, end the process and release the sockets; twice does no harm."""
        if self._context.closed:
            return
        self._ask(encode(Stop()), timeout_s)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._context.destroy(linger=0)
        for file in self._files:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)

    def _start(self) -> None:
        self._orders = push_socket(self._context, self._endpoints[0], _QUEUE)
        listener = -1 if self._listener is None else self._listener.fileno()
        command = [sys.executable, "-m", "vla_runtime.episode.child", *self._endpoints, str(os.getpid()), str(listener)]
        kept = [] if self._listener is None else [listener]
        # It computes nothing: a thread pool would only cost memory.
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, pass_fds=kept)
        if self._cores:
            with contextlib.suppress(OSError):  # it has ended already, or a control group forbids it
                os.sched_setaffinity(self._process.pid, self._cores)

    def _ask(self, order: bytes, timeout_s: float) -> Report | None:
        """Send an order for sure and wait for its answer; None if the recorder died or stayed silent."""
        end = time.monotonic() + timeout_s
        sent = False
        while time.monotonic() < end:
            if not sent:
                with contextlib.suppress(zmq.ZMQError):
                    sent = send(self._orders, order)
            answer = self._listen()
            if answer is not None:
                return answer
            if self._process.poll() is not None:
                return self._listen()
            time.sleep(_POLL_S)
        return None

    def _listen(self) -> Report | None:
        """Take in all reports; the answer to the last order, if it came."""
        answer = None
        if self._reports.closed:
            return None
        for data in receive_all(self._reports):
            try:
                report = decode_report(data)
            except MalformedMessage:
                continue
            self._report = report
            if report.token == self._token:
                answer = report
        return answer

    def _silence(self, timeout_s: float) -> str:
        code = self._process.poll()
        if code is None:
            return f"the recorder process did not answer within {timeout_s} s"
        return f"the recorder process ended with exit code {code}"
