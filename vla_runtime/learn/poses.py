"""The pose task: the instruction names a pose, the expert moves straight towards it.

The images are noise and mean nothing: the policy has to learn to ignore them. The state is the joint positions, so
only the instruction tells one pose from another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from tensordict import TensorDict
from torch import Tensor

from vla_runtime.core.instructions import sha1_mod
from vla_runtime.core.spec import Unit
from vla_runtime.learn.contract import TaskFacts
from vla_runtime.learn.keys import ACTION, INSTRUCTION_ID, STATE

__all__ = ["PoseTask", "collect", "expert", "facts"]


@dataclass(frozen=True)
class PoseTask:
    """A robot and its named poses, in plain values: rad, m and seconds.

    Args:
        joints, units, low, high: the joints in order, their units and position limits.
        poses: instruction to target joint vector.
        max_speed: the expert's cruising speed for each joint, per second.
        cameras: name to (height, width), in order.
        dt_s, chunk_length: time between two rows of a chunk, and their number.
        lead_s: how far ahead of the measured pose the expert commands, so that a servo lagging by as much follows
            the expert's path and two chunks in a row agree. At least ``dt_s`` is sensible: with 0 a policy asked anew
            at every step would command the pose it is in.
        settle_s: time constant of the slow-down near the pose.

    Raises:
        ValueError: lengths that disagree, or a pose outside the limits.
    """

    joints: tuple[str, ...]
    units: tuple[Unit, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    poses: Mapping[str, tuple[float, ...]]
    max_speed: tuple[float, ...]
    cameras: Mapping[str, tuple[int, int]]
    dt_s: float
    chunk_length: int
    lead_s: float
    settle_s: float = 0.3

    def __post_init__(self) -> None:
        count = len(self.joints)
        vectors = {"units": self.units, "low": self.low, "high": self.high, "max_speed": self.max_speed}
        vectors |= {f"pose {text!r}": pose for text, pose in self.poses.items()}
        for name, vector in vectors.items():
            if len(vector) != count:
                raise ValueError(f"{name} has {len(vector)} values, expected {count}: {', '.join(self.joints)}")
        if not self.poses:
            raise ValueError("no pose is named, expected at least one instruction with its joint vector")
        for joint, low, high, speed in zip(self.joints, self.low, self.high, self.max_speed, strict=True):
            if not low < high:
                raise ValueError(f"joint {joint}: position limits [{low}, {high}], expected low < high")
            if not speed > 0:
                raise ValueError(f"joint {joint}: speed {speed}, expected more than 0")
        for text, pose in self.poses.items():
            for joint, low, value, high in zip(self.joints, self.low, pose, self.high, strict=True):
                if not low <= value <= high:
                    raise ValueError(f"pose {text!r} puts {joint} at {value}, outside its limits [{low}, {high}]")

    def targets(self) -> Tensor:
        """The poses, f32[P, D], in the order of the instructions."""
        return torch.tensor([list(pose) for pose in self.poses.values()], dtype=torch.float32)


def facts(task: PoseTask) -> TaskFacts:
    """The task's part of the contract. Chunk rows are ``dt_s`` apart."""
    units = dict(zip(task.joints, task.units, strict=True))
    return TaskFacts(
        name="poses",
        actions=units,
        state={f"{joint}.position": unit for joint, unit in units.items()},
        cameras=task.cameras,
        instructions=tuple(task.poses),
        dt_ns=round(task.dt_s * 1e9),
        chunk_length=task.chunk_length,
    )


def expert(task: PoseTask, position: Tensor, target: Tensor, seconds: Tensor) -> Tensor:
    """Where the expert is ``seconds`` after having been at ``position``, on the straight line to ``target``.

    With u the cruising time that is left, max_j |target_j - position_j| / max_speed_j, the expert follows
    du/dt = -min(1, u / settle_s): full speed first, then an exponential approach. Solved in closed form.

    Args:
        position, target: f32[..., D]. seconds: f32[...], at least 0.

    Returns:
        f32[..., D]
    """
    left = ((target - position).abs() / torch.tensor(task.max_speed)).amax(-1).clamp_min(1e-9)
    cruise = (left - task.settle_s).clamp_min(0.0)
    cruised = left - seconds.minimum(cruise)
    after = cruised * torch.exp(-(seconds - cruise).clamp_min(0.0) / task.settle_s)
    return target - (target - position) * (after / left).unsqueeze(-1)


def collect(
    task: PoseTask, episodes: int = 2048, steps: int = 32, *, seed: int = 0, text_vocab: int = 256
) -> TensorDict:
    """Demonstrations, TensorDict [episodes, steps] as ``data.chunked`` wants it, the poses taken in turn.

    There are no images in it: they are noise, and ``noise.NoiseImages`` draws them when samples are.

    Half of the starts are uniform over the joint range, the others lie within a tenth of it around the pose, so that
    the last, slow part of the way is known from all sides.
    """
    random = torch.Generator().manual_seed(seed)
    low, high = torch.tensor(task.low), torch.tensor(task.high)
    which = torch.arange(episodes) % len(task.poses)
    target = task.targets()[which].unsqueeze(1)
    anywhere = low + (high - low) * torch.rand(episodes, 1, len(low), generator=random)
    around = target + 0.1 * (high - low) * (2.0 * torch.rand(anywhere.shape, generator=random) - 1.0)
    near = (torch.arange(episodes) // len(task.poses)) % 2 == 1
    start = torch.where(near[:, None, None], around.clamp(low, high), anywhere)
    times = task.dt_s * torch.arange(steps, dtype=torch.float32)
    ids = torch.tensor([sha1_mod(text, text_vocab) for text in task.poses])
    data = TensorDict(batch_size=[episodes, steps])
    data[STATE] = expert(task, start, target, times.expand(episodes, steps))
    data[ACTION] = expert(task, start, target, (times + task.lead_s).expand(episodes, steps))
    data[INSTRUCTION_ID] = ids[which].unsqueeze(1).expand(episodes, steps).contiguous()
    data["next", "done"] = (torch.arange(steps) == steps - 1).view(1, steps, 1).expand(episodes, steps, 1)
    return data
