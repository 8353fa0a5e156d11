"""A simulated robot as a torchrl environment: one step is one action chunk, executed by the runtime's own loop."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Binary, Composite, Unbounded
from torchrl.envs import EnvBase

from vla_runtime.app.config import RobotConfig
from vla_runtime.app.simulate import AT_ONCE, Latency, Outcome, Scenario, instructions_of, open_demonstrator
from vla_runtime.core.errors import Fault
from vla_runtime.core.spec import PolicySpec
from vla_runtime.core.types import U8
from vla_runtime.learn.grpo.explorer import AWAKE
from vla_runtime.learn.grpo.lane import Lane, Seen
from vla_runtime.learn.grpo.samples import ROWS
from vla_runtime.learn.keys import CHUNK, IMAGE, INSTRUCTION_ID, NOISE, STATE

__all__ = ["Plan", "RobotEnv"]


@dataclass(frozen=True)
class Plan:
    """Which episodes are run, and how.

    Episode n of all belongs to group n // ``group_size``, and all of a group begin alike: with seed ``first_seed`` +
    group and the task's instruction at group modulo their number. Round r of ``lanes`` lanes runs the episodes
    r * ``lanes`` to (r + 1) * ``lanes`` - 1. An episode has at most ``chunks`` chunks, of which ``replan_interval``
    rows are executed. After ``groups`` groups, if that is given, the first begins anew. ``levels``: what the device's
    options are instead, for one group of lanes after the other, over and over.
    """

    task: str
    lanes: int
    group_size: int
    chunks: int
    replan_interval: int
    first_seed: int
    latency: Latency = AT_ONCE
    max_seconds: float = 60.0
    groups: int | None = None
    levels: Sequence[Mapping[str, Any]] = ({},)

    def __post_init__(self) -> None:
        if self.lanes % self.group_size:
            raise ValueError(f"{self.lanes} lanes cannot hold groups of {self.group_size}, expected a multiple of it")

    def scenario(self, episode: int, instructions: Sequence[str]) -> Scenario:
        """How episode ``episode`` begins."""
        group = episode // self.group_size
        if self.groups is not None:
            group %= self.groups
        return Scenario(
            seed=self.first_seed + group,
            instruction=instructions[group % len(instructions)],
            latency=self.latency,
            max_seconds=self.max_seconds,
        )

    def device(self, lane: int, config: RobotConfig) -> RobotConfig:
        """``config`` with the device options of lane ``lane``."""
        assert config.device is not None
        level = self.levels[lane // self.group_size % len(self.levels)]
        options = {**config.device.options, **level}
        return msgspec.structs.replace(config, device=msgspec.structs.replace(config.device, options=options))

    def noise(self, episode: int, dimensions: int) -> Tensor:
        """f32[dimensions]: standard normal, episode ``episode``'s own."""
        random = np.random.default_rng((self.first_seed, episode // 2))
        return torch.from_numpy(random.standard_normal(dimensions, np.float32)) * (1 - 2 * (episode % 2))


class RobotEnv(EnvBase):
    """Lanes ``first`` to ``first + count - 1`` of a ``plan``, from round ``first_round`` on, as a batch [count].

    A step takes ``("vla_action", "chunk")`` f32[count, H, A] in physical units and gives what the policy is shown when
    the next chunk is due: images u8[count, 3, H, W] by camera, state f32[count, S] in physical units, instruction ids.
    The reward is 1 for a success, at the last step of its episode.

    A round has ``plan.chunks`` steps. A lane whose episode ends earlier is done then, and after its reset it idles, at
    no cost, until the round is over; the reset that follows begins the next round. So rounds of all lanes keep step,
    whoever collects them, and a pass over ``plan.chunks`` steps holds every episode of the round from its beginning.

    Raises:
        ConfigError: the robot's device knows no such task, or is not simulated.
        Fault: an episode ended before it needed a plan.
    """

    batch_locked = True

    def __init__(
        self, config: RobotConfig, spec: PolicySpec, plan: Plan, first: int, count: int, first_round: int = 0
    ) -> None:
        super().__init__(batch_size=[count])
        self.plan, self.first = plan, first
        self._round, self._step_in_round = first_round - 1, plan.chunks
        policy = msgspec.structs.replace(config.policy, replan_interval=plan.replan_interval)
        config = msgspec.structs.replace(config, policy=policy)
        devices = [open_demonstrator(plan.device(first + index, config)) for index in range(count)]
        self._instructions = instructions_of(devices[0], plan.task)
        self._lanes = [Lane(config, device, spec) for device in devices]
        self._names = [camera.name for camera in spec.cameras]
        self.observation_spec = Composite(
            observation=Composite(
                image=Composite(
                    {
                        camera.name: Unbounded((count, 3, camera.height, camera.width), dtype=torch.uint8)
                        for camera in spec.cameras
                    },
                    shape=[count],
                ),
                state=Unbounded((count, len(spec.state))),
                shape=[count],
            ),
            instruction_id=Unbounded((count,), dtype=torch.int64),
            success=Binary(1, (count, 1), dtype=torch.bool),
            rows=Unbounded((count, 1), dtype=torch.int64),
            awake=Binary(1, (count, 1), dtype=torch.bool),
            noise=Unbounded((count, len(spec.actions))),
            shape=[count],
        )
        self.action_spec = Composite(
            vla_action=Composite(chunk=Unbounded((count, spec.chunk_length, len(spec.actions))), shape=[count]),
            shape=[count],
        )
        self.reward_spec = Unbounded((count, 1))
        self.done_spec = Composite(
            {name: Binary(1, (count, 1), dtype=torch.bool) for name in ("done", "terminated", "truncated")},
            shape=[count],
        )
        self._now = self.observation_spec.zero()
        self._now[ROWS].fill_(min(spec.chunk_length, plan.replan_interval + _fade_rows(config)))

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs: object) -> TensorDict:
        if self._step_in_round >= self.plan.chunks:
            self._round += 1
            self._step_in_round = 0
            for index, lane in enumerate(self._lanes):
                episode = self._round * self.plan.lanes + self.first + index
                news = lane.begin(self.plan.scenario(episode, self._instructions))
                if isinstance(news, Outcome):
                    raise Fault(f"an episode ended before a plan was asked for: {news.cause.text}")
                self._see(index, news)
                self._now[NOISE][index] = self.plan.noise(episode, len(self._now[NOISE][index]))
        self._now["success"].zero_()
        return self._shown().update(self.full_done_spec.zero())

    def _step(self, tensordict: TensorDictBase) -> TensorDict:
        chunks = tensordict.get(CHUNK).numpy()
        self._step_in_round += 1
        self._now["success"].zero_()
        ended = torch.zeros(*self.batch_size, 1, dtype=torch.bool)
        for index, lane in enumerate(self._lanes):
            if lane.running:
                ended[index] = self._see(index, lane.answer(np.ascontiguousarray(chunks[index])))
        over = torch.full_like(ended, self._step_in_round >= self.plan.chunks)
        out = self._shown()
        out["reward"] = out["success"].float()
        return out.update({"terminated": ended, "truncated": over & ~ended, "done": ended | over})

    def _shown(self) -> TensorDict:
        self._now[AWAKE] = torch.tensor([[lane.running] for lane in self._lanes])
        return self._now.clone()

    def _see(self, index: int, news: Seen | Outcome) -> bool:
        """Take in what a lane shows; whether its episode is over."""
        if isinstance(news, Outcome):
            self._now["success"][index] = news.success
            return True
        for name in self._names:
            self._now[IMAGE][name][index] = _picture(news.images[name])
        self._now[STATE][index] = torch.from_numpy(news.state)
        self._now[INSTRUCTION_ID][index] = news.instruction_id
        return False

    def _set_seed(self, seed: int | None) -> None:
        """The plan has the seeds; there is no other chance here."""

    def close(self, *, raise_if_closed: bool = True) -> None:
        """End the lanes' threads."""
        for lane in self._lanes:
            lane.close()
        self._lanes = []
        super().close(raise_if_closed=raise_if_closed)


def _fade_rows(config: RobotConfig) -> int:
    """Rows of a plan that are still executed, in part, after the next one took over."""
    return math.ceil(config.chunks.blend_rows) if config.chunks.strategy == "blend" else 0


def _picture(pixels: U8) -> Tensor:
    """u8[H, W, 3] to u8[3, H, W]; a copy, as frames straight from a message are read-only."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
