"""The recorder process: ``python -m vla_runtime.episode.child ORDERS FRAMES REPORTS PARENT_PID LISTENER``.

LISTENER is the file descriptor of a listening socket at which the metrics are to be had, -1 for none.

It outlives Ctrl-C and its terminal, since a stopping robot is worth recording, and its parent, whose last records it
finishes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import zmq

from vla_runtime.core.errors import LogError, MalformedMessage
from vla_runtime.episode.log import UNENCODABLE, EpisodeLog
from vla_runtime.episode.messages import Close, Dropped, Open, Report, Stop, decode_order, encode
from vla_runtime.episode.meter import Meter
from vla_runtime.episode.metrics import encode_metrics
from vla_runtime.episode.passes import Pass
from vla_runtime.episode.schema import METRICS
from vla_runtime.episode.writer import EpisodeWriter
from vla_runtime.wire.frames import FrameMessage, decode_frame
from vla_runtime.wire.sockets import open_socket, receive_all, send

__all__ = ["Desk", "main"]

_IDLE_S = 0.02  # woken by every record, a process would cost more than the writing does
_FLUSH_S = 0.25
_QUIET_MS = 40
_DRAIN_S = 2.0
_peek = msgspec.msgpack.Decoder(FrameMessage).decode


class Desk:
    """Takes orders and frames as bytes, keeps one episode open at most. No bytes make it raise.

    An episode without a path is counted, not written.

    Args:
        before_close: called when an episode is about to be closed, to fetch frames that lag behind.
        show: told the metrics whenever they are new, with the number of records lost.
    """

    def __init__(self, before_close: Callable[[], None], show: Callable[[Meter, int], None] | None = None) -> None:
        self._before_close = before_close
        self._show = show or (lambda meter, dropped: None)
        self._counting = False
        self._writer: EpisodeWriter | None = None
        self._log: EpisodeLog | None = None
        self._meter = Meter()
        self.stopped = False
        self._dropped = 0
        self._malformed = 0
        self._lost = 0  # in the episodes before, and before they came here
        self._lost_before = 0
        self._report = Report(0, "", 0, 0, 0, 0, 0, "")

    def order(self, data: bytes) -> Report | None:
        """Carry out one order; an Open or a Close is answered."""
        try:
            order = decode_order(data)
        except MalformedMessage:
            self._malformed += 1
            return None
        if isinstance(order, Pass):
            self._keep(order)
            return None
        if isinstance(order, Open):
            self.finish("next episode")
            return self._open(order)
        if isinstance(order, Close):
            self._before_close()
            self._lost_before = order.dropped
            self.finish("request")
            return msgspec.structs.replace(self._report, token=order.token)
        if isinstance(order, Dropped):
            self._lost_before = order.count
            return None
        self.stopped = isinstance(order, Stop)
        return None

    def _keep(self, found: Pass) -> None:
        """Log a pass in the order in which the loop saw its records."""
        if not self._counting:
            self._dropped += len(found.states) + len(found.requests) + len(found.chunks) + (found.tick is not None)
            return
        if self._log is not None:
            self._write(self._log, found)
        if self._meter.take(found.states, found.chunks, found.tick):
            self._tell()

    def _write(self, log: EpisodeLog, found: Pass) -> None:
        log.states(found.index, found.states)
        for request in found.requests:
            log.request(found.index, request)
        for chunk, refusal in found.chunks:
            log.chunk(found.index, chunk, refusal)
        if found.tick is not None:
            log.tick(found.tick)

    def _tell(self) -> None:
        """Log the metrics of the last second, and show them."""
        dropped = self._lost + self._lost_before + (0 if self._writer is None else self._writer.dropped)
        payload = self._meter.payload(dropped)
        if self._writer is not None:
            try:
                self._writer.put(METRICS, payload.now_ns, payload.now_ns, encode_metrics(payload))
            except UNENCODABLE:  # a stamp beyond 64 bits
                self._writer.drop()
        self._show(self._meter, dropped)

    def frame(self, data: bytes) -> None:
        """Check and keep one camera frame."""
        try:
            frame = decode_frame(data, _peek(data).camera)
        except (MalformedMessage, msgspec.MsgspecError, UnicodeDecodeError):
            self._malformed += 1
            return
        if self._writer is None:
            self._dropped += 1
        else:
            self._writer.frame(frame, time.monotonic_ns())

    def flush(self) -> None:
        """Put what there is into the file."""
        if self._writer is not None:
            self._writer.flush()

    def finish(self, why: str) -> None:
        """Finish the open episode, if there is one."""
        if not self._counting:
            return
        self._tell()
        self._lost += self._lost_before
        if self._writer is not None:
            self._lost += self._writer.dropped
            self._writer.close(closed_by=why, dropped_before=str(self._lost_before), malformed=str(self._malformed))
        self.report()
        self._counting = False
        self._writer = self._log = None

    def report(self) -> Report:
        """The counts of the open episode, or of the last one and what came since."""
        writer = self._writer
        if writer is None:
            return msgspec.structs.replace(self._report, dropped=self._dropped, malformed=self._malformed)
        self._dropped = writer.dropped
        self._report = Report(
            0, str(writer.path), writer.messages, writer.frames, writer.size, writer.dropped, self._malformed,
            writer.error,
        )  # fmt: skip
        return self._report

    def _open(self, order: Open) -> Report:
        self._dropped = self._malformed = self._lost_before = 0
        self._report = Report(0, order.path, 0, 0, 0, 0, 0, "")
        try:
            if order.path:
                self._writer = EpisodeWriter(Path(order.path), order.metadata)
                self._log = EpisodeLog(self._writer)
            self._counting = True
            self._meter.begin(order.metadata)
            self._show(self._meter, self._lost)
        except LogError as error:
            self._report = Report(0, order.path, 0, 0, 0, 0, 0, str(error))
        return msgspec.structs.replace(self.report(), token=order.token)


class _Loop:
    def __init__(self, orders: str, frames: str, reports: str, parent: int, listener: int) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._orders = open_socket(context, zmq.PULL, bind=orders, queue=4000)
        self._frames = open_socket(context, zmq.PULL, bind=frames, queue=32)
        self._reports = open_socket(context, zmq.PUSH, connect=reports)
        self._context = context
        self._parent = parent
        self._desk = Desk(before_close=self._drain_frames, show=None if listener < 0 else _page(listener))

    def run(self) -> None:
        due = 0.0
        while not self._desk.stopped and os.getppid() == self._parent:
            self._take()
            if time.monotonic() >= due:
                due = time.monotonic() + _FLUSH_S
                self._desk.flush()
                send(self._reports, encode(self._desk.report()))
            time.sleep(_IDLE_S)
        self._drain()
        self._desk.finish("stop" if self._desk.stopped else "control process gone")
        self._context.destroy(linger=0)

    def _take(self) -> bool:
        """Everything waiting on both sockets; False if there was nothing."""
        orders, frames = receive_all(self._orders), receive_all(self._frames, 16)
        for data in frames:
            self._desk.frame(data)
        for data in orders:
            answer = self._desk.order(data)
            if answer is not None:
                send(self._reports, encode(answer))
        return bool(orders or frames)

    def _drain_frames(self) -> None:
        """Frames come on their own socket."""
        end = time.monotonic() + _DRAIN_S
        while self._frames.poll(_QUIET_MS) and time.monotonic() < end:
            for data in receive_all(self._frames, 16):
                self._desk.frame(data)

    def _drain(self) -> None:
        end = time.monotonic() + _DRAIN_S
        quiet = 0
        while quiet < 2 and time.monotonic() < end:
            quiet = 0 if self._take() else quiet + 1
            time.sleep(_IDLE_S)


def _page(listener: int) -> Callable[[Meter, int], None]:
    """Serves the metrics to whoever connects to ``listener``; the answer replaces what is served."""
    from vla_runtime.episode.exposition import exposition
    from vla_runtime.episode.scrape import ScrapePage

    page = ScrapePage(socket.socket(fileno=listener))

    def show(meter: Meter, dropped: int) -> None:
        page.text = exposition(meter, dropped)

    show(Meter(), 0)
    return show


def main() -> int:
    """Record until told to stop or left alone."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # never at the control loop's real-time priority, should it be inherited
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    orders, frames, reports, parent, listener = sys.argv[1:]
    _Loop(orders, frames, reports, int(parent), int(listener)).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
