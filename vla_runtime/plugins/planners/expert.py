"""A device's own expert in a policy's place: its chunks are what a policy that sees the same should answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vla_runtime.core.protocols import Demonstrator
from vla_runtime.core.spec import PolicySpec
from vla_runtime.core.types import ActionChunk, Observation, PlanRequest
from vla_runtime.plugins.planners.inline import Think

__all__ = ["Expert", "expert_think"]


@dataclass(frozen=True, slots=True)
class Expert:
    """A contract that a device's ``demonstrate`` fulfils. ``hash`` identifies the contract: there is no file."""

    spec: PolicySpec

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.spec.to_json()).hexdigest()[:16]


def expert_think(expert: Expert, device: Demonstrator, device_ns: Callable[[], int]) -> Think:
    """A ``Think`` for ``InlinePlanner``.

    Row i is the expert's command for t0 + i dt, t0 being the oldest capture in the observation. Rows whose time has
    passed repeat the command of now.

    Args:
        device_ns: the instant that ``device.demonstrate`` takes for now.
    """
    spec, policy_hash = expert.spec, expert.hash
    steps_ns = np.arange(spec.chunk_length) * spec.dt_ns

    def think(observation: Observation, request: PlanRequest, chunk_seq: int) -> ActionChunk:
        ahead_s = np.maximum(observation.stamp_ns + steps_ns - device_ns(), 0) * 1e-9
        return ActionChunk(
            actions=device.demonstrate(ahead_s).astype(np.float32),
            t0_ns=observation.stamp_ns,
            dt_ns=spec.dt_ns,
            seq=chunk_seq,
            request_seq=request.seq,
            policy_hash=policy_hash,
            frames={name: frame.seq for name, frame in observation.images.items()},
            state=observation.robot,
        )

    return think
