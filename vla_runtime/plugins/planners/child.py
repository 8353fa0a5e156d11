"""The planner process: cameras, decoding and the policy, beside the control process and never inside it.

It answers the newest request only, says that it is alive while it is, and goes when its parent is gone.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import zmq

from vla_runtime.core.errors import MalformedMessage, VlaError
from vla_runtime.core.protocols import Camera, Policy
from vla_runtime.core.types import Observation, PlanRequest
from vla_runtime.plugins.planners.eyes import follow_clocks, open_camera
from vla_runtime.plugins.planners.fresh import CameraLimits
from vla_runtime.plugins.planners.golden import check_golden
from vla_runtime.plugins.planners.observe import Observer, StateReader, plan
from vla_runtime.plugins.planners.settings import PlannerSettings
from vla_runtime.plugins.registry import open_policy
from vla_runtime.wire import plan as wire
from vla_runtime.wire.frames import encode_frame
from vla_runtime.wire.sockets import open_socket, receive_all, send
from vla_runtime.wire.tap import FrameTap

__all__ = ["main"]

_HEARTBEAT_NS = 50_000_000
_POLL_MS = 20
_PR_SET_PDEATHSIG = 1


class PlannerChild:
    """The loop: drain the cameras, take the newest request, answer it, beat."""

    def __init__(self, settings: PlannerSettings, policy: Policy) -> None:
        self._policy = policy
        self._parent_pid = settings.parent_pid
        self._socket = open_socket(zmq.Context.instance(), zmq.DEALER, connect=settings.endpoint)
        wanted = {camera.name for camera in policy.spec.cameras}
        # A camera that the policy does not look through is for the log alone.
        self._cameras: dict[str, Camera] = {
            camera.name: open_camera(camera)
            for camera in settings.cameras
            if camera.name in wanted or settings.frame_endpoint
        }
        self._clocks = follow_clocks(settings.cameras, self._cameras)
        self._onlookers = [camera for name, camera in self._cameras.items() if name not in wanted]
        states = StateReader([s.name for s in policy.spec.state], settings.joints, settings.extras)
        limits = {camera.name: CameraLimits(camera.max_age_ns, camera.frozen_ns) for camera in settings.cameras}
        self._observer = Observer(
            policy.spec, self._cameras, states, settings.frame_timeout_ns, limits, settings.max_skew_ns
        )
        self._tap = FrameTap(settings.frame_endpoint) if settings.frame_endpoint else None
        self._tapped: dict[str, int] = {}
        self._episode = -1
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._draining = [camera for camera in self._cameras.values() if hasattr(camera, "drain")]
        for camera in self._draining:
            self._poller.register(camera.socket, zmq.POLLIN)  # type: ignore[attr-defined]
        self._malformed = 0
        self._chunks = 0

    def run(self) -> None:
        """Until the parent is gone."""
        kept = getattr(self._policy, "rtc", "off")
        send(self._socket, wire.encode(wire.Ready(self._policy.hash, self._policy.spec.to_json(), kept)))
        beat_ns = 0
        while os.getppid() == self._parent_pid:
            now_ns = time.monotonic_ns()
            if now_ns >= beat_ns:
                send(self._socket, wire.encode(self._alive(now_ns)))
                beat_ns = now_ns + _HEARTBEAT_NS
            self._poller.poll(_POLL_MS)
            for camera in self._draining:
                camera.drain()  # type: ignore[attr-defined]
            request = self._newest_request()
            if request is not None:
                self._answer(request)

    def _alive(self, now_ns: int) -> wire.Alive:
        malformed = self._malformed + sum(getattr(camera, "malformed", 0) for camera in self._cameras.values())
        counts = {name: Counter(getattr(camera, "counts", {})) for name, camera in self._cameras.items()}
        for name, refused in self._observer.refused.items():
            counts.setdefault(name, Counter()).update(refused)
        offsets = {name: clock.at(now_ns) for name, clock in self._clocks.items()}
        return wire.Alive(
            now_ns,
            malformed,
            {name: dict(found) for name, found in counts.items() if found},
            {name: (offset.ns, offset.error_ns) for name, offset in offsets.items() if offset is not None},
        )

    def _newest_request(self) -> PlanRequest | None:
        newest = None
        for data in receive_all(self._socket):
            try:
                newest = wire.request_from(wire.decode_ask(data))
            except MalformedMessage:
                self._malformed += 1
        return newest

    def _answer(self, request: PlanRequest) -> None:
        try:
            observation = self._observer.observe(request, time.monotonic_ns())
            chunk = plan(self._policy, observation, request, self._chunks)
        except VlaError as error:
            send(self._socket, wire.encode(wire.NoPlan(request.seq, str(error))))
            return
        self._chunks += 1
        send(self._socket, wire.chunk_message(replace(chunk, sent_ns=time.monotonic_ns())))
        self._log_frames(request, observation)

    def _log_frames(self, request: PlanRequest, observation: Observation) -> None:
        """Each frame once an episode: those looked at, and the newest of the other cameras."""
        if self._tap is None:
            return
        if request.episode != self._episode:
            self._episode = request.episode
            self._tapped.clear()
        others = {camera.name: frame for camera in self._onlookers if (frame := camera.latest()) is not None}
        for name, frame in {**others, **observation.images}.items():
            if self._tapped.get(name) != frame.seq:
                self._tapped[name] = frame.seq
                self._tap.frame(frame.wire or encode_frame(name, frame, frame.capture_ns, "raw"))


def _die_with_parent(parent_pid: int) -> None:
    """A planner that hangs in inference must not outlive the run: the kernel ends it when the parent dies."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        sys.exit(0)


def _first_to_go() -> None:
    """Where memory runs out, the kernel ends this process, which is replaced, and not the one that holds the robot."""
    with suppress(OSError):  # no such file in some containers
        Path("/proc/self/oom_score_adj").write_text("1000")


def main(argv: list[str]) -> int:
    settings = msgspec.json.decode(argv[0], type=PlannerSettings)
    for ignored in (signal.SIGINT, signal.SIGHUP):  # Ctrl-C, and the end of the terminal, are the parent's to handle
        signal.signal(ignored, signal.SIG_IGN)
    _die_with_parent(settings.parent_pid)
    _first_to_go()
    try:
        policy = open_policy(settings.policy_type, Path(settings.policy_file), settings.threads, settings.sampling)
        check_golden(policy)
        child = PlannerChild(settings, policy)
    except VlaError as error:
        socket = open_socket(zmq.Context.instance(), zmq.DEALER, connect=settings.endpoint)
        send(socket, wire.encode(wire.Failed(str(error))))
        socket.close(1000)  # the parent waits for these words
        return error.exit_code
    child.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
