"""One episode's columns to training samples, whatever file they came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from tensordict import TensorDict

from vla_runtime.core.errors import LogError
from vla_runtime.core.types import U8
from vla_runtime.learn.data import chunked
from vla_runtime.learn.keys import ACTION, IMAGE, INSTRUCTION_ID, STATE

__all__ = ["episode_samples", "finite_f32"]


def episode_samples(
    images: Mapping[str, U8], state: NDArray[np.float32], ids: Sequence[int], action: NDArray[np.float32], rows: int
) -> TensorDict:
    """``Source.read``'s answer for images u8[T, H, W, 3] by camera, state f32[T, S], T ids and action f32[T, A].

    ``rows`` are those of a chunk. What lies past the episode's end repeats the last action and is marked as padding.
    Images stay in memory as they are, H x W x RGB.
    """
    steps = len(action)
    data = TensorDict(batch_size=[1, steps])
    pixels = {name: torch.from_numpy(block).permute(0, 3, 1, 2)[None] for name, block in images.items()}
    data[IMAGE] = TensorDict(pixels, [1, steps])
    data[STATE] = torch.from_numpy(state)[None]
    data[INSTRUCTION_ID] = torch.tensor(ids, dtype=torch.int64)[None]
    data[ACTION] = torch.from_numpy(action)[None]
    done = torch.zeros(1, steps, 1, dtype=torch.bool)
    done[:, -1] = True
    data["next", "done"] = done
    return chunked(data, rows)


def finite_f32(values: NDArray[np.generic], where: str) -> NDArray[np.float32]:
    """``values`` [T, D] as f32.

    Raises:
        LogError: one of them is NaN, infinite or too large; the message begins with ``where`` and names its row.
    """
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    bad = np.argwhere(~np.isfinite(narrow))
    if len(bad):
        row, column = bad[0]
        raise LogError(f"{where}: row {row}, dimension {column} is {values[row, column]}, expected finite numbers")
    return narrow
