"""A source whose samples can be told apart: every number in one says its episode and step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tensordict import TensorDict

from vla_runtime.learn.contract import TaskFacts
from vla_runtime.learn.keys import CHUNK, IMAGE, INSTRUCTION_ID, IS_PAD, STATE

CAMERAS = {"front": (6, 8), "wrist": (5, 4)}
TEXTS = ("go left", "go right")
ROWS = 3


class Recorded:
    """Episodes of ``lengths`` steps; the state of step t in episode e is (1000 e + t, noise), its action alike."""

    def __init__(self, lengths: Sequence[int], cameras: dict[str, tuple[int, int]] | None = None) -> None:
        self.lengths = list(lengths)
        self.facts = TaskFacts(
            name="sort",
            actions={"lift": "m", "turn": "rad"},
            state={"lift.position": "m", "turn.position": "rad"},
            cameras=CAMERAS if cameras is None else cameras,
            instructions=TEXTS,
            dt_ns=50_000_000,
            chunk_length=ROWS,
        )

    def read(self, episode: int) -> TensorDict:
        length = self.lengths[episode]
        random = torch.Generator().manual_seed(episode)
        steps = torch.arange(length)
        state = torch.stack([1000.0 * episode + steps, torch.randn(length, generator=random)], 1)
        following = steps[:, None] + torch.arange(ROWS)
        data = TensorDict(batch_size=[length])
        data[IMAGE] = TensorDict(batch_size=[length])
        for camera, (height, width) in self.facts.cameras.items():
            pixels = torch.randint(256, (length, height, width, 3), generator=random, dtype=torch.uint8)
            data[IMAGE, camera] = pixels.permute(0, 3, 1, 2)
        data[STATE] = state
        text = TEXTS[episode % len(TEXTS)]
        data[INSTRUCTION_ID] = torch.full((length,), self.facts.encoding().encode(text))
        data[CHUNK] = state[following.clamp(max=length - 1)] if length else torch.empty(0, ROWS, 2)
        data[IS_PAD] = following >= length
        return data
