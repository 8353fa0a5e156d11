"""Where torchrl's rollouts and losses mislead, and that ours do not.

Each test first shows the bare library at fault: when it is mended, the test fails and the detour can go.
docs/traps-torchrl.md is the table of them.
"""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict
from torch import Tensor
from torchrl.envs import TransformedEnv
from torchrl.envs.transforms import Compose, InitTracker
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import MultiStepActorWrapper
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.llm import MCAdvantage

from vla_runtime.learn import toy
from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.executor import chunk_env
from vla_runtime.learn.fused import FusedPolicy
from vla_runtime.learn.grpo.advantage import group_advantages
from vla_runtime.learn.keys import ACTION, CHUNK, INSTRUCTION, INSTRUCTION_ID, LOG_PROBS, LOGITS, STATE, TOKENS
from vla_runtime.learn.policy import build_policy
from vla_runtime.learn.scaling import Scaling
from vla_runtime.learn.stale import drop_stale

NEVER = 1000


def make_policy() -> FusedPolicy:
    random = torch.Generator().manual_seed(0)
    states, actions = torch.randn(99, 8, generator=random), torch.randn(99, 4, generator=random).clamp(-1, 1)
    spec = make_spec(toy.facts(), states, actions, "tokens")
    return build_policy(spec, seed=1, hidden_dim=16, num_bins=16)


SCALING = Scaling.from_spec(
    make_spec(toy.facts(), torch.linspace(-1, 1, 80).reshape(10, 8), torch.linspace(-1, 1, 40).reshape(10, 4), "tokens")
)


def make_env(*batch: int, success_steps: int = NEVER):
    return toy.make_env(batch, seed=0, success_steps=success_steps)


def stepped(*batch: int) -> TransformedEnv:
    return TransformedEnv(make_env(*batch), Compose(InitTracker(), SCALING.observation_norm(), SCALING.env_action()))


def whole_chunks(policy: FusedPolicy, queries: int, **further: int) -> TensorDict:
    env = chunk_env(make_env(3, **further), SCALING.observation_norm(), SCALING.env_action())
    with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
        torch.manual_seed(0)
        return env.rollout(queries, policy, break_when_any_done=False)


def loss_of(policy: FusedPolicy, data: TensorDict) -> Tensor:
    loss = ClipPPOLoss(policy, critic_network=None, entropy_bonus=False)
    loss.set_keys(action=TOKENS, sample_log_prob=LOG_PROBS, advantage="advantage")
    return loss(data)["loss_objective"]


def decisions(policy: FusedPolicy) -> TensorDict:
    """Six queries with an advantage, the instruction as its id."""
    data = whole_chunks(policy, 2).reshape(-1).exclude(INSTRUCTION, "next")
    data[INSTRUCTION_ID] = torch.zeros(6, dtype=torch.long)
    return data.set("advantage", torch.linspace(-1, 1, 6).unsqueeze(-1))


def test_the_step_wrapper_leaves_the_first_querys_tokens_beside_later_chunks_and_whole_chunks_do_not() -> None:
    policy = make_policy()
    decode = policy.action_tokenizer.decode
    with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
        torch.manual_seed(0)
        bare = stepped(3).rollout(20, MultiStepActorWrapper(policy, n_steps=8), break_when_any_done=False)
    apart = (decode(bare[TOKENS]) - bare[CHUNK]).abs().amax((0, 2, 3))
    assert (apart[:8] == 0).all()
    assert (apart[8:] > 0.1).all()
    assert (bare[LOG_PROBS] == bare[LOG_PROBS][:, :1]).all()

    ours = whole_chunks(policy, 4)
    assert torch.equal(decode(ours[TOKENS]), ours[CHUNK])
    assert (ours[TOKENS][:, 0] != ours[TOKENS][:, 1]).any()
    # The tokens are those of the observation beside them, and the last row of the chunk is what the env did last.
    now = policy.get_dist(drop_stale(ours).reshape(-1)).log_prob(ours[TOKENS].reshape(-1, 8, 4))
    assert torch.allclose(now, ours[LOG_PROBS].reshape(-1), atol=1e-4)
    echo = ours["next"][STATE] * SCALING.state_std + SCALING.state_mean
    assert torch.allclose(echo[..., :4], SCALING.denormalise_action(ours[CHUNK])[..., -1, :], atol=1e-5)


