"""What is learnt from of a round of episodes."""

from __future__ import annotations

import torch
from tensordict import TensorDict

from vla_runtime.learn.grpo.samples import ADVANTAGE, ROWS, Episodes, samples_of, succeeded
from vla_runtime.learn.keys import IMAGE, INSTRUCTION_ID, LOG_PROBS, STATE, TOKENS

H, A = 4, 2


def rounds(ends: list[int], success: list[bool], steps: int = 3, rows: int = H) -> TensorDict:
    """Episodes that end after ``ends`` steps; what follows claims to succeed too. The state is the chunk's place."""
    count = len(ends)
    data = TensorDict(batch_size=[count, steps])
    data[IMAGE] = torch.zeros(count, steps, 3, 2, 2, dtype=torch.uint8)
    data[STATE] = torch.arange(count * steps, dtype=torch.float32).reshape(count, steps, 1)
    data[INSTRUCTION_ID] = torch.zeros(count, steps, dtype=torch.long)
    data[TOKENS] = torch.zeros(count, steps, H, A, dtype=torch.long)
    data[LOG_PROBS] = torch.zeros(count, steps, H, A)
    step = 1 + torch.arange(steps)
    end = torch.tensor(ends)[:, None]
    data["next", "done"] = (step == end)[..., None]
    data["next", "success"] = ((step == end) & torch.tensor(success)[:, None] | (step > end))[..., None]
    data["next", ROWS] = torch.full((count, steps, 1), rows)
    return data


def states(episodes: Episodes) -> list[int]:
    return episodes.samples[STATE].flatten().int().tolist()


def test_what_follows_an_end_belongs_to_no_episode() -> None:
    given = rounds([1, 3], [True, False])
    assert succeeded(given).tolist() == [True, False]
    episodes = samples_of(given, 2)
    assert states(episodes) == [0, 3, 4, 5]
    assert episodes.chunks == 4


def test_groups_that_agree_are_left_out() -> None:
    episodes = samples_of(rounds([1, 1, 2, 1], [True, True, False, True]), 2)
    assert states(episodes) == [6, 7, 9]
    assert (episodes.success, episodes.mixed) == (0.75, 0.5)


def test_without_a_mixed_group_there_is_nothing_to_learn_from() -> None:
    for success in ([True, True], [False, False]):
        episodes = samples_of(rounds([1, 2], success), 2)
        assert len(episodes.samples) == 0
        assert episodes.mixed == 0


def test_each_episode_weighs_the_same_however_long_it_is() -> None:
    episodes = samples_of(rounds([1, 3], [True, False]), 2)
    weight = episodes.samples[ADVANTAGE].mean((1, 2, 3))
    assert weight[0] > 0
    torch.testing.assert_close(weight[0], -weight[1:].sum())


def test_only_rows_that_were_executed_are_judged() -> None:
    advantage = samples_of(rounds([1, 1], [True, False], rows=3), 2).samples[ADVANTAGE]
    assert advantage.shape == (2, H, A, 1)
    assert (advantage[:, :3] != 0).all()
    assert (advantage[:, 3:] == 0).all()
    torch.testing.assert_close(advantage.mean((1, 2, 3)), torch.tensor([1.0, -1.0]))


def test_dimensions_that_were_not_varied_are_not_judged() -> None:
    advantage = samples_of(rounds([1, 1], [True, False]), 2, torch.tensor([False, True])).samples[ADVANTAGE]
    assert (advantage[:, :, 0] == 0).all()
    assert torch.equal(advantage[:, :, 1], samples_of(rounds([1, 1], [True, False]), 2).samples[ADVANTAGE][:, :, 1])
