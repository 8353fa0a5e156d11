"""Checkpoints of untrained policies: parity does not need training, and random weights hide nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from vla_runtime.learn import toy  # noqa: E402
from vla_runtime.learn.checkpoint import Checkpoint  # noqa: E402
from vla_runtime.learn.contract import make_spec  # noqa: E402
from vla_runtime.learn.policy import build_policy  # noqa: E402


def _build(head: str = "continuous", cameras: tuple[str, ...] = ("image",), size: tuple[int, int] = (16, 16)):
    facts = replace(toy.facts(), cameras=dict.fromkeys(cameras, size), instructions=("go left", "go right", "go home"))
    random = torch.Generator().manual_seed(0)
    scale = torch.tensor([1.0, 0.2, 2.0, 0.05])
    states = torch.randn(200, 8, generator=random)
    actions = scale * torch.randn(200, 4, generator=random) + torch.tensor([0.0, 1.0, -0.5, 0.1])
    spec = make_spec(facts, states, actions.clamp(-3, 3), head)
    kwargs = {"hidden_dim": 32, "num_bins": 64}
    return Checkpoint(spec, build_policy(spec, seed=1, **kwargs).eval(), kwargs, {"method": "none"}, "0" * 64)


@pytest.fixture
def build():
    """``build(head, cameras, size)`` makes a checkpoint."""
    return _build


@pytest.fixture
def checkpoint() -> Checkpoint:
    return _build()
