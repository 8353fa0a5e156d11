"""A robot behind a ``vla-host``: states come and commands go over one socket, and neither ever blocks the loop."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated, Literal

import msgspec
import numpy as np
import zmq

from vla_runtime.core.errors import DeviceLost, MalformedMessage, Refusal
from vla_runtime.core.protocols import StopCategory
from vla_runtime.core.types import F64, RobotState, TaskStatus
from vla_runtime.plugins.robots.hostclock import HostClock
from vla_runtime.wire import robot as wire
from vla_runtime.wire.offset import Offset
from vla_runtime.wire.sockets import open_socket, receive_all, send

__all__ = ["HostRobot"]

_QUESTIONS = 10
_SILENT_NS = 20_000_000
"""Without a state for this long it is asked whether the host still lives: a system call that no tick should pay."""
_LEASE_S = 2.5
"""A little longer than a host keeps a silent client's lead."""


class HostRobot:
    """The client of a robot host. ``malformed`` counts messages dropped, ``unsent`` commands that found no queue.

    Args:
        joints, extras: what the config says the robot has; a host that differs is refused.
        period_ns: the control period; the host's dead man follows from it.
        alive: polled while waiting; returns why the host can no longer answer, "" while it can.
    """

    class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """How long to wait for the host to answer, and whether its states carry our clock or that of its machine."""

        timeout_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 30.0
        clock: Literal["local", "remote"] = "local"

    def __init__(
        self,
        endpoint: str,
        joints: tuple[str, ...],
        extras: tuple[str, ...],
        period_ns: int,
        options: Options | None = None,
        alive: Callable[[], str] = lambda: "",
    ) -> None:
        self._endpoint, self._joints, self._extras = endpoint, joints, extras
        self._period_ns = period_ns
        options = options or self.Options()
        self._timeout_s = options.timeout_s
        self._clock = HostClock(options.clock == "remote")
        self._alive = alive
        self._socket = open_socket(zmq.Context.instance(), zmq.DEALER, connect=endpoint)
        self._episode = -1
        self._command_seq = 0
        self._leads = False
        self._waiting: list[RobotState] = []
        self._silent_since_ns = 0
        self.dead_man_ns = 0
        self.malformed = 0
        self.unsent = 0

    def connect(self) -> wire.Welcome:
        """Ask to lead and return what the host is.

        Raises:
            DeviceLost: nobody answered in time.
            Refusal: another client leads, the host is another robot, or its clock is not the one that the options say.
        """
        hello = wire.encode(wire.Hello(wire.PROTOCOL, os.getpid(), self._period_ns))
        message = self._lead(hello)
        for what, ours, theirs in (
            ("joints", self._joints, message.joints),
            ("extras", self._extras, message.extras),
        ):
            if ours != theirs:
                raise Refusal(f"the config's {what} are {list(ours)}, the robot host's are {list(theirs)}")
        self._meet_clock()
        self.dead_man_ns = message.dead_man_ns
        self._leads = True
        return message

    def clock_offset(self, now_ns: int) -> Offset | None:
        """How far the host's clock is from ours; None if it is ours."""
        return self._clock.offset(now_ns)

    def reset(self, episode: int, seed: int, instruction: str) -> None:
        if not self._leads:
            self.connect()
        self._episode = episode
        self._waiting.clear()
        reset = wire.encode(wire.Reset(episode, seed, instruction))
        state = self._ask(
            reset,
            f"begin episode {episode}",
            lambda message: isinstance(message, wire.State) and message.episode == episode and not message.stopped,
        )
        assert isinstance(state, wire.State)
        self._silent_since_ns = time.monotonic_ns()
        self._waiting.append(self._state(state, self._silent_since_ns))

    def read(self, now_ns: int) -> list[RobotState]:
        states, self._waiting = self._waiting, []
        for message in self._messages():
            if isinstance(message, wire.Refused):
                raise DeviceLost(f"the robot host no longer takes our commands: {message.reason}")
            if isinstance(message, wire.State) and message.episode == self._episode:
                if message.stopped:
                    raise DeviceLost(f"the robot host stopped the robot: {message.stopped}")
                states.append(self._state(message, now_ns))
        if self._clock.due(now_ns):
            send(self._socket, wire.encode(wire.Ping(now_ns)))
        if states:
            self._silent_since_ns = now_ns
        elif now_ns - self._silent_since_ns > _SILENT_NS and (reason := self._alive()):
            raise DeviceLost(f"the robot host is gone: {reason}")
        return states

    def look(self, now_ns: int) -> list[RobotState]:
        """As ``read``, after ``connect`` and without an episode: what a robot measures that nobody commands.

        Raises:
            DeviceLost: the host refuses.
        """
        states = []
        for message in self._messages():
            if isinstance(message, wire.Refused):
                raise DeviceLost(f"the robot host does not take our questions: {message.reason}")
            if isinstance(message, wire.State):
                states.append(self._state(message, now_ns))
        return states

    def write(self, command: F64, now_ns: int) -> None:
        self._command_seq += 1
        sent_ns = self._clock.theirs(now_ns) if self._clock.remote else now_ns
        message = wire.Command(self._episode, self._command_seq, sent_ns, tuple(command.tolist()))
        if not send(self._socket, wire.encode(message)):
            self.unsent += 1

    def stop(self, category: StopCategory) -> None:
        if not self._socket.closed:
            send(self._socket, wire.encode(wire.StopRequest(int(category))))

    def close(self) -> None:
        """Say goodbye, and give the message a moment to leave: LINGER is 0."""
        if not self._socket.closed:
            send(self._socket, wire.encode(wire.Goodbye()))
            self._socket.close(100)

    def _lead(self, hello: bytes) -> wire.Welcome:
        """Ask to lead for as long as the lease of a client that has just died may last."""
        end = time.monotonic() + _LEASE_S
        while True:
            try:
                message = self._ask(hello, "answer", lambda message: isinstance(message, wire.Welcome))
            except Refusal:
                if time.monotonic() >= end:
                    raise
                time.sleep(0.1)
                continue
            assert isinstance(message, wire.Welcome)
            return message

    def _messages(self) -> Iterator[wire.FromHost]:
        """What has come and is of this robot; anything else is counted and dropped."""
        for data in receive_all(self._socket):
            try:
                message = wire.decode_from_host(data)
            except MalformedMessage:
                self.malformed += 1
                continue
            if isinstance(message, wire.State) and not self._fits(message):
                self.malformed += 1
                continue
            if isinstance(message, wire.Pong):
                self._clock.heard(message.ping_ns, message.now_ns, time.monotonic_ns())
            yield message

    def _state(self, message: wire.State, now_ns: int) -> RobotState:
        state = _state(message)
        return replace(state, stamp_ns=self._clock.ours(state.stamp_ns, now_ns)) if self._clock.remote else state

    def _meet_clock(self) -> None:
        """Learn, by a few questions, how far the host's clock is from ours; one is enough to see whether it is ours.

        Raises:
            Refusal: it should be ours, and is not.
            DeviceLost: no answer.
        """
        for _ in range(_QUESTIONS if self._clock.remote else 1):
            question = wire.encode(wire.Ping(time.monotonic_ns()))
            pong = self._ask(question, "say its time", lambda message: isinstance(message, wire.Pong))
            assert isinstance(pong, wire.Pong)
            self._clock.check(pong.ping_ns, pong.now_ns, time.monotonic_ns())

    def _fits(self, state: wire.State) -> bool:
        """Whether it has as many values as this robot."""
        count, velocity = len(self._joints), state.velocity
        return len(state.position) == count == len(state.position if velocity is None else velocity) and len(
            state.extras
        ) == len(self._extras)

    def _ask(self, question: bytes, what: str, wanted: Callable[[wire.FromHost], bool]) -> wire.FromHost:
        """Repeat ``question`` until the ``wanted`` answer comes.

        Raises:
            Refusal: the host refuses.
            DeviceLost: it is gone, or did not answer in time.
        """
        deadline = time.monotonic() + self._timeout_s
        ask_at = 0.0
        while (now := time.monotonic()) < deadline:
            if now >= ask_at:
                send(self._socket, question)
                ask_at = now + 0.5
            if reason := self._alive():
                raise DeviceLost(f"the robot host is gone: {reason}")
            self._socket.poll(20)
            for message in self._messages():
                if isinstance(message, wire.Refused):
                    raise Refusal(f"the robot host at {self._endpoint} refused to {what}: {message.reason}")
                if wanted(message):
                    return message
        raise DeviceLost(f"the robot host at {self._endpoint} did not {what} within {self._timeout_s:g} s")


def _state(message: wire.State) -> RobotState:
    task, count = message.task, len(message.position)
    if message.velocity is None:
        values = np.array(message.position + message.extras)
        velocity, extras = None, values[count:]
    else:  # one array with three views is made in half the time of three
        values = np.array(message.position + message.velocity + message.extras)
        velocity, extras = values[count : 2 * count], values[2 * count :]
    return RobotState(
        position=values[:count],
        velocity=velocity,
        stamp_ns=message.stamp_ns,
        seq=message.seq,
        extras=extras,
        task=None if task is None else TaskStatus(message.episode, task.step, task.done, task.success),
        command_age_ns=message.command_age_ns,
    )
