"""ToyVLAEnv in groups: one step is one action chunk, and the members of a group aim at the same target."""

from __future__ import annotations

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Composite, Unbounded
from torchrl.envs import EnvBase, ToyVLAEnv

from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn import toy
from vla_runtime.learn.executor import chunk_env
from vla_runtime.learn.grpo.samples import ROWS
from vla_runtime.learn.keys import IMAGE, INSTRUCTION_ID, NOISE, STATE
from vla_runtime.learn.reward import success_reward
from vla_runtime.learn.scaling import Scaling

__all__ = ["LEVELS", "GroupedToy", "toy_env"]


LEVELS = ((2, 0.1), (3, 0.1), (4, 0.1), (4, 0.07))
"""How many actions in a row must be how near to the target; the third is the task."""


class GroupedToy(ToyVLAEnv):
    """``lanes`` copies of the toy task; each ``group_size`` neighbours have one target at every reset of them all.

    Groups differ in how hard the task is: they have ``LEVELS``, over and over, from an easier one to one that is harder
    than the task. Where all members succeed or all fail there is nothing to learn, so what is learnt from moves from
    the easy to the hard ones by itself.

    An episode is a chunk, and begins after an action that was somewhere around the target, as demonstrations do: what a
    policy may be shown in the middle of the task. ``rows`` says how many actions of the chunk were executed. The
    picture, which is noise, is that of its beginning.

    It shows the instruction's integer id, not its text, which would cost more than the step itself.
    """

    def __init__(self, lanes: int, group_size: int, instruction_id: int, seed: int | None = None) -> None:
        self._group_size, self._instruction_id = group_size, instruction_id
        super().__init__(**toy.SIZES, batch_size=[lanes], seed=seed)
        observation = self.observation_spec.clone()
        del observation["language_instruction"]
        observation[INSTRUCTION_ID] = Unbounded((lanes,), dtype=torch.int64)
        self.observation_spec = Composite(observation, shape=self.batch_size)
        self.observation_spec[NOISE] = Unbounded((lanes, self.action_dim))
        self.observation_spec[ROWS] = Unbounded((lanes, 1), dtype=torch.int64)
        level = torch.arange(lanes) // group_size % len(LEVELS)
        steps, tolerances = torch.tensor(LEVELS).T
        self.success_steps = steps[level].unsqueeze(-1)
        self.success_tol = tolerances[level].unsqueeze(-1)

    def _sample_target(self) -> Tensor:
        lanes = self.batch_size.numel()
        targets = torch.rand(lanes // self._group_size, self.action_dim, generator=self._rng) - 0.5
        return targets.repeat_interleave(self._group_size, 0)

    def _make_state(self, action: Tensor | None) -> Tensor:
        if action is None:
            target = self._target.unflatten(0, (-1, self._group_size))[:, :1]
            away = torch.rand(len(target), 1, 1, generator=self._rng) * torch.randn(target.shape, generator=self._rng)
            action = (target + toy.MAX_NOISE * away).clamp(-1.0, 1.0).expand(-1, self._group_size, -1).flatten(0, 1)
            size = (*self.batch_size, *self.image_shape)
            self._image = torch.randint(0, 256, size, dtype=torch.uint8, generator=self._rng)
            self._noise = torch.randn(*self.batch_size, self.action_dim, generator=self._rng)
            self._rows = torch.zeros(*self.batch_size, 1, dtype=torch.int64)
        return super()._make_state(action)

    def _step(self, tensordict: TensorDictBase) -> TensorDict:
        stepped = tensordict.get("_step", None)
        self._rows = self._rows + (1 if stepped is None else stepped.reshape(-1, 1).long())
        return super()._step(tensordict)

    def _obs(self, state: Tensor) -> TensorDict:
        out = TensorDict({}, self.batch_size)
        out[IMAGE] = self._image
        out[STATE] = state
        out[INSTRUCTION_ID] = torch.full(self.batch_size, self._instruction_id)
        out[NOISE] = self._noise
        out[ROWS] = self._rows.clone()
        return out


def toy_env(spec: PolicySpec, lanes: int, group_size: int, seed: int = 0) -> EnvBase:
    """What a policy with contract ``spec`` acts in: normalised states and chunks, 1 for a success.

    Each of the chunk's actions is one step of the toy task; tokens and log-probabilities stay with the chunk that they
    belong to.
    """
    scaling = Scaling.from_spec(spec)
    env = GroupedToy(lanes, group_size, spec.instruction.encode(spec.instruction.texts[0]), seed)
    return chunk_env(env, scaling.env_action(), scaling.observation_norm(), success_reward())
