"""The host's loop, in one thread that nothing else may delay.

Take commands and watch over their age, step the device on absolute deadlines, publish the state, capture the cameras.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import zmq

from vla_runtime.app.build import dead_man_ns, joint_limits, robot_endpoint
from vla_runtime.app.config import RobotConfig
from vla_runtime.app.host.braking import Braking
from vla_runtime.app.host.cameras import HostCameras
from vla_runtime.app.host.report import HostReport
from vla_runtime.app.host.yielding import yielding
from vla_runtime.app.realtime.enter import Granted
from vla_runtime.control.rate import Rate
from vla_runtime.core.errors import MalformedMessage, Refusal
from vla_runtime.core.protocols import Device, StopCategory
from vla_runtime.core.types import F64
from vla_runtime.wire import robot as wire
from vla_runtime.wire.sockets import open_socket

__all__ = ["RobotHost"]

_LONGEST_BRAKING_NS = 1_000_000_000
_LEASE_NS = 2_000_000_000
_LONGEST_PERIOD_NS = 1_000_000_000  # a longer one would put the dead man to sleep
_SEEDS = 2**32
_MAX_MESSAGES = 200
_NEVER_NS = 1 << 62


class RobotHost:
    """Serves ``device`` to one client at a time.

    Args:
        ipc: private directory for the sockets that the config leaves to us.
        say: told, in a line, what happens to the robot; also from the cameras' threads.
    """

    def __init__(self, config: RobotConfig, device: Device, ipc: Path, say: Callable[[str], None]) -> None:
        self.report = HostReport()
        self._config, self._device, self._say = config, device, say
        self._socket = open_socket(zmq.Context.instance(), zmq.ROUTER, bind=robot_endpoint(config, ipc))
        self._limits = joint_limits(config)
        self._braking = Braking(self._limits, device.period_ns)
        self._category = StopCategory.CONTROLLED
        self._period_ns = 0
        try:
            self._cameras = HostCameras(device, config, ipc, say)
        except BaseException:
            self._socket.close(0)
            raise
        self.report.cameras = self._cameras.reports
        self._client: bytes | None = None
        self._heard_ns = 0
        self._dead_man_ns = 0
        self._episode = -1
        self._counted = True
        self._stopped = "no episode has begun"
        self._command: F64 | None = None
        self._command_ns = 0
        self._command_sent_ns = 0
        self._age_ns: int | None = None
        self._state_seq = 0

    def serve(self, over: Callable[[], bool], enter: Callable[[], Granted] = Granted) -> None:
        """Until ``over()``; the robot is stopped before this returns.

        ``enter`` makes this thread real-time. The cameras' threads are there by then.
        """
        with yielding():
            self._serve(over, enter)

    def _serve(self, over: Callable[[], bool], enter: Callable[[], Granted]) -> None:
        self._cameras.warm_up()
        self.report.realtime = enter()
        rate = Rate(self._device.period_ns, time.monotonic_ns())
        try:
            while not over():
                self._wait_until(rate.deadline_ns)
                self._step()
                self._count_episode()
                now_ns = time.monotonic_ns()
                self._send_state(now_ns)
                self._cameras.capture_due(now_ns)
                rate.next_deadline(time.monotonic_ns())
        finally:
            self.report.overruns = rate.overruns
            self._stop("the host is shutting down", StopCategory.CONTROLLED)
            self._brake_to_rest(rate)
            if self._client is not None:
                self._tell(self._client, wire.Refused("the host is shutting down"))
            self.close()

    def _step(self) -> None:
        self._age_ns = None
        if self._braking.active:
            self._command = self._braking.next()
            if self._command is None:
                self._device.stop(self._category)
        elif self._command is not None:
            self._age_ns = max(time.monotonic_ns() - self._command_sent_ns, 0)
            self.report.command_age_at_use.add(self._age_ns)
            self.report.steps += 1
        self._device.step(self._command)

    def _brake_to_rest(self, rate: Rate) -> None:
        """Before the device is left alone; not longer than a second, whatever the limits are."""
        end_ns = time.monotonic_ns() + _LONGEST_BRAKING_NS
        while self._braking.active and time.monotonic_ns() < end_ns:
            time.sleep(max(0, rate.next_deadline(time.monotonic_ns()) - time.monotonic_ns()) * 1e-9)
            self._step()

    def close(self) -> None:
        self._socket.close(200)
        self._cameras.close()
        self._device.close()

    def _wait_until(self, deadline_ns: int) -> None:
        """Handle messages as they come until the deadline; the dead man is watched all the while."""
        while (now_ns := time.monotonic_ns()) < deadline_ns:
            left_ns = min(deadline_ns, self._dead_man_at_ns()) - now_ns
            if left_ns >= 1_000_000:
                self._socket.poll(left_ns // 1_000_000)
            elif left_ns > 0:
                time.sleep(left_ns * 1e-9)
            self._drain()
            self._watch(time.monotonic_ns())
        self._drain()
        self._watch(time.monotonic_ns())

    def _dead_man_at_ns(self) -> int:
        """When the dead man strikes unless a command comes."""
        commanded = self._command is not None and not self._braking.active
        return self._command_ns + self._dead_man_ns if commanded else _NEVER_NS

    def _drain(self) -> None:
        for sender, data in self._messages():
            try:
                message = wire.decode_to_host(data)
                self._handle(sender, message)
            except MalformedMessage:
                self.report.malformed += 1

    def _messages(self) -> Iterator[tuple[bytes, bytes]]:
        for _ in range(_MAX_MESSAGES):
            try:
                sender, *parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            if len(parts) == 1:
                yield sender, parts[0]
            else:
                self.report.malformed += 1

    def _handle(self, sender: bytes, message: wire.ToHost) -> None:
        now_ns = time.monotonic_ns()
        if isinstance(message, wire.Hello):
            self._welcome(sender, message, now_ns)
            return
        if isinstance(message, wire.Ping):
            self._tell(sender, wire.Pong(message.sent_ns, now_ns))
            return
        if sender != self._client:
            self._tell(sender, wire.Refused("you do not lead this robot; say hello first"))
            return
        self._heard_ns = now_ns
        match message:
            case wire.Command():
                self._take(message, now_ns)
            case wire.StopRequest():
                categories = {int(category): category for category in StopCategory}
                if message.category not in categories:
                    raise MalformedMessage(f"stop category {message.category}")
                self._stop(f"a stop of category {message.category} was requested", categories[message.category])
            case wire.Reset():
                self._reset(message)
            case wire.Goodbye():
                self._stop("the client said goodbye", StopCategory.CONTROLLED)
                self._client = None

    def _welcome(self, sender: bytes, hello: wire.Hello, now_ns: int) -> None:
        if hello.protocol != wire.PROTOCOL:
            self._tell(sender, wire.Refused(f"protocol {hello.protocol}, this host speaks {wire.PROTOCOL}"))
            return
        if not 0 < hello.period_ns <= _LONGEST_PERIOD_NS:
            raise MalformedMessage(f"control period {hello.period_ns} ns")
        if self._client not in (None, sender) and now_ns - self._heard_ns < _LEASE_NS:
            self._tell(sender, wire.Refused("another client leads this robot"))
            return
        if self._client not in (None, sender):
            self._stop("another client took over", StopCategory.CONTROLLED)
        self._client, self._heard_ns = sender, now_ns
        self._period_ns = hello.period_ns
        self._dead_man_ns = dead_man_ns(self._config, hello.period_ns)
        cameras = tuple(wire.CameraInfo(c.name, c.height, c.width, c.fps) for c in self._device.cameras)
        joints, extras = tuple(self._device.joints), tuple(self._device.extras)
        self._tell(sender, wire.Welcome(joints, extras, cameras, self._dead_man_ns))

    def _reset(self, message: wire.Reset) -> None:
        if message.episode == self._episode and not self._stopped:
            return  # asked again before our answer arrived
        try:
            if not 0 <= message.seed < _SEEDS:
                raise Refusal(f"seed {message.seed}, expected 0 to {_SEEDS - 1}")
            self._device.reset(message.seed, message.instruction)
            self._cameras.begin(message.seed)
        except Refusal as error:
            assert self._client is not None
            self._tell(self._client, wire.Refused(str(error)))
            return
        self._episode = message.episode
        self._command = self._age_ns = None
        self._braking.forget()
        self._stopped = ""
        self._counted = False
        self._send_state(time.monotonic_ns())

    def _take(self, message: wire.Command, now_ns: int) -> None:
        """A command counts only in its own episode, while the robot may move, in full and inside the limits."""
        self.report.commands += 1
        position = np.array(message.position)
        low, high = self._limits.low, self._limits.high
        inside = position.shape == low.shape and bool(((position >= low) & (position <= high)).all())
        if self._stopped or message.episode != self._episode or not inside:
            self.report.refused_commands += 1
            return
        self._command, self._command_ns, self._command_sent_ns = position, now_ns, message.sent_ns
        self._braking.took(position)
        self.report.command_age.add(now_ns - message.sent_ns)

    def _watch(self, now_ns: int) -> None:
        """The dead man: commands that stop coming stop the robot, whoever died."""
        age_ns = now_ns - self._command_ns
        if self._command is not None and age_ns >= self._dead_man_ns and not self._braking.active:
            self.report.dead_man_ms.append(age_ns / 1e6)
            self._stop(
                f"no command for {age_ns / 1e6:.1f} ms (dead man at {self._dead_man_ns / 1e6:.1f} ms)",
                StopCategory.CONTROLLED,
            )
            self._say(f"dead man: {self._stopped}")

    def _stop(self, why: str, category: StopCategory) -> None:
        """Category 0 at once; else, if the robot moves under commands, once it has come to rest."""
        if not self._stopped:
            self._stopped = why
        age_ns = time.monotonic_ns() - self._command_ns
        if self._braking.active:
            category = min(category, self._category)
        if category is not StopCategory.IMMEDIATE and self._braking.begin(self._period_ns, age_ns):
            self._category = category
            return
        self._braking.forget()
        self._command = None
        self._device.stop(category)

    def _count_episode(self) -> None:
        task = self._device.task()
        if task is not None and task[1] and not self._counted:
            self._counted = True
            self.report.episodes += 1
            self.report.successes += task[2]

    def _send_state(self, now_ns: int) -> None:
        self._state_seq += 1
        if self._client is None:
            return
        position, velocity, extras = self._device.measure()
        task = self._device.task()
        self._tell(
            self._client,
            wire.State(
                episode=self._episode,
                seq=self._state_seq,
                stamp_ns=now_ns,
                position=tuple(position.tolist()),
                velocity=None if velocity is None else tuple(velocity.tolist()),
                extras=tuple(extras.tolist()),
                task=None if task is None else wire.Task(*task),
                stopped=self._stopped,
                command_age_ns=self._age_ns,
            ),
        )

    def _tell(self, client: bytes, message: wire.FromHost) -> None:
        try:
            self._socket.send_multipart([client, wire.encode(message)], zmq.NOBLOCK)
        except zmq.ZMQError:
            return  # gone or not listening; the dead man sees to the rest
