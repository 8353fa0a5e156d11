"""The policy with LeRobot's interface: what LeRobot's own code, torchrl's wrapper and ours may expect of it."""

from __future__ import annotations

import pytest
import torch
from tensordict import NonTensorStack, TensorDict
from torchrl.modules.vla import LeRobotPolicyWrapper

from vla_runtime.learn.act import MASK, TOKENS, ActConfig, ActPolicy, Feature
from vla_runtime.learn.bytes_text import byte_tokens
from vla_runtime.learn.keys import CHUNK, IMAGE, INSTRUCTION, INSTRUCTION_ID, STATE
from vla_runtime.learn.lerobot_style import LeRobotStylePolicy, check_features
from vla_runtime.learn.policy import build_policy

from .test_policy import TEXTS, inputs_of, spec_of


def batch_of(policy: ActPolicy, size: int = 3) -> dict[str, object]:
    random = torch.Generator().manual_seed(2)
    batch = {key: torch.rand(size, *f.shape, generator=random) for key, f in policy.config.input_features.items()}
    return batch | {"task": list(TEXTS[:size])}


@pytest.fixture
def policy() -> ActPolicy:
    torch.manual_seed(0)
    images = {"observation.images.front": (3, 24, 40), "observation.images.wrist": (3, 16, 16)}
    inputs = {key: Feature("VISUAL", shape) for key, shape in images.items()}
    config = ActConfig(
        {**inputs, "observation.state": Feature("STATE", (5,))},
        {"action": Feature("ACTION", (2,))},
        chunk_size=6, n_action_steps=2, dim_model=16, n_heads=2, dim_feedforward=32,
    )  # fmt: skip
    return ActPolicy(config).eval()


def test_every_part_of_the_batch_changes_the_chunk(policy: ActPolicy) -> None:
    batch = batch_of(policy)
    chunk = policy.predict_action_chunk(batch)
    assert chunk.shape == (3, 6, 2)
    for key in policy.config.input_features:
        other = policy.predict_action_chunk({**batch, key: batch[key].flip(0)})
        assert not torch.allclose(other[0], chunk[0], atol=1e-4), key
        assert torch.allclose(other[1], chunk[1], atol=1e-6), key  # the middle row stayed
    assert not torch.allclose(policy.predict_action_chunk({**batch, "task": TEXTS[1]})[0], chunk[0], atol=1e-4)


def test_task_and_its_tokens_say_the_same_and_padding_says_nothing(policy: ActPolicy) -> None:
    batch = batch_of(policy, 1)
    tokens = byte_tokens(TEXTS[0])
    chunk = policy.predict_action_chunk(batch)
    for room in (0, 5):
        row = torch.tensor([[*tokens, *[3] * room]])  # what is masked may be anything
        told = {**batch, TOKENS: row, MASK: torch.arange(row.shape[1])[None] < len(tokens)}
        assert torch.allclose(policy.predict_action_chunk(told), chunk, atol=1e-6)


def test_select_action_uses_up_its_rows_and_reset_forgets_them(policy: ActPolicy) -> None:
    batch = batch_of(policy)
    other = {**batch, "observation.state": batch["observation.state"] + 1}
    first, second = policy.predict_action_chunk(batch), policy.predict_action_chunk(other)
    assert torch.equal(policy.select_action(batch), first[:, 0])
    assert torch.equal(policy.select_action(other), first[:, 1])
    assert torch.equal(policy.select_action(other), second[:, 0])
    policy.reset()
    assert torch.equal(policy.select_action(batch), first[:, 0])


def test_its_own_loss_leaves_padded_rows_out(policy: ActPolicy) -> None:
    batch = batch_of(policy)
    wanted = torch.zeros(3, 6, 2)
    padded = torch.zeros(3, 6, dtype=torch.bool)
    padded[:, 4:] = True
    loss, shown = policy({**batch, "action": wanted, "action_is_pad": padded})
    wanted[:, 4:] = 1e6
    again, _ = policy({**batch, "action": wanted, "action_is_pad": padded})
    assert torch.equal(loss, again)
    assert shown["l1_loss"] == pytest.approx(policy.predict_action_chunk(batch)[:, :4].abs().mean().item())
    loss.backward()
    assert all(parameter.grad is not None for parameter in policy.parameters())


def test_torchrls_own_wrapper_gives_the_same_chunk_as_ours() -> None:
    spec = spec_of()
    ours = build_policy(spec, "act", seed=0)
    assert isinstance(ours, LeRobotPolicyWrapper)
    theirs = LeRobotPolicyWrapper(ours.policy, action_dim=4, chunk_size=8, camera_name="image")
    inputs = inputs_of(spec)
    inputs[INSTRUCTION] = NonTensorStack(*TEXTS)
    alone = inputs.copy().set(IMAGE, inputs[IMAGE, "image"] / 255.0)
    assert torch.allclose(theirs(alone)[CHUNK], ours(inputs)[CHUNK], atol=1e-6)


def test_images_are_normalised_where_the_policy_wants_them_so() -> None:
    spec = spec_of()
    plain = build_policy(spec, "act", seed=0)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    other = LeRobotStylePolicy(plain.policy, spec, image_mean=mean, image_std=std)
    inputs = inputs_of(spec).set(INSTRUCTION_ID, torch.zeros(3, dtype=torch.long))
    shifted = inputs.copy()
    image = inputs[IMAGE, "image"] / 255.0
    shifted[IMAGE] = TensorDict(
        {"image": (image - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]}, [3]
    )
    assert torch.allclose(other(inputs)[CHUNK], plain(shifted)[CHUNK], atol=1e-5)


def test_a_policy_of_other_features_is_refused_with_all_differences(policy: ActPolicy) -> None:
    with pytest.raises(ValueError) as refused:
        check_features(policy.config, spec_of(cameras=("front",)))
    for part in (
        "observation.images.front: the policy has 3x24x40, the contract 3x16x16",
        "observation.images.wrist: the policy has 3x16x16, the contract none",
        "observation.state: the policy has 5, the contract 8",
        "actions: the policy has 2, the contract 4",
        "chunk_size: the policy has 6, the contract 8",
    ):
        assert part in str(refused.value)


def test_a_chunk_of_another_shape_is_refused() -> None:
    spec = spec_of()
    ours = build_policy(spec, "act", seed=0)
    ours.policy.predict_action_chunk = lambda batch: torch.zeros(3, 8, 3)
    assert STATE in ours.in_keys
    with pytest.raises(ValueError, match=r"chunks of \(8, 3\), expected \(8, 4\)"):
        ours(inputs_of(spec).set(INSTRUCTION_ID, torch.zeros(3, dtype=torch.long)))
