"""A servo arm that writes down, with stamps, everything its host asks of it: the truth about what the actuators saw.

Records of ``<qi3d``: CLOCK_MONOTONIC ns, a kind (a stop category, or one of those below) and three joint values.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from vla_runtime.core.protocols import DeviceContext, StopCategory
from vla_runtime.core.types import F64, U8
from vla_runtime.plugins.devices import servo_arm

__all__ = ["COMMAND", "NO_COMMAND", "RESET", "WitnessArm"]

COMMAND, NO_COMMAND, RESET = 3, 4, 5
_RECORD = struct.Struct("<qi3d")


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``truth`` is written; ``<truth>.camera``, if it is there, names a camera and how it fails (raise, block).

    ``displaced`` is added to the start pose of the first joint, whatever the limits say.
    """

    truth: str
    start: tuple[float, float, float]
    rate_hz: float = 200.0
    time_constant_s: float = 0.03
    displaced: float = 0.0


class WitnessArm(servo_arm.ServoArm):
    """Three joints, no task."""

    Options = Options

    def __init__(self, options: Options, context: DeviceContext) -> None:
        self._truth = os.open(options.truth, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._camera_fault = Path(f"{options.truth}.camera")
        self._displaced = options.displaced
        super().__init__(servo_arm.Options(options.rate_hz, options.time_constant_s, options.start), context)

    def reset(self, seed: int, instruction: str) -> None:
        super().reset(seed, instruction)
        self._position[0] += self._displaced
        self._write(RESET, self._position)

    def step(self, command: F64 | None) -> None:
        self._write(NO_COMMAND if command is None else COMMAND, self._position if command is None else command)
        super().step(command)

    def stop(self, category: StopCategory) -> None:
        self._write(int(category), self._position)

    def capture(self, camera: str) -> Callable[[], U8]:
        name, _, how = self._failing().partition(" ")
        if name == camera and how == "raise":
            raise OSError("the camera is unplugged")
        return self._blocked if name == camera and how == "block" else super().capture(camera)

    def close(self) -> None:
        os.close(self._truth)

    def _failing(self) -> str:
        try:
            return self._camera_fault.read_text()
        except OSError:
            return ""

    def _blocked(self) -> U8:
        while self._camera_fault.exists():
            time.sleep(0.01)
        return np.zeros((1, 1, 3), dtype=np.uint8)

    def _write(self, kind: int, values: F64) -> None:
        os.write(self._truth, _RECORD.pack(time.monotonic_ns(), kind, *values))
