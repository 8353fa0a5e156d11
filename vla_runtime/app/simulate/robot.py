"""A device as the loop's robot in virtual time: it steps at its own rate whenever the loop reads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vla_runtime.app.simulate.camera import SimulatedCamera
from vla_runtime.control.clock import VirtualClock
from vla_runtime.control.safety import JointLimits
from vla_runtime.core.protocols import Device, StopCategory
from vla_runtime.core.types import F64, RobotState, TaskStatus

__all__ = ["SimulatedRobot"]

_FIRST_FRAMES_NS = 1_000_000_000


class SimulatedRobot:
    """``device`` under the newest command that was written, or none before the first and after a stop.

    As behind a host, the state is measured and the cameras are captured after each step, and a command outside the
    limits is refused and counted.

    Args:
        device: already reset; its time begins at ``clock``'s now.
        disturb: makes of each command what the device is given in its place.
    """

    def __init__(
        self,
        device: Device,
        limits: JointLimits,
        clock: VirtualClock,
        cameras: Sequence[SimulatedCamera],
        disturb: Callable[[F64], F64] = lambda command: command,
        episode: int = 0,
    ) -> None:
        self._device, self._limits, self._clock, self._cameras = device, limits, clock, cameras
        self._disturb, self._episode = disturb, episode
        self._command: F64 | None = None
        self._states: list[RobotState] = []
        self._seq = 0
        self.now_ns = clock.now()
        """The instant of the device's last step."""
        self.refused_commands = 0
        self._look_around()

    def wait_for_frames(self, cameras: Sequence[SimulatedCamera]) -> None:
        """Let time pass until a frame of each has arrived, as live, where cameras run before the loop does.

        A camera that has shown nothing after a second is not waited for.
        """
        end_ns = self.now_ns + _FIRST_FRAMES_NS
        while self.now_ns < end_ns and not all(camera.arrived for camera in cameras):
            self._clock.sleep_until(self.now_ns + self._device.period_ns)
            self._step()
        self._states = self._states[-1:]

    def reset(self, episode: int, seed: int, instruction: str) -> None:
        """A new episode is a new robot: the device is reset before this one is made."""

    def read(self, now_ns: int) -> list[RobotState]:
        """Step up to ``now_ns``; the state after each step, oldest first."""
        while self.now_ns + self._device.period_ns <= now_ns:
            self._step()
        states, self._states = self._states, []
        return states

    def write(self, command: F64, now_ns: int) -> None:
        low, high = self._limits.low, self._limits.high
        if command.shape != low.shape or not ((command >= low) & (command <= high)).all():
            self.refused_commands += 1
            return
        self._command = self._disturb(command)

    def stop(self, category: StopCategory) -> None:
        self._command = None
        self._device.stop(category)

    def close(self) -> None:
        """The device is its owner's to close."""

    def _step(self) -> None:
        self.now_ns += self._device.period_ns
        self._device.step(self._command)
        self._look_around()

    def _look_around(self) -> None:
        device = self._device
        position, velocity, extras = device.measure()
        task = device.task()
        status = None if task is None else TaskStatus(self._episode, *task)
        self._seq += 1
        self._states.append(RobotState(position, velocity, self.now_ns, self._seq, extras, status))
        for camera in self._cameras:
            camera.capture_if_due(device, self.now_ns)
