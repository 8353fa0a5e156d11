"""The toy device is a Device, reproducible to the bit, and checked against torchrl's env by replay."""

from __future__ import annotations

import numpy as np
import pytest

from vla_runtime.core.protocols import Device, DeviceCamera, DeviceContext
from vla_runtime.learn.toy_device import Options, ToyVLADevice, replay_actions


def run(device: ToyVLADevice, seed: int, steps: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Random commands, some beyond the limits: states, executed actions, images."""
    random = np.random.default_rng(seed)
    device.reset(seed)
    states, actions, images = [], [], [device.capture("image")()]
    for _ in range(steps):
        command = random.uniform(-1.3, 1.3, 4)
        device.step(command)
        position, velocity, extras = device.measure()
        assert velocity is None
        states.append(np.concatenate([position, extras]))
        actions.append(np.clip(command.astype(np.float32), -1, 1))
        images.append(device.capture("image")())
    return np.array(states), np.array(actions), images


def test_it_meets_the_protocol() -> None:
    device = ToyVLADevice(Options())
    assert isinstance(device, Device)
    assert tuple(device.joints) == ("a0", "a1", "a2", "a3")
    assert tuple(device.extras) == ("target0", "target1", "target2", "target3")
    assert device.period_ns == 20_000_000
    assert [(c.name, c.height, c.width, c.fps) for c in device.cameras] == [("image", 16, 16, 50.0)]
    image = device.capture("image")()
    assert image.shape == (16, 16, 3)
    assert image.dtype == np.uint8
    assert all(part.dtype == np.float64 for part in (device.measure()[0], device.measure()[2]))
    with pytest.raises(KeyError, match="expected 'image'"):
        device.capture("wrist")


def test_the_config_sets_the_cameras_rate_and_how_its_frames_arrive() -> None:
    camera = DeviceCamera("image", 16, 16, 25.0, latency_ns=1, jitter_ns=2, drop=0.5)
    context = DeviceContext(ToyVLADevice.joints, (-1.0,) * 4, (1.0,) * 4, ToyVLADevice.extras, (camera,))
    assert ToyVLADevice(ToyVLADevice.Options(), context).cameras == (camera,)


def test_the_same_seed_is_the_same_episode() -> None:
    device = ToyVLADevice(Options())
    first, again, other = run(device, 5, 20), run(ToyVLADevice(Options()), 5, 20), run(device, 6, 20)
    assert np.array_equal(first[0], again[0])
    assert all(np.array_equal(a, b) for a, b in zip(first[2], again[2], strict=True))
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[2][0], other[2][0])


def test_replay_reproduces_the_device_bit_for_bit() -> None:
    states, actions, _ = run(ToyVLADevice(Options()), 11, 60)
    replayed, success = replay_actions(11, list(actions), Options())
    assert replayed.dtype == np.float32
    assert replayed.shape == (60, 8)
    assert np.array_equal(replayed.astype(np.float64), states)
    assert success == [False] * 60


@pytest.mark.parametrize("seed", range(5))
def test_the_oracle_succeeds_and_replay_agrees(seed: int) -> None:
    device = ToyVLADevice(Options())
    device.reset(seed)
    target = device.measure()[2]
    actions = []
    for _ in range(6):
        device.step(target)
        actions.append(target)
    assert device.task() == (4, True, True)
    _, success = replay_actions(seed, actions, Options())
    assert success == [False, False, False, True, True, True]


def test_the_state_echoes_the_clamped_command() -> None:
    device = ToyVLADevice(Options())
    device.step(np.array([2.0, -2.0, 0.25, 0.0]))
    assert device.measure()[0].tolist() == [1.0, -1.0, 0.25, 0.0]


def test_without_a_command_nothing_advances() -> None:
    device = ToyVLADevice(Options())
    before, image = device.measure(), device.capture("image")()
    device.step(None)
    assert device.task() == (0, False, False)
    assert np.array_equal(device.measure()[0], before[0])
    assert np.array_equal(device.capture("image")(), image)


def test_the_episode_ends_at_max_steps_until_reset() -> None:
    device = ToyVLADevice(Options(max_steps=3))
    for _ in range(5):
        device.step(np.ones(4))
    assert device.task() == (3, True, False)
    device.reset(1, "push the T-shaped block onto the target")
    assert device.task() == (0, False, False)
    states, _ = replay_actions(0, [np.ones(4)] * 5, Options(max_steps=3))
    assert np.array_equal(states[2], states[4])


@pytest.mark.parametrize("command", [np.zeros(3), np.array([0.0, np.nan, 0.0, 0.0])])
def test_a_bad_command_is_refused(command: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected 4 finite values"):
        ToyVLADevice(Options()).step(command)


def test_options_change_the_task() -> None:
    device = ToyVLADevice(Options(success_steps=2, tolerance=0.2))
    device.reset(0)
    target = device.measure()[2] + 0.15
    device.step(target)
    device.step(target)
    assert device.task() == (2, True, True)


def test_no_action_means_no_state() -> None:
    states, success = replay_actions(0, [], Options())
    assert states.shape == (0, 8)
    assert success == []
