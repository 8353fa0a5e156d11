"""A policy that continues the plan in use, in virtual time: what it holds is what the robot was told and will be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from vla_runtime.app.config import RobotConfig
from vla_runtime.app.load import load_config
from vla_runtime.app.replay import check_loop, policy_for, reinfer
from vla_runtime.app.simulate import Latency, Scenario, instructions_of, open_demonstrator, open_policy, simulate
from vla_runtime.core.errors import ContractMismatch
from vla_runtime.core.sampling import OPTIONAL_INPUTS
from vla_runtime.core.types import ActionChunk, PlanRequest
from vla_runtime.episode.reader import Episode, read_episode
from vla_runtime.plugins.planners.continuing import committed_at

from ..plugins.conditioned import condition

MS = 1_000_000
TRACKER = load_config("tracker")
LONG = {"success_steps": 10**6, "max_steps": 100}
"""Two seconds, whatever the policy does."""


def config(policy: Path, **changes: object) -> RobotConfig:
    assert TRACKER.device is not None
    options = TRACKER.device.options | LONG
    return msgspec.structs.replace(
        TRACKER,
        device=msgspec.structs.replace(TRACKER.device, options=options),
        policy=msgspec.structs.replace(TRACKER.policy, file=str(policy), **changes),
    )


def episode(found: RobotConfig, path: Path, latency_ms: float = 35) -> Episode:
    device = open_demonstrator(found)
    (text,) = instructions_of(device, "track")
    scenario = Scenario(11, text, latency=Latency(round(latency_ms * MS)), max_seconds=2)
    simulate(found, device, open_policy(found, [text]), scenario, log=path)
    return read_episode(path)


def answered(logged: Episode) -> list[tuple[PlanRequest, ActionChunk, str]]:
    """Each chunk with its request and its refusal."""
    requests = {request.seq: request for group in logged.requests_by_tick.values() for request in group}
    return [
        (requests[chunk.request_seq], chunk, refusal)
        for group in logged.chunks_by_tick.values()
        for chunk, refusal in group
    ]


@pytest.mark.parametrize("latency_ms", [0, 35, 70])
@pytest.mark.parametrize("rtc", ["prefix", "both"])
def test_the_rows_before_the_takeover_are_those_that_are_committed(rtc, latency_ms, tmp_path: Path) -> None:
    policy = condition(Path(TRACKER.policy.file), OPTIONAL_INPUTS, tmp_path / "policy.onnx")
    logged = episode(config(policy, rtc=rtc), tmp_path / "episode.mcap", latency_ms)
    first, *later = answered(logged)
    assert first[1].delay is None, "there was no plan to continue"
    assert len(later) > 10
    for request, chunk, refusal in later:
        assert (refusal, chunk.delay) == ("", 1 - (chunk.t0_ns - request.takeover_ns) // chunk.dt_ns)
        assert request.committed is not None
        stamps = chunk.t0_ns + np.arange(chunk.delay) * chunk.dt_ns
        assert np.array_equal(chunk.actions[: chunk.delay], committed_at(request.committed, stamps).astype(np.float32))
    assert (max(chunk.delay for _, chunk, _ in later) >= 2) is (latency_ms > 0)


@pytest.mark.parametrize("state_time", ["capture", "request", "takeover"])
@pytest.mark.parametrize(("rtc", "draws"), [("prefix", 1), ("guidance", 4), ("both", 4), ("off", 4)])
def test_a_log_of_one_re_executes_and_re_infers_bit_for_bit(rtc, draws, state_time, tmp_path: Path) -> None:
    policy = condition(Path(TRACKER.policy.file), OPTIONAL_INPUTS, tmp_path / "policy.onnx", state_time)
    logged = episode(config(policy, rtc=rtc, draws=draws), tmp_path / "episode.mcap")
    assert check_loop(logged).identical
    again = reinfer(logged, policy_for(str(policy), logged))
    assert (again.identical, again.details["skipped"]) == (True, 0)
    assert again.compared == len(answered(logged)) > 10
    held = [chunk.delay is not None for _, chunk, _ in answered(logged)]
    assert held == [False] + [rtc != "off"] * (len(held) - 1)


@pytest.mark.parametrize("what", ["committed", "takeover"])
def test_a_loop_that_asks_for_another_plan_than_the_log_says_is_not_the_same(what: str, tmp_path: Path) -> None:
    logged = episode(config(Path(TRACKER.policy.file)), tmp_path / "episode.mcap")
    tick, (request,) = [*logged.requests_by_tick.items()][3]
    assert request.committed is not None
    other = replace(request, takeover_ns=request.takeover_ns + 1)
    if what == "committed":
        rows = replace(request.committed, actions=np.nextafter(request.committed.actions, np.float32(9)))
        other = replace(request, committed=rows)
    found = check_loop(replace(logged, requests_by_tick={**logged.requests_by_tick, tick: [other]}))
    assert found.differences == [f"tick {tick}: another plan was asked for than the log says"]


def test_what_the_policy_cannot_do_is_refused_before_anything_moves() -> None:
    with pytest.raises(ContractMismatch, match=r"policy\.rtc: the robot asks for prefix"):
        open_policy(config(Path(TRACKER.policy.file), rtc="prefix"), [TRACKER.instruction])


def test_several_draws_stay_nearer_to_the_plan_in_use_than_one(tmp_path: Path) -> None:
    policy = condition(Path(TRACKER.policy.file), {"noise", "prev_chunk"}, tmp_path / "policy.onnx")

    def apart(draws: int) -> float:
        logged = episode(config(policy, draws=draws), tmp_path / f"{draws}.mcap")
        found = []
        for request, chunk, _ in answered(logged)[1:]:
            assert request.committed is not None
            stamps = chunk.t0_ns + np.arange(4) * chunk.dt_ns
            found.append(np.abs(chunk.actions[:4] - committed_at(request.committed, stamps)).mean())
        return float(np.mean(found))

    assert apart(16) < apart(1)
