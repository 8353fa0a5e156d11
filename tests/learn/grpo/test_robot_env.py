"""A simulated robot as an environment: the runtime's own loop, one chunk a step."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import msgspec
import numpy as np
import pytest
import torch
from torchrl.envs.utils import check_env_specs

from vla_runtime.app.config import RobotConfig
from vla_runtime.app.load import load_config
from vla_runtime.app.simulate import Scenario, open_demonstrator, simulate
from vla_runtime.core.errors import ConfigError
from vla_runtime.core.spec import PolicySpec
from vla_runtime.core.types import F32, U8
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.grpo.exam import RobotExam
from vla_runtime.learn.grpo.explorer import AWAKE
from vla_runtime.learn.grpo.lane import Lane, Seen
from vla_runtime.learn.grpo.robot_env import Plan, RobotEnv
from vla_runtime.learn.grpo.samples import ROWS
from vla_runtime.learn.keys import CHUNK, IMAGE, NOISE, STATE

LANES, GROUP, CHUNKS = 4, 2, 12
PLAN = Plan("track", LANES, GROUP, CHUNKS, replan_interval=4, first_seed=100)


@pytest.fixture(scope="module")
def config() -> RobotConfig:
    return load_config("tracker")


@pytest.fixture
def spec(weak: Checkpoint) -> PolicySpec:
    return weak.spec


@pytest.fixture
def env(config: RobotConfig, spec: PolicySpec) -> Iterator[RobotEnv]:
    env = RobotEnv(config, spec, PLAN, 0, LANES)
    yield env
    env.close()


def on_target(env: RobotEnv, now: object) -> torch.Tensor:
    """Chunks that go to the target, which the state shows."""
    return now[STATE][:, None, 4:].expand(-1, env.action_spec[CHUNK].shape[1], -1).clone()


def test_it_is_an_environment_as_torchrl_wants_one(env: RobotEnv) -> None:
    check_env_specs(env, break_when_any_done="both")


def test_members_of_a_group_begin_alike_and_groups_and_rounds_do_not(env: RobotEnv) -> None:
    begun = []
    for _ in range(2):
        now = env.reset()
        begun.append(now[STATE].clone())
        assert torch.equal(now[STATE][0], now[STATE][1])
        assert torch.equal(now[IMAGE, "image"][2], now[IMAGE, "image"][3])
        assert not torch.equal(now[STATE][0], now[STATE][2])
        for _ in range(CHUNKS):
            now[CHUNK] = on_target(env, now)
            _, now = env.step_and_maybe_reset(now)
    assert not torch.equal(begun[0], begun[1])


def test_a_lane_that_is_done_idles_until_the_round_is_over(env: RobotEnv) -> None:
    now = env.reset()
    awake, done = [], []
    for _ in range(CHUNKS):
        now[CHUNK] = on_target(env, now)
        now[CHUNK][:GROUP] = now[STATE][:GROUP, None, :4]
        stepped, now = env.step_and_maybe_reset(now)
        awake.append(now[AWAKE].flatten().tolist())
        done.append(stepped["next", "done"].flatten().tolist())
        assert torch.equal(stepped["next", "reward"], stepped["next", "success"].float())
    assert done[0] == [False, False, False, False]
    ended = next(step for step, flags in enumerate(done) if flags[2])
    assert all(flags == [True, True, False, False] for flags in awake[ended:-1])
    assert done[-1] == [True] * LANES
    assert awake[-1] == [True] * LANES, "the next round has begun"


def test_an_episode_is_the_one_that_an_evaluation_runs(config: RobotConfig, spec: PolicySpec) -> None:
    """The same chunks in the same loop: the same outcome after as many of them."""

    class Towards:
        hash = "towards"

        def __init__(self) -> None:
            self.spec, self.asked = spec, 0

        def infer(self, images: Mapping[str, U8], state: F32, instruction_id: int) -> F32:
            self.asked += 1
            return np.repeat(0.95 * state[None, 4:], spec.chunk_length, 0).astype(np.float32)

        def close(self) -> None: ...

    policy = Towards()
    scenario = Scenario(seed=100, instruction=spec.instruction.texts[0])
    device = open_demonstrator(config)
    outcome = simulate(config, device, policy, scenario)
    device.close()
    lane = Lane(config, open_demonstrator(config), spec)
    news, answered = lane.begin(scenario), 0
    while isinstance(news, Seen):
        answered += 1
        news = lane.answer(np.repeat(0.95 * news.state[None, 4:], spec.chunk_length, 0).astype(np.float32))
    lane.close()
    assert outcome.success
    assert (news.success, news.end_ns, answered) == (outcome.success, outcome.end_ns, policy.asked)


def test_an_episode_that_nobody_waits_for_ends_without_an_outcome(config: RobotConfig, spec: PolicySpec) -> None:
    lane = Lane(config, open_demonstrator(config), spec)
    first = lane.begin(Scenario(seed=1, instruction=spec.instruction.texts[0]))
    again = lane.begin(Scenario(seed=1, instruction=spec.instruction.texts[0]))
    assert isinstance(first, Seen)
    assert isinstance(again, Seen)
    assert np.array_equal(first.state, again.state)
    lane.close()
    assert not lane._thread.is_alive()


def test_an_error_in_an_episode_is_told_to_who_waits(config: RobotConfig, spec: PolicySpec) -> None:
    blind = msgspec.structs.replace(spec, cameras=(msgspec.structs.replace(spec.cameras[0], name="nowhere"),))
    lane = Lane(config, open_demonstrator(config), blind)
    with pytest.raises(ConfigError, match="looks through nowhere"):
        lane.begin(Scenario(seed=1, instruction=spec.instruction.texts[0]))
    assert not lane.running
    lane.close()


def test_rows_that_can_be_executed_are_those_until_the_next_plan_and_its_fade(
    config: RobotConfig, spec: PolicySpec
) -> None:
    blended = msgspec.structs.replace(
        config, chunks=msgspec.structs.replace(config.chunks, strategy="blend", blend_rows=2.5)
    )
    for robot, rows in ((config, 4), (blended, 7)):
        env = RobotEnv(robot, spec, PLAN, 0, LANES)
        assert env.reset()[ROWS].flatten().tolist() == [rows] * LANES
        env.close()


def test_an_unknown_task_is_refused_with_those_that_there_are(config: RobotConfig, spec: PolicySpec) -> None:
    with pytest.raises(ConfigError, match="no task 'juggle'; valid: track"):
        RobotEnv(config, spec, Plan("juggle", 4, 2, 3, 4, 0), 0, 4)


def test_lanes_that_do_not_hold_whole_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="10 lanes cannot hold groups of 4"):
        Plan("track", 10, 4, 3, 4, 0)


def test_success_is_measured_on_the_same_episodes_every_time(config: RobotConfig, weak: Checkpoint) -> None:
    exam = RobotExam(config, Plan("track", 8, 1, 25, 4, 1_000_000), workers=1, episodes=12)
    first, second = exam.success(weak), exam.success(weak)
    exam.close()
    assert first == second
    assert 0.0 < first < 0.6


def test_the_noise_of_an_episode_lasts_and_is_the_opposite_of_its_neighbours(env: RobotEnv) -> None:
    now = env.reset()
    noise = now[NOISE].clone()
    assert torch.equal(noise[0::2], -noise[1::2])
    assert not torch.equal(noise[0], noise[2])
    for _ in range(CHUNKS - 1):
        now[CHUNK] = on_target(env, now)
        _, now = env.step_and_maybe_reset(now)
        assert torch.equal(now[NOISE], noise)
    now[CHUNK] = on_target(env, now)
    _, now = env.step_and_maybe_reset(now)
    assert not torch.equal(now[NOISE], noise), "the next round has begun"


def test_groups_of_lanes_take_turns_at_the_levels(config: RobotConfig) -> None:
    levels = ({"move_s": 1.0}, {})
    plan = dataclasses.replace(PLAN, lanes=8, levels=levels)
    options = [plan.device(lane, config).device.options for lane in range(8)]
    own = config.device.options
    assert options == [{**own, "move_s": 1.0}] * 2 + [own] * 2 + [{**own, "move_s": 1.0}] * 2 + [own] * 2
