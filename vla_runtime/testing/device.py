"""What every device behind a robot host must do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np

from vla_runtime.core.protocols import Device, StopCategory
from vla_runtime.core.types import F64

__all__ = ["DeviceContract"]


class DeviceContract:
    """Inherit and provide ``make``. ``instruction``: one that the device accepts."""

    instruction = ""
    repeatable = True
    """Whether the same seed gives the same measurements: true of a simulation, not of a real arm."""

    def make(self) -> Device:
        """A device that may be moved."""
        raise NotImplementedError

    def test_it_meets_the_protocol(self) -> None:
        with closing(self.make()) as device:
            assert isinstance(device, Device)
            assert device.period_ns > 0
            assert len(device.joints) > 0
            for names in (device.joints, device.extras, [camera.name for camera in device.cameras]):
                assert len(set(names)) == len(names), f"a name stands twice in {names}"

    def test_measurements_have_a_value_for_every_name(self) -> None:
        with closing(self.make()) as device:
            device.reset(0, self.instruction)
            for _ in range(3):
                position, velocity, extras = device.measure()
                for values, count in ((position, len(device.joints)), (extras, len(device.extras))):
                    assert values.shape == (count,)
                    assert values.dtype == np.float64
                    assert np.isfinite(values).all()
                assert velocity is None or (velocity.shape == position.shape and np.isfinite(velocity).all())
                device.step(position)

    def test_images_have_the_announced_size(self) -> None:
        with closing(self.make()) as device:
            device.reset(0, self.instruction)
            for camera in device.cameras:
                image = device.capture(camera.name)()
                assert image.shape == (camera.height, camera.width, 3)
                assert image.dtype == np.uint8
                assert camera.fps > 0

    def test_a_picture_shows_its_instant_however_late_and_wherever_it_is_asked_for(self) -> None:
        if not self.repeatable:
            return
        with closing(self.make()) as one, closing(self.make()) as other, ThreadPoolExecutor(1) as thread:
            for device in (one, other):
                device.reset(3, self.instruction)
                device.step(device.measure()[0] + 0.01)
            at_once = [np.array(one.capture(camera.name)()) for camera in one.cameras]
            pictures = [other.capture(camera.name) for camera in other.cameras]
            for _ in range(10):
                other.step(other.measure()[0] + 0.01)
            other.reset(4, self.instruction)
            for picture, expected in zip(pictures, at_once, strict=True):
                assert np.array_equal(thread.submit(picture).result(), expected)

    def test_the_same_seed_begins_the_same_episode(self) -> None:
        if not self.repeatable:
            return
        with closing(self.make()) as device:
            first, second = self._episode(device, 7), self._episode(device, 7)
            for one, other in zip(first, second, strict=True):
                assert np.array_equal(one, other)

    def test_a_measurement_is_not_written_over_by_a_later_step(self) -> None:
        with closing(self.make()) as device:
            device.reset(0, self.instruction)
            position, _, extras = device.measure()
            seen = position.copy(), extras.copy()
            device.step(position + 0.01)
            device.reset(1, self.instruction)
            assert np.array_equal(position, seen[0])
            assert np.array_equal(extras, seen[1])

    def test_without_a_command_the_pose_is_held(self) -> None:
        if not self.repeatable:
            return
        with closing(self.make()) as device:
            device.reset(0, self.instruction)
            before = device.measure()[0].copy()
            for _ in range(20):
                device.step(None)
            assert np.allclose(device.measure()[0], before)

    def test_a_command_is_not_kept_or_changed(self) -> None:
        with closing(self.make()) as device:
            device.reset(0, self.instruction)
            command = device.measure()[0].copy()
            given = command.copy()
            device.step(command)
            assert np.array_equal(command, given)

    def test_an_episode_counts_its_steps_from_zero(self) -> None:
        with closing(self.make()) as device:
            for seed in (0, 1):
                device.reset(seed, self.instruction)
                task = device.task()
                if task is None:
                    return
                assert task[0] == 0
                assert not task[1]
                steps = []
                for _ in range(5):
                    device.step(device.measure()[0])
                    steps.append((device.task() or (0, False, False))[0])
                assert steps == sorted(steps)

    def test_stopping_is_safe_at_any_time_and_any_number_of_times(self) -> None:
        with closing(self.make()) as device:
            for category in StopCategory:
                device.stop(category)
                device.stop(category)
            device.reset(0, self.instruction)
            device.step(device.measure()[0])
            device.stop(StopCategory.CONTROLLED)
            device.step(None)
            assert np.isfinite(device.measure()[0]).all()

    def _episode(self, device: Device, seed: int) -> list[F64]:
        device.reset(seed, self.instruction)
        seen: list[F64] = []
        for _ in range(10):
            position, _, extras = device.measure()
            seen += [position.copy(), extras.copy()]
            seen += [np.array(device.capture(camera.name)()) for camera in device.cameras]
            device.step(position + 0.01)
        return seen
