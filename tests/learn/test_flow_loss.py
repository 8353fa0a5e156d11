"""Flow matching learns from the rows that are to be planned: not from padding, not from what is given."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from vla_runtime.learn.bc import make_loss
from vla_runtime.learn.flow import FlowPolicy
from vla_runtime.learn.flow_loss import FlowLoss, Prefixes
from vla_runtime.learn.keys import CHUNK, IS_PAD

from .flows import ACTIONS, ROWS, flow_policy, looked_at


def samples(count: int = 6) -> TensorDict:
    made = looked_at(count, continued=False)
    made[CHUNK] = torch.randn(count, ROWS, ACTIONS, generator=torch.Generator().manual_seed(3))
    made[IS_PAD] = torch.zeros(count, ROWS, dtype=torch.bool)
    return made


def loss_of(policy: FlowPolicy, batch: TensorDict, seed: int = 0, **prefixes: float) -> float:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        return FlowLoss(policy, Prefixes(**prefixes))(batch)["loss_flow"].item()


def test_it_is_the_velocity_that_is_regressed(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, batch = flow_policy(), samples()
    seen = []
    forward = policy.denoiser.forward

    def watched(x: torch.Tensor, tau: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        seen.append((x, tau, forward(x, tau, context)))
        return seen[-1][2]

    monkeypatch.setattr(policy.denoiser, "forward", watched)
    given = loss_of(policy, batch, none=1.0)
    ((x, tau, clean),) = seen
    target = batch[CHUNK].repeat_interleave(8, 0).flatten(1)
    noise = (x - tau * target) / (1 - tau)
    assert noise.std().item() == pytest.approx(1.0, abs=0.1)
    assert torch.equal(tau.unique(), torch.arange(5) / 5)
    expected = ((clean - x) / (1 - tau) - (target - noise)).abs().mean()
    assert given == pytest.approx(expected.item(), rel=1e-3)


def test_padded_rows_are_not_learnt_from() -> None:
    policy, batch = flow_policy(), samples()
    batch[IS_PAD][:, 5:] = True
    batch[IS_PAD][0] = True
    spoilt = batch.clone()
    spoilt[CHUNK][spoilt[IS_PAD]] = 1000.0
    few, many = (torch.autograd.grad(grad_loss(policy, b), policy.denoiser.clean.bias)[0] for b in (batch, spoilt))
    # The last rows' own outputs have no gradient; what padding does to the noisy input is the same as on the robot.
    assert (few.reshape(ROWS, ACTIONS)[5:] == 0).all()
    assert (many.reshape(ROWS, ACTIONS)[5:] == 0).all()
    assert (few.reshape(ROWS, ACTIONS)[:5] != 0).all()


def grad_loss(policy: FlowPolicy, batch: TensorDict) -> torch.Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return FlowLoss(policy, Prefixes(none=1.0))(batch)["loss_flow"]


def test_given_rows_are_never_in_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, batch = flow_policy(), samples()
    loss = FlowLoss(policy, Prefixes(none=0.3))
    delays = torch.arange(6).repeat_interleave(8)
    monkeypatch.setattr(loss, "delays", lambda count, rows: delays)
    kept = []
    monkeypatch.setattr(loss, "_mean", lambda errors, rows: kept.append(rows) or FlowLoss._mean(errors, rows))
    loss(batch)
    assert torch.equal(kept[0], torch.arange(ROWS) >= delays.unsqueeze(1))
    errors = torch.ones(48, ROWS, ACTIONS)
    errors[~kept[0]] = float("inf")
    assert FlowLoss._mean(torch.where(kept[0].unsqueeze(-1), errors, 0.0), kept[0]) == 1.0


def test_delays_are_often_none_and_at_most_three_quarters_of_a_chunk() -> None:
    torch.manual_seed(0)
    delays = FlowLoss(flow_policy(), Prefixes()).delays(20_000, 16)
    assert (delays == 0).float().mean().item() == pytest.approx(0.4, abs=0.02)
    assert sorted(delays.unique().tolist()) == list(range(13))
    assert FlowLoss(flow_policy()).delays(50, 1).tolist() == [0] * 50


def test_given_rows_go_astray_and_the_next_ones_lead_back() -> None:
    loss, delays = FlowLoss(flow_policy()), torch.arange(12).remainder(7)
    demonstrated = torch.randn(12, 16, ACTIONS, generator=torch.Generator().manual_seed(5))
    given, chunk = loss.astray(demonstrated, delays)
    row, delay = torch.arange(16), delays.unsqueeze(1)
    assert torch.equal(given, row < delay)
    moved = (chunk != demonstrated).all(-1)
    assert torch.equal(moved, (row < delay + loss.prefixes.back - 1) & (delay > 0))


def test_going_astray_is_smooth_over_the_seam() -> None:
    still = torch.zeros(2000, 16, 1)
    _, chunk = FlowLoss(flow_policy(), Prefixes(back=8)).astray(still, torch.full((2000,), 6))
    steps = (chunk[:, 1:] - chunk[:, :-1]).abs().mean((0, 2))
    assert steps[5] < 0.2 * chunk[:, 5].abs().mean()
    assert steps.max() < 0.3 * chunk[:, 5].abs().mean()


def test_prefixes_can_be_left_as_they_were_demonstrated() -> None:
    loss = FlowLoss(flow_policy(), Prefixes(offset=0.0, drift=0.0, pace=0.0))
    demonstrated = samples()[CHUNK]
    assert torch.equal(loss.astray(demonstrated, torch.arange(6))[1], demonstrated)


def test_a_flow_policy_is_trained_by_flow_matching() -> None:
    assert isinstance(make_loss(flow_policy()), FlowLoss)
