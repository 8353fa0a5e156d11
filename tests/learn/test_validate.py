"""The error is what it says: mean absolute, over samples, rows and joints."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.dataset import load_dataset
from vla_runtime.learn.keys import CHUNK, STATE
from vla_runtime.learn.policy import build_policy
from vla_runtime.learn.validate import chunk_error

from .logs import write_episode


class Constant(torch.nn.Module):
    """A head that predicts ``value`` (normalised), whatever is seen."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = value

    def forward(self, features: Tensor) -> Tensor:
        return self.value.expand(len(features), -1)


def test_the_error_of_a_known_prediction_is_the_mean_distance(tmp_path: Path) -> None:
    for i in range(3):
        write_episode(tmp_path / f"{i}.mcap", [7 * i + k for k in range(1, 6)])
    data = load_dataset(tmp_path, val_fraction=0)
    spec = make_spec(data.facts, data.train[STATE], data.train[CHUNK])
    policy = build_policy(spec, "visuomotor", seed=0)
    mean, std = (torch.tensor(v) for v in (spec.normalisation.action_mean, spec.normalisation.action_std))
    guess = torch.tensor([3.0, 5.0])
    policy.head = Constant(((guess - mean) / std).repeat(spec.chunk_length))
    found = chunk_error(policy, spec, data.train)
    distance = (data.train[CHUNK] - guess).abs()
    assert found.by_unit == pytest.approx({"m": distance[..., 0].mean().item(), "rad": distance[..., 1].mean().item()})
    assert found.normalised == pytest.approx((distance / std).mean().item())


def test_there_is_no_error_of_nothing(tmp_path: Path) -> None:
    write_episode(tmp_path / "a.mcap")
    data = load_dataset(tmp_path)
    spec = make_spec(data.facts, data.train[STATE], data.train[CHUNK])
    assert chunk_error(build_policy(spec, "visuomotor"), spec, data.validation) is None


def test_many_samples_are_thinned_out_evenly(tmp_path: Path) -> None:
    write_episode(tmp_path / "a.mcap", range(1, 10))
    data = load_dataset(tmp_path)
    spec = make_spec(data.facts, data.train[STATE], data.train[CHUNK])
    policy = build_policy(spec, "visuomotor", seed=0)
    ends = torch.cat([data.train[:1], data.train[-1:]])
    assert chunk_error(policy, spec, data.train, most=2) == chunk_error(policy, spec, ends)
