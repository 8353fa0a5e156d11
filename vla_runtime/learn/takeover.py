"""State roll-forward: a policy that is shown where the joints will be when its chunk takes over.

VLASH (Tang et al. 2025, "VLASH: Real-Time VLAs via Future-State-Aware Asynchronous Inference"): by the time a chunk
takes over, the robot has gone on along the plan before it. In training that is the demonstrated chunk itself.
"""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.envs.transforms import Transform

from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn.keys import CHUNK, STATE

__all__ = ["RollForward", "Takeover", "rolled_forward"]

_KINDS = ("position", "velocity")


class RollForward:
    """Which state inputs of a contract are a joint's position or velocity, and of which action.

    Raises:
        ValueError: none is a position of a joint that the policy moves.
    """

    def __init__(self, spec: PolicySpec) -> None:
        joints = {action.name: place for place, action in enumerate(spec.actions)}
        self.dt_s = spec.dt_ns * 1e-9
        self.longest = (spec.chunk_length - 1) / 2
        self.places: dict[str, list[tuple[int, int]]] = {kind: [] for kind in _KINDS}
        for place, entry in enumerate(spec.state):
            joint, _, kind = entry.name.rpartition(".")
            if kind in self.places and joint in joints:
                self.places[kind].append((place, joints[joint]))
        if not self.places["position"]:
            names = ", ".join(entry.name for entry in spec.state)
            raise ValueError(
                f"the state at the takeover is the position of the policy's joints, but the state inputs are {names}: "
                "none of them is one"
            )

    def __call__(self, state: Tensor, chunk: Tensor, at: Tensor) -> Tensor:
        """``state`` f32[B, S] with the joints where ``chunk`` f32[B, H, A] has them at row ``at`` f32[B], and as fast;
        the rest as it was measured. Physical units.
        """
        rolled = state.clone()
        here = _between(chunk, at)
        # Over the step around it, as on the robot.
        speed = (_between(chunk, at + 0.5) - _between(chunk, at - 0.5)) / self.dt_s
        for kind, values in zip(_KINDS, (here, speed), strict=True):
            for place, joint in self.places[kind]:
                rolled[:, place] = values[:, joint]
        return rolled


class Takeover(Transform):
    """Shows each sample of a replay buffer the state at a takeover of its own, drawn within the chunk's first half.

    On raw samples, in physical units. Random numbers come from ``generator``, or from torch's global one.
    """

    def __init__(self, spec: PolicySpec, generator: torch.Generator | None = None) -> None:
        super().__init__(in_keys=[], out_keys=[])
        self.roll, self.generator = RollForward(spec), generator

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        chunk = tensordict[CHUNK]
        at = self.roll.longest * torch.rand(len(chunk), generator=self.generator)
        return tensordict.set(STATE, self.roll(tensordict[STATE], chunk, at))


def rolled_forward(spec: PolicySpec, state: Tensor, chunk: Tensor) -> Tensor:
    """The states with takeovers spread evenly over the chunk's first half: the same each time."""
    roll = RollForward(spec)
    return roll(state, chunk, torch.linspace(0.0, roll.longest, len(state)))


def _between(chunk: Tensor, at: Tensor) -> Tensor:
    """f32[B, A]: linear between the rows, beyond them the first or the last."""
    last = chunk.shape[1] - 1
    at = at.clamp(0.0, last)
    before = at.floor().long()
    each = torch.arange(len(chunk))
    here, there = chunk[each, before], chunk[each, (before + 1).clamp(max=last)]
    return here + (at - before).unsqueeze(-1) * (there - here)
