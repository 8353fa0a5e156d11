"""The toy task in groups, a chunk a step."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from vla_runtime.learn import toy
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.grpo.samples import ROWS
from vla_runtime.learn.grpo.toy_env import GroupedToy, toy_env
from vla_runtime.learn.keys import ACTION, CHUNK, IMAGE, INSTRUCTION_ID, STATE
from vla_runtime.learn.scaling import Scaling

LANES, GROUP = 12, 3


def target(data: TensorDict) -> torch.Tensor:
    return data[STATE][..., toy.ACTION_DIM :]


def test_members_of_a_group_begin_alike_and_groups_do_not() -> None:
    env = GroupedToy(LANES, GROUP, 5, seed=1)
    begun = env.reset()
    state = begun[STATE].reshape(-1, GROUP, 8)
    assert (state == state[:, :1]).all()
    assert len(state[:, 0].unique(dim=0)) == LANES // GROUP
    assert begun[INSTRUCTION_ID].tolist() == [5] * LANES
    assert begun[IMAGE].dtype == torch.uint8


def test_the_same_seed_begins_the_same() -> None:
    env = GroupedToy(LANES, GROUP, 5)
    env.set_seed(4)
    first = env.reset()
    env.set_seed(4)
    assert torch.equal(first[STATE], env.reset()[STATE])


@pytest.mark.parametrize(("away", "nearest"), [(0.0, True), (0.08, False)])
def test_groups_ask_for_as_many_steps_as_near_to_the_target_as_their_level_says(away: float, nearest: bool) -> None:
    env = GroupedToy(LANES, GROUP, 5, seed=1)
    now = env.reset()
    done = []
    for _ in range(4):
        now = env.step(now.set(ACTION, target(now) + away))["next"]
        done.append(now["success"].reshape(-1, GROUP)[:, 0].tolist())
        now = now.exclude("reward")
    assert done == [[False] * 4, [True, *[False] * 3], [True, True, False, False], [True, True, True, nearest]]


def test_a_step_executes_the_chunk_in_physical_units_and_counts_its_rows(weak: Checkpoint) -> None:
    env = toy_env(weak.spec, LANES, GROUP, seed=2)
    scaling = Scaling.from_spec(weak.spec)
    now = env.reset()
    aim = target(now) * scaling.state_std[4:] + scaling.state_mean[4:]
    right = (aim - scaling.action_mean) / scaling.action_std
    chunk = right[:, None].expand(-1, weak.spec.chunk_length, -1).clone()
    chunk[0] += 100.0
    now[CHUNK] = chunk
    after = env.step(now)["next"]
    assert after["success"].flatten().tolist() == [False] + [True] * (LANES - 1)
    assert torch.equal(after["reward"], after["success"].float())
    asked = env.base_env.success_steps.flatten().tolist()
    assert after[ROWS].flatten().tolist() == [weak.spec.chunk_length, *asked[1:]]
