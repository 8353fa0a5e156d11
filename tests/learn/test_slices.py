"""No chunk of a flat sample leaves its slice, wherever slices end and however that is said."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict

from vla_runtime.learn.keys import ACTION, CHUNK, IS_PAD
from vla_runtime.learn.slices import SliceChunks


@st.composite
def samples(draw: st.DrawFn) -> TensorDict:
    """Slices side by side; the action is 1000 * slice + step, so that it tells where it is from."""
    parts = []
    for number in range(draw(st.integers(1, 5))):
        rows, start, episode = draw(st.integers(1, 6)), draw(st.integers(0, 9)), draw(st.integers(0, 1))
        steps = start + torch.arange(rows)
        # Two slices of one episode that follow each other are one stretch of it.
        parts.append(TensorDict({ACTION: (1000.0 * number + steps)[:, None], "step": steps, "slice": steps * 0 + number,
                                 "episode": torch.full((rows,), 2 * number + episode)}, [rows]))  # fmt: skip
    return torch.cat(parts)


@given(sample=samples(), chunk_length=st.integers(1, 7))
@settings(max_examples=80, deadline=None)
def test_every_row_is_the_next_of_its_slice_or_padding(sample: TensorDict, chunk_length: int) -> None:
    out = SliceChunks(chunk_length, step_key="step", trajectory_key="episode")(sample)
    left = torch.tensor([int((sample["slice"][i:] == sample["slice"][i]).sum()) for i in range(len(sample))])
    ahead = torch.arange(chunk_length)
    assert torch.equal(out[IS_PAD], ahead >= left[:, None])
    assert torch.equal(out[CHUNK][..., 0], sample[ACTION] + ahead.minimum(left[:, None] - 1))


def flat(rows: int = 6, **columns: torch.Tensor) -> TensorDict:
    return TensorDict({ACTION: torch.arange(float(rows))[:, None], **columns}, [rows])


def test_slices_of_one_length_need_no_column() -> None:
    assert SliceChunks(2, slice_length=3)(flat())[IS_PAD][:, 1].tolist() == [False, False, True] * 2


@pytest.mark.parametrize("name", ["done", "terminated", "truncated"])
@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_the_end_of_an_episode_ends_a_slice_too(name: str, shape: tuple[int, ...]) -> None:
    sample = flat()
    sample["next", name] = torch.tensor([False, True, False, False, False, False]).reshape(shape)
    assert SliceChunks(2, slice_length=6)(sample)[IS_PAD][:, 1].tolist() == [False, True, False, False, False, True]


def test_another_episode_with_the_next_step_is_another_slice() -> None:
    sample = flat(step=torch.arange(6), episode=torch.tensor([0, 0, 0, 1, 1, 1]).unsqueeze(-1))
    chunks = SliceChunks(2, step_key="step", trajectory_key="episode")(sample)
    assert chunks[IS_PAD][:, 1].tolist() == [False, False, True] * 2


def test_a_sample_that_does_not_say_where_slices_end_is_refused() -> None:
    for given_keys in ({}, {"step_key": "step"}, {"trajectory_key": "episode"}):
        with pytest.raises(ValueError, match="must say where a slice ends"):
            SliceChunks(2, **given_keys)
    with pytest.raises(KeyError, match="no 'episode', which says where a slice ends"):
        SliceChunks(2, step_key="step", trajectory_key="episode")(flat())


@pytest.mark.parametrize(
    ("sample", "error", "message"),
    [
        (flat(5), ValueError, "a sample of 5 rows given, expected whole slices of 3"),
        (flat().reshape(2, 3), ValueError, r"batch shape \(2, 3\) given, expected a flat one"),
        (flat()[:0], ValueError, "the sample is empty"),
        (flat().exclude(ACTION), KeyError, "the sample has no 'action'"),
    ],
)
def test_a_sample_that_cannot_be_cut_is_refused(sample: TensorDict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        SliceChunks(2, slice_length=3)(sample)
