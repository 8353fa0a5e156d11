"""The flow policy: its sampler is the published one, and it keeps to what it is given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict

from vla_runtime.learn.euler import BETA, gain
from vla_runtime.learn.flow import FlowPolicy
from vla_runtime.learn.keys import CHUNK, DELAY, NOISE, PREV_CHUNK, WEIGHTS
from vla_runtime.learn.policy import build_policy

from .flows import ACTIONS, ROWS, flow_policy, flow_spec, looked_at, published_euler


def chunks(policy: FlowPolicy, inputs: TensorDict) -> torch.Tensor:
    with torch.no_grad():
        return policy(inputs.copy())[CHUNK]


@given(st.integers(1, 12), st.integers(0, 2**31), st.booleans())
@settings(max_examples=30, deadline=None)
def test_the_sampler_is_the_published_one(steps: int, seed: int, guided: bool) -> None:
    policy = flow_policy(steps)
    inputs = looked_at(1, seed=seed)
    inputs[DELAY] *= 0
    inputs[WEIGHTS] *= guided
    given_chunk = chunks(policy, inputs)[0].numpy()
    features = policy.see(*policy.inputs(inputs))

    def clean(x: np.ndarray, tau: float) -> np.ndarray:
        with torch.no_grad():
            noisy, time = torch.from_numpy(x).float().reshape(1, -1), torch.tensor([[tau]])
            out = policy.denoiser(noisy, time, policy.denoiser.context(features))
        return out.reshape(x.shape).double().numpy()

    previous, weights = inputs[PREV_CHUNK][0].double().numpy(), inputs[WEIGHTS][0].double().numpy()
    expected = published_euler(clean, inputs[NOISE][0].double().numpy(), steps, previous, weights, BETA)
    assert np.abs(given_chunk - expected).max() < 1e-4 * max(1.0, np.abs(expected).max())


@given(st.integers(1, 12), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_with_nothing_held_the_chunk_is_the_same_to_the_last_bit(steps: int, seed: int) -> None:
    policy = flow_policy(steps)
    inputs = looked_at(seed=seed)
    inputs[DELAY] *= 0
    inputs[WEIGHTS] *= 0
    assert torch.equal(chunks(policy, inputs), chunks(policy, inputs.exclude(PREV_CHUNK, DELAY, WEIGHTS)))


@given(st.integers(0, ROWS), st.integers(1, 8), st.integers(0, 2**31), st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_rows_of_the_prefix_come_out_as_given(delay: int, steps: int, seed: int, guided: bool) -> None:
    inputs = looked_at(seed=seed)
    inputs[DELAY].fill_(delay)
    inputs[WEIGHTS] *= guided
    made = chunks(flow_policy(steps), inputs)
    assert torch.equal(made[:, :delay], inputs[PREV_CHUNK][:, :delay])
    assert not torch.isclose(made[:, delay:], inputs[PREV_CHUNK][:, delay:]).any()


def test_what_lies_behind_the_prefix_is_not_read() -> None:
    policy, inputs = flow_policy(), looked_at()
    inputs[WEIGHTS] *= 0
    other = inputs.clone()
    for row, delay in enumerate(inputs[DELAY].tolist()):
        other[PREV_CHUNK][row, delay:] += 5.0
    assert torch.equal(chunks(policy, other), chunks(policy, inputs))
    moved = inputs.clone()
    moved[PREV_CHUNK] += 0.5
    answers = (chunks(policy, moved) - chunks(policy, inputs)).abs().amax((1, 2))
    assert torch.equal(answers > 0, inputs[DELAY] > 0)


def test_guidance_pulls_towards_the_previous_chunk_where_its_weights_are_1() -> None:
    policy, inputs = flow_policy(), looked_at(16)
    inputs[DELAY] *= 0
    inputs[WEIGHTS] = (torch.arange(ROWS) < 3).float().expand(16, ROWS).clone()
    free = chunks(policy, inputs.exclude(PREV_CHUNK, DELAY, WEIGHTS))
    apart, before = ((made - inputs[PREV_CHUNK]).abs().mean((0, 2)) for made in (chunks(policy, inputs), free))
    assert (apart[:3] < 0.3 * before[:3]).all()
    assert (apart[3:] > 0.5 * before[3:]).all()


def test_the_guidance_of_a_step_is_bounded_and_strongest_at_the_ends() -> None:
    strengths = [gain(k, 10) * 10 for k in range(10)]
    assert strengths[0] == strengths[1] == BETA
    assert strengths[5] == pytest.approx(2.0)
    assert max(strengths) == BETA
    assert strengths[9] == BETA


def test_other_noise_gives_another_chunk_and_the_same_noise_the_same() -> None:
    policy, inputs = flow_policy(), looked_at()
    other = inputs.copy().set(NOISE, inputs[NOISE] + 1.0)
    assert torch.equal(chunks(policy, inputs), chunks(policy, inputs))
    assert not torch.isclose(chunks(policy, other)[0], chunks(policy, inputs)[0]).any()


def test_without_noise_it_is_drawn_from_the_given_generator() -> None:
    policy, inputs = flow_policy(), looked_at(continued=False).exclude(NOISE)
    policy.generator = torch.Generator().manual_seed(4)
    first, second = chunks(policy, inputs), chunks(policy, inputs)
    policy.generator.manual_seed(4)
    assert torch.equal(chunks(policy, inputs), first)
    assert not torch.equal(second, first)


def test_half_a_chunk_to_continue_is_refused() -> None:
    with pytest.raises(KeyError, match="no delay given, but others of prev_chunk, delay, prefix_weights"):
        flow_policy()(looked_at().exclude(DELAY))


def test_without_a_step_there_is_no_chunk() -> None:
    with pytest.raises(ValueError, match="sampling_steps is 0, expected at least 1"):
        flow_policy(0)


@pytest.mark.parametrize("head", ["continuous", "tokens"])
def test_a_contract_with_another_head_is_refused(head: str) -> None:
    import msgspec

    spec = msgspec.structs.replace(flow_spec(), head=head)
    with pytest.raises(ValueError, match=f"the flow policy has a 'flow' head, '{head}' given"):
        build_policy(spec, "flow")


def test_a_chunk_has_as_many_rows_and_actions_as_its_contract_says() -> None:
    assert chunks(flow_policy(), looked_at(5)).shape == (5, ROWS, ACTIONS)
