"""What torchrl's reference page for VLA policies shows, word for word, on our policies."""

from __future__ import annotations

import warnings

import torch
from tensordict import TensorDict
from torchrl.objectives import BCLoss, ClipPPOLoss

from vla_runtime.learn import toy
from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.fused import FusedPolicy
from vla_runtime.learn.grpo.advantage import group_advantages
from vla_runtime.learn.keys import ACTION, IMAGE, INSTRUCTION_ID, STATE, use_root_keys
from vla_runtime.learn.policy import build_policy

BATCH = 8


def made(head: str) -> tuple[FusedPolicy, TensorDict]:
    data = toy.collect(BATCH, 4)
    spec = make_spec(toy.facts(), data[STATE], data[ACTION], head)
    inputs = data[:, 0].select(IMAGE, STATE, INSTRUCTION_ID).clone()
    return use_root_keys(build_policy(spec, seed=0)), inputs


def test_the_seed_pages_continuous_policy_writes_a_chunk_and_its_token_policy_tokens() -> None:
    policy, inputs = made("continuous")
    assert policy(inputs.clone())["action_chunk"].shape == (BATCH, 8, 4)
    policy, inputs = made("tokens")
    out = policy(inputs.clone())
    assert out["action_tokens"].shape == (BATCH, 8, 4)
    assert out["log_probs"].shape == (BATCH,)


def test_the_seed_pages_behaviour_cloning_leaves_padded_rows_out() -> None:
    policy, inputs = made("continuous")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The name target_actor_network_params", category=UserWarning)
        loss = BCLoss(policy, loss_function="l1")
    loss.set_keys(action="action_chunk", pad_mask="action_is_pad")
    with torch.no_grad():
        inputs["action_chunk"] = policy(inputs.clone())["action_chunk"] + 0.5
    inputs["action_is_pad"] = torch.zeros(BATCH, 8, dtype=torch.bool)
    inputs["action_is_pad"][:, 4:] = True
    inputs["action_chunk"][:, 4:] = 1e6
    value = loss(inputs)["loss_bc"]
    torch.testing.assert_close(value.detach(), torch.tensor(0.5))
    value.backward()
    assert any(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in policy.parameters())


def test_the_seed_pages_token_fine_tuning_raises_what_was_better_than_its_group() -> None:
    policy, inputs = made("tokens")
    loss = ClipPPOLoss(policy, critic_network=None, entropy_bonus=False)
    loss.set_keys(action="action_tokens", sample_log_prob="log_probs", advantage="advantage")
    tokens = torch.randint(0, 256, (BATCH, 8, 4), generator=torch.Generator().manual_seed(0))

    def log_probs() -> torch.Tensor:
        return policy.get_dist(inputs).log_prob(tokens)

    batch = inputs.clone()
    batch["action_tokens"] = tokens
    batch["log_probs"] = before = log_probs().detach()
    batch["advantage"] = group_advantages(torch.tensor([1.0, 0, 0, 0, 1, 1, 0, 0]), 4).advantage
    optimiser = torch.optim.SGD(policy.parameters(), lr=0.1)
    loss(batch)["loss_objective"].backward()
    optimiser.step()
    gained = (log_probs().detach() - before)[:, None] * batch["advantage"].sign()
    assert gained.mean() > 0