def test_an_episode_that_ends_inside_a_chunk_stays_where_it_ended() -> None:
    target = torch.zeros(3, 8, 4)

    def oracle(td: TensorDict) -> TensorDict:
        target[:] = td[STATE][:, None, 4:]
        target[0, 5:] = 9.0
        return td.set(CHUNK, target.clone())

    env = chunk_env(make_env(3, success_steps=2))
    end = env.step(oracle(env.reset()))["next"]
    assert end["success"].all()
    assert end["done"].all()


def test_the_step_wrapper_makes_a_batch_of_an_env_that_has_none_and_ours_refuses_it() -> None:
    policy = make_policy()
    env = TransformedEnv(make_env(), InitTracker())
    with torch.no_grad():
        assert MultiStepActorWrapper(policy, n_steps=8)(env.reset())[ACTION].shape == (1, 4)
    with pytest.raises(ValueError, match="without batch dimension given, expected one of batch size"):
        chunk_env(make_env())
    assert whole_chunks(policy, 1)[CHUNK].shape == (3, 1, 8, 4)


def test_going_on_from_next_loses_the_chunk_and_step_mdp_does_not() -> None:
    policy, env = make_policy(), stepped(2)
    actor = MultiStepActorWrapper(policy, n_steps=8)
    with torch.no_grad():
        td = env.step(actor(env.reset()))["next"]
        with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'get'"):
            actor(td)
        td = env.reset()
        for step in range(3):
            td = env.step_mdp(env.step(actor(td)))
            assert td["counter"].eq(step + 1).all()


def test_stored_logits_take_the_gradient_away_and_dropping_them_gives_it_back() -> None:
    policy = make_policy()
    with torch.no_grad():
        data = policy.get_new_version(return_logits=True)(decisions(policy).exclude("vla_action"))
    data["advantage"] = torch.ones(6, 1)
    assert data.get(LOGITS) is not None
    assert not loss_of(policy, data).requires_grad
    clean = drop_stale(data)
    assert clean.get(LOGITS, None) is None
    assert clean[TOKENS] is data[TOKENS]
    loss_of(policy, clean).backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in policy.parameters())
    root = TensorDict({"action_logits": torch.zeros(2), ("next", *LOGITS): torch.zeros(2), "kept": torch.zeros(2)}, [2])
    assert set(drop_stale(root).keys(True, True)) == {"kept"}


def test_groups_in_which_all_fail_or_all_succeed_leave_an_empty_batch_and_ours_says_so() -> None:
    bare = MCAdvantage(2, prompt_key="group", trajectory_return="sum", keep_return_bounds=(0.1, 0.9))

    def failed() -> TensorDict:
        done = torch.tensor([False, True]).unsqueeze(-1)
        return TensorDict(
            {"group": torch.zeros(2, dtype=torch.long), ("next", "reward"): torch.zeros(2, 1), ("next", "done"): done},
            [2],
        )

    assert bare.inv(failed()) is None
    assert bare.inv(failed()) is None  # The group is complete, and yet there is nothing.
    alike = group_advantages(torch.tensor([0.0, 0.0, 1.0, 1.0, 0.0, 0.0]), 2)
    assert alike.empty
    assert alike.kept().shape == (0, 1)
    assert alike.advantage.eq(0).all()
    mixed = group_advantages(torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]), 2)
    assert not mixed.empty
    assert mixed.keep.tolist() == [False, False, True, True, False, False]
    policy = make_policy()
    assert loss_of(policy, decisions(policy).set("advantage", mixed.advantage)[mixed.keep]).isfinite()


def test_the_ppo_loss_wants_a_column_of_advantages_and_ours_is_one() -> None:
    policy = make_policy()
    data = decisions(policy)
    ours = group_advantages(torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]))
    with pytest.raises(ValueError, match="outer product over samples"):
        loss_of(policy, data.copy().set("advantage", ours.advantage.squeeze(-1)))
    assert ours.advantage.shape == (6, 1)
    assert loss_of(policy, data.copy().set("advantage", ours.advantage)).isfinite()


def test_the_collector_is_called_collector() -> None:
    import torchrl.collectors

    assert not hasattr(torchrl.collectors, "SyncDataCollector")
    collector = torchrl.collectors.Collector(
        chunk_env(make_env(2), SCALING.observation_norm(), SCALING.env_action()),
        make_policy(),
        frames_per_batch=4,
        total_frames=4,
    )
    (data,) = list(collector)
    collector.shutdown()
    assert torch.equal(make_policy().action_tokenizer.decode(data[TOKENS]), data[CHUNK])
