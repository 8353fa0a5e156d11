"""Tokens and actions: what is not a number is refused, what is outside is clamped, and a trace follows its input."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict
from torch import Tensor, nn
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.data.vla import ActionTokenizerBase, VocabTailActionTokenizer
from torchrl.envs.transforms import ActionTokenizerTransform

from vla_runtime.learn.finite import NotFinite
from vla_runtime.learn.keys import ACTION, CHUNK, TOKENS
from vla_runtime.learn.tokens import UniformTokenizer, VocabTailTokenizer

LOW, HIGH = torch.tensor([-1.0, 0.0, 10.0]), torch.tensor([1.0, 0.5, 30.0])
MASK = torch.tensor([True, True, False])


def uniform() -> UniformTokenizer:
    return UniformTokenizer(16, low=LOW, high=HIGH)


def tail(**further: object) -> VocabTailTokenizer:
    return VocabTailTokenizer(16, norm_low=LOW, norm_high=HIGH, **further)


def bare() -> VocabTailTokenizer:
    return VocabTailTokenizer(16)


every = pytest.mark.parametrize("make", [uniform, tail, bare])
Make = Callable[[], ActionTokenizerBase]


def actions_of(tokenizer: ActionTokenizerBase, seed: int = 0, shape: tuple[int, ...] = (5, 4)) -> Tensor:
    share = torch.rand(*shape, 3, generator=torch.Generator().manual_seed(seed))
    return 2 * share - 1 if getattr(tokenizer, "norm_low", LOW) is None else LOW + share * (HIGH - LOW)


@every
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_has_no_token(make: Make, bad: float) -> None:
    actions = actions_of(make())
    actions[1, 2, 1] = bad
    with pytest.raises(NotFinite, match="holds NaN or infinite values in dimension 1, expected finite"):
        make().encode(actions)


@every
@given(values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3))
@settings(max_examples=60, deadline=None)
def test_every_finite_action_gets_the_token_nearest_to_it(make: Make, values: list[float]) -> None:
    tokenizer = make()
    low, high = (-torch.ones(3), torch.ones(3)) if make is bare else (LOW, HIGH)
    action = torch.tensor(values)
    tokens = tokenizer.encode(action)
    assert tokens.dtype == torch.int64
    assert ((tokens >= 0) & (tokens < tokenizer.vocab_size)).all()
    inside = action.clamp(low, high)
    half = (high - low) / (2 * 15)
    assert ((tokenizer.decode(tokens) - inside).abs() <= half * (1 + 1e-5)).all()


@every
def test_the_centre_of_a_token_has_that_token(make: Make) -> None:
    tokenizer = make()
    # The vocabulary's tail has one edge more than it has centres: its first token is that of the upper end alone.
    tokens = torch.arange(0 if make is uniform else 1, 16).unsqueeze(-1).expand(-1, 3)
    assert torch.equal(tokenizer.encode(tokenizer.decode(tokens)), tokens)


@every
def test_a_token_outside_the_vocabulary_is_its_nearest_end(make: Make) -> None:
    tokenizer = make()
    ends = tokenizer.decode(torch.tensor([[0] * 3, [15] * 3]))
    assert torch.equal(tokenizer.decode(torch.tensor([[-7] * 3, [10**9] * 3])), ends)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("make", [uniform, tail])
def test_a_trace_follows_other_tokens_than_it_was_made_with(make: Make) -> None:
    tokenizer = make()

    class Decode(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokenizer = tokenizer

        def forward(self, tokens: Tensor) -> Tensor:
            return self.tokenizer.decode(tokens)

    tokens = [tokenizer.encode(actions_of(tokenizer, seed, (batch, 4))) for seed, batch in ((1, 2), (2, 2), (3, 5))]
    expected = [tokenizer.decode(t) for t in tokens]
    assert not torch.equal(expected[0], expected[1])
    traced = torch.jit.trace(Decode().eval(), tokens[0])
    batch = torch.export.Dim("batch", min=1)
    program = torch.onnx.export(
        Decode().eval(), (tokens[0],), dynamo=True, verbose=False, input_names=["tokens"], dynamic_shapes=({0: batch},)
    )
    file = io.BytesIO()
    program.save(file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    for given_tokens, wanted in zip(tokens, expected, strict=True):
        assert torch.equal(traced(given_tokens), wanted)
        (onnx,) = session.run(None, {"tokens": given_tokens.numpy()})
        assert onnx.dtype == np.float32
        # ONNX Runtime may divide by multiplying.
        np.testing.assert_allclose(onnx, wanted.numpy(), rtol=0, atol=4e-6 if make is uniform else 0)


@pytest.mark.parametrize(
    "further",
    [
        {},
        {"full_vocab_size": 32000},
        {"norm_mask": MASK},
        {"norm_mask": MASK, "gripper_binarize": True, "gripper_binarize_threshold": 0.2},
        {"norm_mask": MASK, "gripper_binarize": True, "gripper_invert": True},
        {"norm_mask": MASK, "gripper_invert": True, "full_vocab_size": 1000},
    ],
)
def test_the_vocabulary_tail_is_torchrls_to_the_last_bit(further: dict) -> None:
    ours, theirs = tail(**further), VocabTailActionTokenizer(16, norm_low=LOW, norm_high=HIGH, **further)
    actions = actions_of(ours, shape=(200,))
    assert torch.equal(ours.encode(actions), theirs.encode(actions))
    every_token = torch.arange(ours.vocab_size - 20, ours.vocab_size).unsqueeze(-1).expand(-1, 3)
    assert torch.equal(ours.decode(every_token), theirs.decode(every_token))
    assert ours.vocab_size == theirs.vocab_size


def test_statistics_of_an_openvla_checkpoint_are_read_as_torchrl_reads_them() -> None:
    stats = {"bridge": {"action": {"q01": [-0.1, 0.0, 0.0], "q99": [0.3, 0.2, 1.0], "mask": [True, True, False]}}}
    ours = VocabTailTokenizer.from_norm_stats(stats, "bridge", num_bins=32)
    theirs = VocabTailActionTokenizer.from_norm_stats(stats, "bridge", num_bins=32)
    tokens = torch.arange(32).unsqueeze(-1).expand(-1, 3)
    assert torch.equal(ours.decode(tokens), theirs.decode(tokens))
    with pytest.raises(ValueError, match="statistics of 'bride' wanted; valid: bridge; did you mean 'bridge'"):
        VocabTailTokenizer.from_norm_stats(stats, "bride")


@every
def test_the_bins_travel_in_the_state_dict(make: Make) -> None:
    source = make()
    other = make()
    for buffer in other.buffers():
        if buffer.is_floating_point():
            buffer.mul_(3)
    tokens = torch.tensor([[1, 7, 12]])
    assert not torch.equal(other.decode(tokens), source.decode(tokens))
    other.load_state_dict(source.state_dict())
    assert torch.equal(other.decode(tokens), source.decode(tokens))


@every
def test_torchrls_transform_encodes_on_the_sample_path_and_decodes_what_a_policy_says(make: Make) -> None:
    tokenizer = make()
    chunks = actions_of(tokenizer, shape=(10, 4))
    buffer = TensorDictReplayBuffer(
        storage=LazyTensorStorage(10), transform=ActionTokenizerTransform(tokenizer, in_key=CHUNK), batch_size=6
    )
    buffer.extend(TensorDict({CHUNK: chunks}, [10]))
    sample = buffer.sample()
    assert torch.equal(sample[TOKENS], tokenizer.encode(sample[CHUNK]))
    decode = ActionTokenizerTransform(tokenizer, mode="decode")
    assert torch.equal(decode(TensorDict({TOKENS: sample[TOKENS]}, [6]))[ACTION], tokenizer.decode(sample[TOKENS]))
    with pytest.raises(NotFinite):
        ActionTokenizerTransform(tokenizer)(TensorDict({ACTION: torch.full((2, 3), float("nan"))}, [2]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UniformTokenizer(8, low=float("nan"), high=1.0), "the bins' low holds NaN"),
        (lambda: UniformTokenizer(8, low=0.0, high=float("inf")), "the bins' high holds NaN"),
        (lambda: UniformTokenizer(8, low=1.0, high=1.0), "strictly greater"),
        (lambda: VocabTailTokenizer(8, norm_low=HIGH, norm_high=LOW), "is below norm_low"),
        (lambda: VocabTailTokenizer(8, norm_low=LOW, norm_high=torch.full((3,), torch.nan)), "norm_high holds NaN"),
        (lambda: VocabTailTokenizer(8, norm_low=LOW, norm_high=HIGH[:2]), "have the shapes"),
    ],
)
def test_bins_that_make_no_sense_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_tokens_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match="tokens of 1 dimensions given, expected 3"):
        tail().decode(torch.zeros(4, 1, dtype=torch.long))
