"""Disturbed commands: smooth, inside the limits, the same for the same seed, and never what is logged."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_runtime.app.build import joint_limits
from vla_runtime.app.replay import check_loop
from vla_runtime.app.simulate import Scenario, expert_for, simulate
from vla_runtime.app.simulate.disturb import Disturbance, disturbance_scale
from vla_runtime.control.safety import JointLimits
from vla_runtime.episode.reader import read_episode

from .virtual import MS, TEXTS, Cart, Watch, cart_config

PERIOD_S = 0.01
WIDE = JointLimits(("a", "b"), np.full(2, -1e6), np.full(2, 1e6), np.ones(2))


def offsets(seed: int, ticks: int, scale: float = 1.0, limits: JointLimits = WIDE, period_s: float = PERIOD_S):
    disturb = Disturbance(limits, np.full(2, scale), period_s, seed)
    return np.array([disturb(np.zeros(2)) for _ in range(ticks)])


def factor(seed: int) -> float:
    """The share of the scale that this seed's episode is disturbed by."""
    return float(Disturbance(WIDE, np.ones(2), PERIOD_S, seed)._scale[0])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.floats(-1, 1), st.floats(-0.2, 0.2))
def test_nothing_disturbed_is_outside_the_limits(seed: int, disturb: float, turn: float, lift: float) -> None:
    config = cart_config()
    limits = joint_limits(config)
    scale = disturbance_scale(disturb, limits, [joint.unit for joint in config.joints])
    disturbance = Disturbance(limits, scale, PERIOD_S, seed)
    command = np.array([turn, lift])
    for _ in range(100):
        disturbed = disturbance(command)
        assert (disturbed >= limits.low).all()
        assert (disturbed <= limits.high).all()
    assert command.tolist() == [turn, lift]


def test_the_same_seed_disturbs_the_same_way_and_another_another_way() -> None:
    assert np.array_equal(offsets(3, 50), offsets(3, 50))
    assert not np.array_equal(offsets(3, 50), offsets(4, 50))


def test_the_episodes_factor_is_spread_over_zero_to_one() -> None:
    factors = [factor(seed) for seed in range(500)]
    assert 0 <= min(factors) < 0.05
    assert 0.95 < max(factors) < 1
    assert np.mean(factors) == pytest.approx(0.5, abs=0.05)


def test_offsets_have_the_factors_standard_deviation_and_forget_after_a_few_time_constants() -> None:
    found = np.concatenate([offsets(seed, 4_000)[500:] / factor(seed) for seed in range(20)], axis=1)
    assert found.std() == pytest.approx(1.0, abs=0.05)
    assert abs(found.mean()) < 0.1
    for lag in (30, 60, 150):  # the correlation of the process: (1 + s) exp(-s), s in time constants
        s = lag * PERIOD_S / 0.3
        assert np.mean(found[lag:] * found[:-lag]) == pytest.approx((1 + s) * math.exp(-s), abs=0.08)


def test_offsets_begin_at_rest_and_their_speed_has_no_jumps() -> None:
    found = np.concatenate([offsets(seed, 500) / factor(seed) for seed in range(20)], axis=1)
    speeds = np.diff(found, axis=0) / PERIOD_S
    assert np.abs(found[0]).max() < 0.03
    assert speeds.std() == pytest.approx(1 / 0.3, rel=0.2)
    jumps = np.abs(np.diff(speeds, axis=0))
    assert jumps.max() < speeds.std() * 1.5  # white noise in the command would make jumps of hundreds


@pytest.mark.parametrize("rate_hz", [20, 100, 1000])
def test_the_strength_does_not_depend_on_the_control_rate(rate_hz: int) -> None:
    count = 40
    at_two_s = np.array([offsets(seed, 2 * rate_hz, period_s=1 / rate_hz)[-1] / factor(seed) for seed in range(count)])
    assert at_two_s.std() == pytest.approx(1.0, abs=0.25)


def test_joints_in_rad_are_disturbed_by_the_option_and_others_by_as_much_of_their_range() -> None:
    limits = JointLimits(("a", "b", "grip"), np.array([-1.0, -2.0, 0.0]), np.array([1.0, 2.0, 0.06]), np.ones(3))
    assert disturbance_scale(0.3, limits, ["rad", "rad", "m"]).tolist() == pytest.approx([0.3, 0.3, 0.3 * 0.06 / 3.0])
    assert disturbance_scale(0.3, limits, ["none"] * 3).tolist() == pytest.approx(
        [0.3 * span / 2.02 for span in (2.0, 4.0, 0.06)]
    )


def test_the_device_is_disturbed_and_the_log_is_clean(tmp_path: Path) -> None:
    config = cart_config()
    expert = expert_for(config, "go", TEXTS, 8)
    device, path = Cart(period_ns=10 * MS), tmp_path / "episode.mcap"
    simulate(config, device, expert, Scenario(2, "go left", disturb=0.2), log=path)
    episode = read_episode(path)
    logged = np.array([tick.command for tick in episode.ticks if tick.command is not None])[: len(device.log)]
    followed = np.array([command for _, command in device.log if command is not None])[: len(logged)]
    scale = disturbance_scale(0.2, joint_limits(config), ["rad", "m"])
    disturbance = Disturbance(joint_limits(config), scale, PERIOD_S, seed=2)
    assert followed == pytest.approx(np.array([disturbance(command) for command in logged]))
    assert np.abs(followed - logged).max() > 0.01
    assert check_loop(episode).identical


def test_every_logged_command_is_the_plans_own(tmp_path: Path) -> None:
    config = cart_config()
    watch = Watch()
    simulate(
        config, Cart(), expert_for(config, "go", TEXTS, 8), Scenario(2, "go left", disturb=0.2), watch=[watch]
    )  # fmt: skip
    running = [tick for tick in watch.ticks if tick.mode == "running"]
    assert len(running) > 20
    assert all(tick.command == tick.wanted for tick in running)
