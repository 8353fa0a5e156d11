"""Episodes in Ray actors, on a Ray of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
import ray
import torch

from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.grpo.rollouts import Rollouts, acting
from vla_runtime.learn.grpo.samples import succeeded
from vla_runtime.learn.grpo.toy_env import toy_env
from vla_runtime.learn.keys import LOG_PROBS, STATE, TOKENS

LANES, GROUP = 32, 8


@pytest.fixture
def rollouts(weak: Checkpoint) -> Iterator[Rollouts]:
    makers = [partial(toy_env, weak.spec, LANES // 2, GROUP, seed) for seed in range(2)]
    rollouts = Rollouts(makers, weak.policy, 0.5, episodes=LANES, steps=1, fresh=True, backend="ray")
    yield rollouts
    rollouts.close()
    ray.shutdown()


@pytest.mark.timeout(240)
def test_actors_act_with_the_weights_of_now_and_groups_stay_together(rollouts: Rollouts, weak: Checkpoint) -> None:
    first = rollouts.collect(1)
    assert first.batch_size == (LANES, 1)
    assert succeeded(first).shape == (LANES,)
    groups = first[STATE].reshape(LANES // GROUP, GROUP, 8)
    assert (groups == groups[:, :1]).all()
    assert len(groups[:, 0].unique(dim=0)) == LANES // GROUP
    with torch.no_grad():
        for parameter in weak.policy.parameters():
            parameter.mul_(0.5)
    second = rollouts.collect(2).reshape(-1)
    with torch.no_grad():
        drawn = acting(weak.policy, 0.5).get_dist(second).log_prob(second[TOKENS])
    torch.testing.assert_close(drawn, second[LOG_PROBS], rtol=1e-4, atol=1e-4)
