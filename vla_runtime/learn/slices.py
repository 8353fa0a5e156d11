"""Action chunks from a flat sample of slices, such as torchrl's SliceSampler draws."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.envs.transforms import Transform

from vla_runtime.learn.keys import ACTION, CHUNK, IS_PAD

__all__ = ["SliceChunks"]

_ENDS = ("done", "terminated", "truncated")


class SliceChunks(Transform):
    """Adds the chunk f32[N, H, A] and ``action_is_pad`` bool[N, H] to a flat sample [N] with an action f32[N, A].

    No chunk leaves its slice: what would lie beyond repeats the last action and is marked (True = padded). torchrl's
    ``ActionChunkTransform`` takes the whole flat sample for one trajectory when it is a replay buffer's transform,
    since the sampler's marks are added after it.

    The sample must say where slices end. A slice ends where its trajectory does (another ``trajectory_key``, or
    ``("next", "done")``, ``terminated`` or ``truncated`` where they are there), and besides

    - every ``slice_length`` rows, or
    - where ``step_key``, a counter that each step of a trajectory raises by one, does not go on.

    Args:
        chunk_length: H.
        slice_length: rows of a slice, if all have as many.
        step_key: the counter, i64[N] or [N, 1].
        trajectory_key: i64[N] or [N, 1]; needed with ``step_key``.

    Raises:
        ValueError: neither ``slice_length`` nor both keys given, or a sample that is not flat or no whole number of
            slices.
        KeyError: the sample lacks one of the keys.
    """

    def __init__(
        self,
        chunk_length: int,
        *,
        slice_length: int | None = None,
        step_key: NestedKey | None = None,
        trajectory_key: NestedKey | None = None,
    ) -> None:
        super().__init__()
        if chunk_length < 1:
            raise ValueError(f"chunk_length {chunk_length} given, expected at least 1")
        if slice_length is None and (step_key is None or trajectory_key is None):
            raise ValueError("slice_length, or step_key and trajectory_key, must say where a slice ends")
        if slice_length is not None and slice_length < 1:
            raise ValueError(f"slice_length {slice_length} given, expected at least 1")
        self.chunk_length = chunk_length
        self.slice_length = slice_length
        self.step_key = step_key
        self.trajectory_key = trajectory_key

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        if tensordict.batch_dims != 1:
            raise ValueError(f"a sample of batch shape {tuple(tensordict.batch_size)} given, expected a flat one, [N]")
        action = tensordict.get(ACTION, None)
        if action is None:
            raise KeyError(f"the sample has no {ACTION!r}")
        if not len(action):
            raise ValueError("the sample is empty, expected at least one row")
        rows = torch.arange(len(action), device=action.device)
        ends = self._ends(tensordict, len(action))
        last = torch.where(ends, rows, len(action)).flip(0).cummin(0).values.flip(0).unsqueeze(1)
        ahead = rows.unsqueeze(1) + torch.arange(self.chunk_length, device=action.device)
        tensordict.set(CHUNK, action[ahead.minimum(last)])
        return tensordict.set(IS_PAD, ahead > last)

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        # On an env there is nothing to chunk.
        return next_tensordict

    def _ends(self, tensordict: TensorDictBase, rows: int) -> Tensor:
        """bool[N], whether a row is the last of its slice."""
        ends = torch.zeros(rows, dtype=torch.bool, device=tensordict.get(ACTION).device)
        ends[-1] = True
        if self.slice_length is not None:
            if rows % self.slice_length:
                raise ValueError(f"a sample of {rows} rows given, expected whole slices of {self.slice_length}")
            ends[self.slice_length - 1 :: self.slice_length] = True
        if self.trajectory_key is not None:
            ids = self._column(tensordict, self.trajectory_key, rows)
            ends[:-1] |= ids[1:] != ids[:-1]
        if self.step_key is not None:
            steps = self._column(tensordict, self.step_key, rows)
            ends[:-1] |= steps[1:] != steps[:-1] + 1
        for name in _ENDS:
            mark = tensordict.get(("next", name), None)
            if mark is not None:
                ends |= mark.reshape(rows, -1).any(-1)
        return ends

    @staticmethod
    def _column(tensordict: TensorDictBase, key: NestedKey, rows: int) -> Tensor:
        value = tensordict.get(key, None)
        if value is None:
            raise KeyError(f"the sample has no {key!r}, which says where a slice ends")
        return value.reshape(rows)
