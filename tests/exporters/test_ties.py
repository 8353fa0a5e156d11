"""A tie of two tokens does not fail the gate, and nothing that is not one passes for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from exporters.gate import batch_inputs, check
from exporters.golden import complete_contract
from exporters.ties import without_ties
from vla_runtime.core.errors import PolicyFileError
from vla_runtime.learn.decoding import decode_tokens
from vla_runtime.learn.infer import eager_logits
from vla_runtime.learn.scaling import Scaling

from .test_gate import eager_runner

TOLERANCE = 1e-5


@pytest.fixture
def tied(build):
    """A token policy whose two likeliest tokens are, for every action, equal but for the last bits."""
    checkpoint = build("tokens")
    with torch.no_grad():
        head = checkpoint.policy.head
        weight, bias = head.weight.view(8, 4, 64, -1), head.bias.view(8, 4, 64)
        weight[:, :, 40], bias[:, :, 40] = weight[:, :, 7], bias[:, :, 7] + 1.0
        bias[:, :, 7] = bias[:, :, 40] - 1e-7
        weight[:, :, 50], bias[:, :, 50] = weight[:, :, 7], bias[:, :, 40] - 0.1
        bias[:, :, 7] += 20.0
        bias[:, :, 40] += 20.0
        bias[:, :, 50] += 20.0
    return checkpoint


def answering(checkpoint, token):
    """The eager policy's answers, but everywhere of this token."""
    tokens = torch.full((1, 8, 4), token)
    chunk = Scaling.from_spec(checkpoint.spec).denormalise_action(decode_tokens(checkpoint.policy, tokens)).numpy()
    return lambda images, state, ids, sampling: np.repeat(chunk, len(ids), 0)


@pytest.mark.parametrize("token", [7, 40])
def test_either_token_of_a_tie_passes(tied, token: int) -> None:
    assert check(tied, answering(tied, token)) <= TOLERANCE


def test_a_token_that_loses_by_little_but_clearly_fails(tied) -> None:
    with pytest.raises(PolicyFileError, match="differs from the eager policy"):
        check(tied, answering(tied, 50))


@pytest.mark.parametrize("offset", [1e-3, np.nan])
def test_an_action_that_belongs_to_no_token_fails_though_there_is_a_tie(tied, offset: float) -> None:
    run = answering(tied, 7)
    with pytest.raises(PolicyFileError, match="differs from the eager policy"):
        check(tied, lambda *given: run(*given) + np.float32(offset))


def test_a_tie_in_one_place_excuses_no_other(tied) -> None:
    images, state, texts = batch_inputs(tied.spec, 2, 0)
    logits = eager_logits(tied.policy, tied.spec, images, state, texts)
    expected = answering(tied, 40)(images, state, texts, {})
    given = answering(tied, 7)(images, state, texts, {})
    assert without_ties(tied, logits, given, expected, TOLERANCE).max() <= TOLERANCE
    given[1, 3, 2] = answering(tied, 50)(images, state, texts, {})[1, 3, 2]
    error = without_ties(tied, logits, given, expected, TOLERANCE)
    assert np.argwhere(error > TOLERANCE).tolist() == [[1, 3, 2]]


@pytest.mark.parametrize("fault", ["another image", "another instruction"])
def test_a_token_policy_that_looks_at_something_else_fails(build, fault: str) -> None:
    checkpoint = build("tokens")
    run = eager_runner(checkpoint)
    faults = {
        "another image": lambda i, s, n, given: run({k: 255 - v for k, v in i.items()}, s, n, given),
        "another instruction": lambda i, s, n, given: run(i, s, np.roll(n, 1), given),
    }
    assert check(checkpoint, run) == 0.0
    with pytest.raises(PolicyFileError, match="differs from the eager policy"):
        check(checkpoint, faults[fault])


def test_the_golden_sample_is_of_the_instruction_whose_tokens_are_the_most_certain(build) -> None:
    checkpoint = build("tokens")
    spec = complete_contract(checkpoint)
    images, state, _ = batch_inputs(checkpoint.spec, 1, 0)
    leads = {}
    for text in spec.instruction.texts:
        best = eager_logits(checkpoint.policy, spec, images, state, [text]).topk(2, dim=-1).values
        leads[text] = float((best[..., 0] - best[..., 1]).min())
    assert spec.golden.instruction == max(leads, key=leads.get)
