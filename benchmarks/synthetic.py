"""Demonstrations made up on the spot, of the size and type of real ones."""

from __future__ import annotations

import torch
from tensordict import TensorDict

from vla_runtime.learn.contract import TaskFacts
from vla_runtime.learn.keys import CHUNK, IMAGE, INSTRUCTION_ID, IS_PAD, STATE
from vla_runtime.learn.store.write import store_bytes

__all__ = ["Synthetic"]

_JOINTS, _ROWS, _STEPS = 7, 16, 100


class Synthetic:
    """Episodes of 100 samples: two cameras of 96x96, a state of 14, chunks of 16 rows of 7, three instructions."""

    def __init__(self, episodes: int) -> None:
        joints = [f"joint{number}" for number in range(_JOINTS)]
        self.lengths = [_STEPS] * episodes
        self.facts = TaskFacts(
            name="synthetic",
            actions=dict.fromkeys(joints, "rad"),
            state={f"{joint}.{kind}": "rad" for kind in ("position", "velocity") for joint in joints},
            cameras={"front": (96, 96), "wrist": (96, 96)},
            instructions=("reach the red block", "reach the green block", "reach the blue block"),
            dt_ns=50_000_000,
            chunk_length=_ROWS,
        )

    @classmethod
    def of_megabytes(cls, megabytes: int) -> Synthetic:
        """As many episodes as make a store of about that size."""
        return cls(max(1, round(megabytes * 1e6 / store_bytes(cls(1).facts, _STEPS))))

    def text(self, episode: int) -> str:
        """The instruction of ``episode``."""
        return self.facts.instructions[episode % len(self.facts.instructions)]

    def read(self, episode: int) -> TensorDict:
        random = torch.Generator().manual_seed(episode)
        data = TensorDict(batch_size=[_STEPS])
        data[IMAGE] = TensorDict(batch_size=[_STEPS])
        for camera, (height, width) in self.facts.cameras.items():
            pixels = torch.randint(256, (_STEPS, height, width, 3), generator=random, dtype=torch.uint8)
            data[IMAGE, camera] = pixels.permute(0, 3, 1, 2)
        data[STATE] = torch.randn(_STEPS, len(self.facts.state), generator=random)
        data[INSTRUCTION_ID] = torch.full((_STEPS,), self.facts.encoding().encode(self.text(episode)))
        following = torch.arange(_STEPS)[:, None] + torch.arange(_ROWS)
        actions = torch.randn(_STEPS, _JOINTS, generator=random)
        data[CHUNK] = actions[following.clamp(max=_STEPS - 1)]
        data[IS_PAD] = following >= _STEPS
        return data
