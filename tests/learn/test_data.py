"""Chunks stay inside their episode, and stored data holds no text."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict
from tensordict.utils import is_non_tensor

from vla_runtime.learn import toy
from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.data import chunked, sample_buffer
from vla_runtime.learn.keys import ACTION, CHUNK, IMAGE, INSTRUCTION_ID, IS_PAD, STATE
from vla_runtime.learn.scaling import Scaling

H = 3


def numbered(rows: int, steps: int, ends: list[tuple[int, int]]) -> TensorDict:
    """Demonstrations whose action is 100 * episode + step, episodes ending at each (row, step) of ``ends``."""
    done = torch.zeros(rows, steps, 1, dtype=torch.bool)
    for row, step in ends:
        done[row, step] = True
    episode = torch.arange(rows).unsqueeze(1) * 10 + torch.cat(
        [torch.zeros(rows, 1), done[..., 0].float().cumsum(1)[:, :-1]], 1
    )
    data = TensorDict(batch_size=[rows, steps])
    data[ACTION] = (100.0 * episode + torch.arange(steps)).unsqueeze(-1)
    data[STATE] = data[ACTION].clone()
    data[IMAGE] = torch.zeros(rows, steps, 3, 4, 4, dtype=torch.uint8)
    data[INSTRUCTION_ID] = torch.zeros(rows, steps, dtype=torch.long)
    data["next", "done"] = done
    return data


def test_no_chunk_leaves_its_episode() -> None:
    samples = chunked(numbered(3, 7, [(0, 2), (0, 4), (1, 0), (2, 6)]), H)
    own = (samples[STATE] / 100).floor()
    assert torch.equal((samples[CHUNK] / 100).floor()[..., 0], own.expand(-1, H))


def test_rows_that_are_not_padded_are_the_following_steps() -> None:
    samples = chunked(numbered(3, 7, [(0, 2), (0, 4), (1, 0), (2, 6)]), H)
    following = samples[STATE] + torch.arange(H)
    real = ~samples[IS_PAD]
    assert torch.equal(samples[CHUNK][..., 0][real], following[real])


def test_true_in_the_mask_means_padded() -> None:
    samples = chunked(numbered(1, 4, [(0, 1)]), H)
    assert samples[IS_PAD].tolist() == [
        [False, False, True],
        [False, True, True],
        [False, False, True],
        [False, True, True],
    ]


def test_a_flat_stretch_of_steps_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \[N, T\]"):
        chunked(numbered(1, 4, []).reshape(-1), H)


def test_samples_are_normalised_but_stored_raw() -> None:
    data = toy.collect(8, 6)
    spec = make_spec(toy.facts(), data[STATE], data[ACTION])
    scaling = Scaling.from_spec(spec)
    samples = chunked(data, 8)
    buffer = sample_buffer(samples, scaling, 16)
    everything = torch.arange(len(samples))
    for _ in range(2):
        assert torch.equal(buffer[everything][STATE], scaling.normalise_state(samples[STATE]))
        assert torch.allclose(scaling.denormalise_action(buffer[everything][CHUNK]), samples[CHUNK], atol=1e-6)
        sample = buffer.sample()
        assert sample[CHUNK].shape == (16, 8, 4)
        assert not any(is_non_tensor(value) for value in sample.values(True, True))
