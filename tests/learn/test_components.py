"""torchrl's components as its reference page uses them, on our policies: docs/components.md is the table of all."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
import torchrl.data.vla as theirs
from tensordict import NonTensorData, TensorDict
from torch import Tensor
from torchrl.data.vla import ActionTokenizerBase, validate_vla_tensordict
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules.vla import TinyVLA
from torchrl.objectives import BCLoss, ClipPPOLoss

from vla_runtime.learn import keys, toy
from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.data import chunked
from vla_runtime.learn.fused import FusedPolicy
from vla_runtime.learn.keys import ACTION, IMAGE, INSTRUCTION, INSTRUCTION_ID, STATE, TOKENS, use_root_keys
from vla_runtime.learn.policy import build_policy
from vla_runtime.learn.schema import SchemaFacts, find_problems, to_root
from vla_runtime.learn.tokens import UniformTokenizer, VocabTailTokenizer

ROWS, WIDTH = 8, 4


def root_policy(head: str) -> FusedPolicy:
    random = torch.Generator().manual_seed(0)
    states, actions = torch.randn(99, 8, generator=random), torch.rand(99, WIDTH, generator=random) - 0.5
    spec = make_spec(toy.facts(), states, actions, head)
    sizes = {"num_bins": 16} if head == "tokens" else {}
    return use_root_keys(build_policy(spec, seed=1, hidden_dim=16, **sizes))


def root_samples() -> TensorDict:
    return to_root(chunked(toy.collect(2, 6), ROWS))


@pytest.mark.parametrize(
    ("ours", "name"),
    [
        (keys.IMAGE, "IMAGE_KEY"),
        (keys.STATE, "STATE_KEY"),
        (keys.INSTRUCTION, "INSTRUCTION_KEY"),
        (keys.ACTION, "ACTION_KEY"),
        (keys.CHUNK, "ACTION_CHUNK_KEY"),
        (keys.IS_PAD, "ACTION_IS_PAD_KEY"),
        (keys.TOKENS, "ACTION_TOKENS_KEY"),
    ],
)
def test_our_keys_are_torchrls(ours: object, name: str) -> None:
    assert ours == getattr(theirs, name)


def test_pictures_and_state_lie_under_the_observation() -> None:
    samples = chunked(toy.collect(2, 6), ROWS)
    assert set(samples[theirs.OBSERVATION_KEY].keys()) == {IMAGE[1], STATE[1]}


@pytest.mark.parametrize(
    ("change", "keys_refused"),
    [
        (lambda batch: batch.exclude("observation"), [IMAGE, STATE]),
        (lambda batch: batch.exclude(ACTION), [ACTION]),
        (lambda batch: batch.set(ACTION, torch.full((2, 3), torch.inf)), [ACTION]),
        (lambda batch: batch.exclude(INSTRUCTION), [INSTRUCTION]),
        (lambda batch: batch.set(INSTRUCTION, NonTensorData(" ", [2])), [INSTRUCTION]),
    ],
    ids=["nothing seen", "no action", "an infinite action", "no instruction", "a blank instruction"],
)
def test_what_torchrls_check_refuses_ours_refuses_too(
    change: Callable[[TensorDict], TensorDict], keys_refused: list[object]
) -> None:
    facts = SchemaFacts(("x", "y", "z"), ("a", "b"), ROWS, {"front": (6, 8)})
    batch = TensorDict({INSTRUCTION: NonTensorData("pick", [2]), ACTION: torch.zeros(2, 3)}, [2])
    batch[IMAGE], batch[STATE] = torch.rand(2, 3, 6, 8), torch.zeros(2, 2)
    assert validate_vla_tensordict(batch) == find_problems(batch, facts) == []
    changed = change(batch)
    with pytest.raises(ValueError, match="schema"):
        validate_vla_tensordict(changed)
    assert [problem.key for problem in find_problems(changed, facts)] == keys_refused


@pytest.mark.parametrize("make", [UniformTokenizer, VocabTailTokenizer])
def test_a_token_head_of_torchrls_takes_our_tokenizers_and_means_what_they_decode(make: type) -> None:
    tokenizer = make(16, low=-1.0, high=1.0) if make is UniformTokenizer else make(16)
    assert isinstance(tokenizer, ActionTokenizerBase)
    policy = TinyVLA(
        action_dim=WIDTH, chunk_size=ROWS, action_head="tokens", vocab_size=tokenizer.vocab_size,
        action_tokenizer=tokenizer, output_mode="both",
    )  # fmt: skip
    with torch.no_grad():
        out = policy(toy.make_env([3], seed=0).reset())
    assert torch.equal(out[keys.CHUNK], tokenizer.decode(out[TOKENS]))


def test_behaviour_cloning_as_the_reference_spells_it_is_the_error_of_the_rows_that_are_real() -> None:
    policy, samples = root_policy("continuous"), root_samples()
    with warnings.catch_warnings():
        # Of a target network that BCLoss does not have.
        warnings.filterwarnings("ignore", message="The name target_actor_network_params", category=UserWarning)
        loss = BCLoss(policy, loss_function="l1")
    loss.set_keys(action="action_chunk", pad_mask="action_is_pad")
    value = loss(samples.copy())["loss_bc"]
    real = ~samples["action_is_pad"]
    apart = (policy(samples.copy())["action_chunk"] - samples["action_chunk"]).abs()
    assert not real.all()
    torch.testing.assert_close(value, apart[real].mean())
    value.backward()
    assert any(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in policy.parameters())


def log_probs(policy: FusedPolicy, data: TensorDict) -> Tensor:
    return policy.get_dist(data).log_prob(data["action_tokens"])


def test_ppo_as_the_reference_spells_it_makes_tokens_likelier_whose_episodes_went_well() -> None:
    policy = root_policy("tokens")
    data = toy.collect(2, 6).reshape(-1).select(IMAGE, STATE, INSTRUCTION_ID)
    with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
        torch.manual_seed(0)
        data = policy(data)
    assert data["log_probs"].shape == data.batch_size, "of the whole chunk"
    data["advantage"] = torch.tensor([1.0, -1.0]).repeat(6).unsqueeze(-1)
    loss = ClipPPOLoss(policy, critic_network=None, entropy_bonus=False)
    loss.set_keys(action="action_tokens", sample_log_prob="log_probs", advantage="advantage")
    before = log_probs(policy, data).detach()
    torch.testing.assert_close(before, data["log_probs"])
    loss(data)["loss_objective"].backward()
    with torch.no_grad():
        for weight in policy.parameters():
            if weight.grad is not None:
                weight -= 1e-3 * weight.grad
        gained = log_probs(policy, data) - before
    assert (gained * data["advantage"].squeeze(-1)).sum() > 0
