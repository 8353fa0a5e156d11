"""The planner process, seen from the control process: requests out, chunks in, and nothing the child does can hang us.

A child that dies or falls silent is killed and started anew, at once the first time and then after a growing pause.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import msgspec
import zmq

from vla_runtime.core.errors import MalformedMessage, PolicyFileError, Refusal
from vla_runtime.core.spec import PolicySpec
from vla_runtime.core.types import ActionChunk, PlannerStatus, PlanRequest
from vla_runtime.plugins.planners.settings import PlannerSettings
from vla_runtime.wire import plan as wire
from vla_runtime.wire.offset import Offset
from vla_runtime.wire.sockets import open_socket, receive_all, send

__all__ = ["ProcessPlanner"]

_FIRST_BACKOFF_NS = 250_000_000
_LONGEST_BACKOFF_NS = 5_000_000_000
_HEALTHY_NS = 10_000_000_000
_START_NS = 20_000_000_000
_LOOK_NS = 2_000_000  # a look costs a system call


class ProcessPlanner:
    """Starts a planner child and keeps one running.

    Args:
        settings: what the child must know; ``endpoint`` and ``parent_pid`` are filled in here.
        directory: private directory for the sockets.
        hang_ns: a child silent for this long is taken for hung. Longer than the slowest inference.
        heartbeat_ns: one silent for this long is down until it is heard again; None for ``hang_ns``.
        cores: where the child runs; none: where we run.
    """

    def __init__(
        self,
        settings: PlannerSettings,
        directory: Path,
        hang_ns: int,
        heartbeat_ns: int | None = None,
        cores: Collection[int] = (),
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._hang_ns = hang_ns
        self._heartbeat_ns = hang_ns if heartbeat_ns is None else heartbeat_ns
        self._cores = cores
        self._early: list[ActionChunk] = []
        self._context = zmq.Context.instance()
        self._generation = 0
        self._failure = ""
        self._status = PlannerStatus(False)
        self._look_ns = 0
        self._backoff_ns = 0
        self._start_at_ns: int | None = None
        self._ready_ns: int | None = None
        self.malformed = 0
        self._child_malformed = 0
        self._camera_malformed = 0
        self._child_counts: dict[str, dict[str, int]] = {}
        self._counts: dict[str, Counter[str]] = {}
        self.clocks: dict[str, Offset] = {}
        """By camera, the clock that stamps its frames, where it is another machine's."""
        self.no_plan: str = ""
        self.policy_hash = ""
        self.rtc = "off"
        """How the policy keeps to what is committed."""
        self._contract = b""
        self._refusal = ""
        self._dead: list[subprocess.Popen[bytes]] = []
        self._start(time.monotonic_ns())

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def restarts(self) -> int:
        return self._generation - 1

    @property
    def camera_malformed(self) -> int:
        """Messages the children dropped because they were no frame of their camera."""
        return self._camera_malformed + self._child_malformed

    @property
    def camera_counts(self) -> dict[str, dict[str, int]]:
        """By camera and reason: frames that the children dropped, and requests that a camera could not serve."""
        total = {name: Counter(counts) for name, counts in self._counts.items()}
        for name, counts in self._child_counts.items():
            total.setdefault(name, Counter()).update(counts)
        return {name: dict(counts) for name, counts in sorted(total.items())}

    def wait_ready(self, timeout_s: float) -> PolicySpec:
        """Wait until the first child has loaded its policy.

        Returns its contract and sets ``policy_hash``.

        Raises:
            PolicyFileError: the policy cannot be used, or the child ended or did not get ready.
        """
        deadline = time.monotonic() + timeout_s
        while self._ready_ns is None:
            if self._process.poll() is not None and not self._socket.poll(100):
                raise PolicyFileError(f"the planner process {_ending(self._process.returncode)} before it was ready")
            if time.monotonic() > deadline:
                raise PolicyFileError(f"the planner process did not load the policy within {timeout_s:g} s")
            self._socket.poll(20)
            self._receive(time.monotonic_ns())
            if self._refusal:
                raise PolicyFileError(self._refusal)
        return PolicySpec.from_json(self._contract)

    def request(self, request: PlanRequest) -> None:
        if self._ready_ns is not None:
            send(self._socket, wire.request_message(request))

    def poll(self, now_ns: int) -> list[ActionChunk]:
        chunks = [*self._early, *self._receive(now_ns)]  # first: what it has said counts as a sign of life
        self._early.clear()
        self._watch(now_ns)
        return chunks

    def status(self, now_ns: int) -> PlannerStatus:
        if self._ready_ns is not None and now_ns - self._heard_ns > self._heartbeat_ns:
            self._early += self._receive(now_ns)  # it may be us who did not listen
            if self._ready_ns is not None and now_ns - self._heard_ns > self._heartbeat_ns:
                silence = f"the planner has been silent for more than {self._heartbeat_ns / 1e6:.0f} ms"
                return PlannerStatus(False, self.restarts, silence)
        up, failure, status = self._ready_ns is not None, self._failure or self.no_plan, self._status
        if up is not status.up or failure != status.failure or self.restarts != status.restarts:
            self._status = PlannerStatus(up, self.restarts, failure)
        return self._status

    def close(self) -> None:
        """End the child and release the sockets; twice does no harm."""
        self._process.kill()
        for process in (*self._dead, self._process):
            with suppress(subprocess.TimeoutExpired):
                process.wait(5.0)
        self._socket.close(0)

    def _start(self, now_ns: int) -> None:
        path = self._directory / f"planner-{self._generation + 1}"
        settings = msgspec.structs.replace(self._settings, endpoint=f"ipc://{path}", parent_pid=os.getpid())
        command = [sys.executable, "-m", "vla_runtime.plugins.planners.child", msgspec.json.encode(settings).decode()]
        socket = open_socket(self._context, zmq.DEALER, bind=f"ipc://{path}", queue=64)
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        except BaseException:
            socket.close(0)
            raise
        self._socket = socket
        self._generation += 1
        self._start_at_ns = None
        self._ready_ns = None
        self._heard_ns = now_ns
        if self._cores:
            with suppress(OSError):  # it has ended already, or a control group forbids it
                os.sched_setaffinity(self._process.pid, self._cores)

    def _watch(self, now_ns: int) -> None:
        """See a dead or hung child, and start the next one when its time has come."""
        if self._start_at_ns is not None:
            if now_ns >= self._start_at_ns:
                self._start_again(now_ns)
            return
        if now_ns < self._look_ns:
            return
        self._look_ns = now_ns + _LOOK_NS
        self._dead = [process for process in self._dead if process.poll() is None]
        code = self._process.poll()
        silent_ns = now_ns - self._heard_ns
        if code is not None:
            self._lost(now_ns, _ending(code))
        elif silent_ns > (self._hang_ns if self._ready_ns is not None else _START_NS):
            self._lost(now_ns, f"was silent for {silent_ns / 1e9:.1f} s")

    def _start_again(self, now_ns: int) -> None:
        """A machine that cannot start a process now (no memory, no descriptor) may do so later; meanwhile we hold."""
        try:
            self._start(now_ns)
        except (OSError, zmq.ZMQError, Refusal) as error:
            self._failure = f"the planner process cannot be started: {error}"
            self._back_off(now_ns)

    def _back_off(self, now_ns: int) -> None:
        self._backoff_ns = min(max(2 * self._backoff_ns, _FIRST_BACKOFF_NS), _LONGEST_BACKOFF_NS)
        self._start_at_ns = now_ns + self._backoff_ns

    def _lost(self, now_ns: int, failure: str) -> None:
        self._failure, self.no_plan = f"the planner process {failure}", ""
        healthy = self._ready_ns is not None and now_ns - self._ready_ns > _HEALTHY_NS
        if self._generation == 1 or healthy:
            self._backoff_ns, self._start_at_ns = 0, now_ns
        else:
            self._back_off(now_ns)
        self._ready_ns = None
        self._camera_malformed += self._child_malformed
        self._child_malformed = 0
        for name, counts in self._child_counts.items():
            self._counts.setdefault(name, Counter()).update(counts)
        self._child_counts = {}
        self._early.clear()
        self._process.kill()
        self._dead.append(self._process)
        self._socket.close(0)

    def _receive(self, now_ns: int) -> list[ActionChunk]:
        if self._socket.closed:
            return []
        chunks = []
        for data in receive_all(self._socket):
            try:
                message = wire.decode_from_planner(data)
            except MalformedMessage:
                self.malformed += 1
                continue
            self._heard_ns = now_ns
            match message:
                case wire.Chunk():
                    self.no_plan = ""
                    chunks.append(wire.chunk_from(message))
                case wire.NoPlan():
                    self.no_plan = message.reason
                case wire.Ready():
                    self._take_ready(message, now_ns)
                case wire.Failed():
                    self._refusal = message.reason
                case wire.Alive():
                    self._child_malformed, self._child_counts = message.malformed, message.cameras
                    self.clocks = {name: Offset(*found) for name, found in message.clocks.items()}
        return chunks

    def _take_ready(self, message: wire.Ready, now_ns: int) -> None:
        """A child that was restarted must have loaded the policy that the run began with."""
        if self.policy_hash not in ("", message.policy_hash):
            self._lost(now_ns, f"found another policy ({message.policy_hash}) in place of {self.policy_hash}")
            return
        self._ready_ns = now_ns
        self._failure = ""
        self.policy_hash, self._contract, self.rtc = message.policy_hash, message.contract, message.rtc


def _ending(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
