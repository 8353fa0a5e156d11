"""How far a policy's chunks are from the demonstrated ones, in normalised units and in those of the joints."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from tensordict import TensorDict
from torch import Tensor

from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn.fused import FusedPolicy
from vla_runtime.learn.keys import CHUNK, IMAGE, INSTRUCTION_ID, NOISE, STATE
from vla_runtime.learn.scaling import Scaling
from vla_runtime.learn.takeover import rolled_forward

__all__ = ["ChunkError", "chunk_error"]

_BATCH = 256


@dataclass(frozen=True)
class ChunkError:
    """Mean absolute errors over samples, rows and joints: ``normalised`` as in the loss, and by unit of joint."""

    normalised: float
    by_unit: dict[str, float]


def chunk_error(policy: FusedPolicy, spec: PolicySpec, samples: TensorDict, most: int = 4096) -> ChunkError | None:
    """The error on ``samples`` as they are stored (physical units), evenly thinned out to ``most``; None for none.

    Of a policy that samples it is the error of one draw each, always with the same noise.
    """
    if not len(samples):
        return None
    scaling = Scaling.from_spec(spec)
    rows = torch.linspace(0, len(samples) - 1, min(most, len(samples))).long()
    noise = torch.Generator().manual_seed(0)
    total = torch.zeros(len(spec.actions), dtype=torch.float64)
    with torch.no_grad():
        for part in rows.split(_BATCH):
            total += _errors(policy, spec, samples[part], noise)
    mean = total / len(rows)
    units = [action.unit for action in spec.actions]
    physical = mean * scaling.action_std
    by_unit = {unit: physical[[u == unit for u in units]].mean().item() for unit in dict.fromkeys(units)}
    return ChunkError(mean.mean().item(), by_unit)


def _errors(policy: FusedPolicy, spec: PolicySpec, samples: TensorDict, noise: torch.Generator) -> Tensor:
    """f64[A]: summed over the samples, averaged over the rows, in normalised units."""
    inputs = samples.select(IMAGE, INSTRUCTION_ID)
    scaling, state = Scaling.from_spec(spec), samples[STATE]
    if spec.state_time == "takeover":
        state = rolled_forward(spec, state, samples[CHUNK])
    inputs[STATE] = scaling.normalise_state(state)
    if policy.samples:
        inputs[NOISE] = torch.randn(samples[CHUNK].shape, generator=noise)
    wanted = scaling.data_chunk().normalize(samples[CHUNK])
    return (policy(inputs)[CHUNK] - wanted).abs().mean(1).sum(0).double()
