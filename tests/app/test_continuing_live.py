"""A policy that continues the plan in use, in its own process and in real time: it is never late without being told."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from vla_runtime.core.types import ActionChunk, PlanRequest
from vla_runtime.episode.reader import Episode, read_episode
from vla_runtime.plugins.planners.continuing import committed_at

from ..plugins.conditioned import condition
from . import live

MS = 1_000_000
_ENOUGH = 14
SLOW = '''
"""A policy file whose answers come a quarter of a second later from the tenth on."""

import time

from vla_runtime.core.sampling import Sampling
from vla_runtime.plugins.policies.onnx import OnnxPolicy


class SlowPolicy(OnnxPolicy):
    calls = 0

    def __init__(self, path, threads=1, sampling=Sampling()):
        super().__init__(path, threads, sampling)

    def infer(self, *given, **more):
        self.calls += 1
        time.sleep(0.25 if self.calls > 10 else 0.0)
        return super().infer(*given, **more)
'''


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """Where the policy plug-in ``slow`` is installed."""
    (tmp_path / "slow_policy.py").write_text(SLOW)
    about = tmp_path / "slow-0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: slow\nVersion: 0\n")
    (about / "entry_points.txt").write_text("[vla_runtime.policies]\nslow = slow_policy:SlowPolicy\n")
    return tmp_path


def run(slow: Path, seconds: int) -> Episode:
    """The tracker at ten rows a second: eight rows, four of them a quarter of a second and more."""
    shipped = live.SHIPPED / "policies" / "toy.onnx"
    policy = condition(shipped, {"prev_chunk", "delay"}, slow / "policy.onnx", dt_ns=100 * MS)
    config = yaml.safe_load(live.patient("tracker", slow, hold_timeout_ms=20_000).read_text())
    config["device"]["options"] |= {"success_steps": 10**6, "max_steps": 10**6}
    config["policy"] |= {
        "file": str(policy), "type": "slow", "step_hz": 10, "replan_interval": 2, "frame_timeout_ms": 2000,
        "answer_timeout_ms": 5000, "hang_timeout_ms": 20_000, "heartbeat_timeout_ms": 20_000,
    }  # fmt: skip
    (slow / "slow.yaml").write_text(yaml.safe_dump(config))
    paths = os.pathsep.join([str(slow), os.environ.get("PYTHONPATH", "")])
    command = [
        *live.RUN,
        "--robot",
        slow / "slow.yaml",
        "--duration",
        seconds,
        "--log",
        slow / f"logs{seconds}",
        "--json",
    ]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120,
                          env=os.environ | {"PYTHONPATH": paths})  # fmt: skip
    assert done.returncode == 0, done.stderr
    return read_episode(Path(live.last_line(done.stdout)["log"]))


def answered(logged: Episode) -> list[tuple[PlanRequest, ActionChunk, str]]:
    """Each chunk with its request and its refusal."""
    requests = {request.seq: request for group in logged.requests_by_tick.values() for request in group}
    return [
        (requests[chunk.request_seq], chunk, refusal)
        for group in logged.chunks_by_tick.values()
        for chunk, refusal in group
    ]


def test_a_plan_that_comes_later_than_it_was_made_for_is_refused_and_asked_for_again(slow: Path) -> None:
    for seconds in (6, 30):  # on a crowded machine six are not enough
        logged = run(slow, seconds)
        found = answered(logged)
        held = [(request, chunk, refusal) for request, chunk, refusal in found if chunk.delay is not None]
        if len(held) > _ENOUGH:
            break
    assert len(held) > _ENOUGH
    for request, chunk, _ in held:
        assert request.committed is not None
        stamps = chunk.t0_ns + np.arange(chunk.delay) * chunk.dt_ns
        assert np.array_equal(chunk.actions[: chunk.delay], committed_at(request.committed, stamps).astype(np.float32))
    refused = [at for at, (_, _, refusal) in enumerate(found) if refusal]
    assert refused, "the first slow answer was made for a quick one"
    assert {found[at][2].partition(":")[0] for at in refused} == {"delay"}
    at = refused[0]
    then, late, _ = found[at]
    later = [(request, chunk) for request, chunk, refusal in found[at + 1 :] if chunk.delay is not None and not refusal]
    assert later
    for request, chunk in later:
        assert request.takeover_ns - request.stamp_ns > then.takeover_ns - then.stamp_ns
        assert chunk.delay > late.delay
    assert len(refused) < len(held) / 3, "in the long run they are made for as long as they take"
    code, report, errors = live.finish(*live.REPLAY, logged.path, "--check", "--policy", slow / "policy.onnx", "--json")
    assert code == 0, errors
    assert report["identical"]
