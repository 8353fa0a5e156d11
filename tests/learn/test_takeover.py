"""A policy trained for the takeover is shown where the chunk itself will have led by then."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict

from vla_runtime.core.spec import PolicySpec, StateSpec
from vla_runtime.core.types import CommittedChunk, PlanRequest, RobotState
from vla_runtime.learn.data import sample_buffer
from vla_runtime.learn.keys import CHUNK, STATE
from vla_runtime.learn.scaling import Scaling
from vla_runtime.learn.takeover import RollForward, Takeover, rolled_forward
from vla_runtime.plugins.planners.continuing import takeover_state

from .logs import spec


def moving() -> PolicySpec:
    """Three rows of (lift, turn), and a state that knows a position of both, a velocity and a force."""
    state = [("turn.position", "rad"), ("force", "none"), ("lift.position", "m"), ("turn.velocity", "none")]
    plain = spec()
    normalisation = msgspec.structs.replace(plain.normalisation, state_mean=(0.0,) * 4, state_std=(1.0,) * 4)
    return spec(state=tuple(StateSpec(*entry) for entry in state), normalisation=normalisation)


@given(st.floats(0.0, 2.0), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_training_and_the_robot_show_the_same_state(at: float, seed: int) -> None:
    contract = moving()
    chunk = np.random.RandomState(seed).standard_normal((3, 2)).astype(np.float32)
    measured = RobotState(np.zeros(2), np.zeros(2), 0, 0, np.array([7.0]))
    takeover_ns = 1 + round(at * contract.dt_ns)
    committed = CommittedChunk(chunk, 1, contract.dt_ns, 1 + 3 * contract.dt_ns)
    request = PlanRequest(0, 0, measured, "go left", committed=committed, takeover_ns=takeover_ns)
    shown = takeover_state(request, contract.dt_ns)
    trained = RollForward(contract)(
        torch.tensor([[1.0, 7.0, 1.0, 1.0]]), torch.from_numpy(chunk)[None], torch.tensor([at])
    )
    expected = [shown.position[1], shown.extras[0], shown.position[0], shown.velocity[1]]
    assert trained[0].tolist() == pytest.approx(expected, abs=1e-3)


def test_the_takeover_is_drawn_anew_within_the_first_half_and_the_data_stay_raw() -> None:
    contract, count = moving(), 400
    data = TensorDict({}, [count])
    data[CHUNK] = torch.arange(3.0)[None, :, None].expand(count, 3, 2).clone()
    data[STATE] = torch.tensor([[9.0, 7.0, 9.0, 9.0]]).expand(count, 4).clone()
    before = data.clone()
    buffer = sample_buffer(data, Scaling.from_spec(contract), count, before=[Takeover(contract)])
    first, second = (buffer.sample()[STATE] for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(first[:, 0], first[:, 2])
    assert 0 <= first[:, 0].min() < 0.1
    assert 0.9 < first[:, 0].max() <= 1.0
    assert (first[:, 1] == 7).all()
    assert (data == before).all()


def test_the_error_is_measured_on_takeovers_that_are_always_the_same() -> None:
    contract = moving()
    chunk = torch.arange(3.0)[None, :, None].expand(5, 3, 2)
    states = rolled_forward(contract, torch.zeros(5, 4), chunk)
    assert states[:, 0].tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_policy_without_its_joints_positions_is_refused() -> None:
    plain = spec()
    normalisation = msgspec.structs.replace(plain.normalisation, state_mean=(0.0,), state_std=(1.0,))
    with pytest.raises(ValueError, match="the state inputs are force: none of them is one"):
        Takeover(spec(state=(StateSpec("force", "none"),), normalisation=normalisation))
