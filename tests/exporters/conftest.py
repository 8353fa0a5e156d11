"""Checkpoints of untrained policies: parity does not need training, and random weights hide nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from vla_runtime.learn import toy  # noqa: E402
from vla_runtime.learn.checkpoint import Checkpoint  # noqa: E402
from vla_runtime.learn.contract import make_spec  # noqa: E402
from vla_runtime.learn.policy import build_policy  # noqa: E402

SIZES = {
    "tiny": {"hidden_dim": 32, "num_bins": 64},
    "visuomotor": {"hidden_dim": 32, "channels": 8, "keypoints": 5},
    "act": {"hidden_dim": 32, "width": 16, "layers": 1, "heads": 2},
    "flow": {"hidden_dim": 32, "channels": 8, "keypoints": 5, "sampling_steps": 5},
}


def _build(
    head: str = "continuous",
    cameras: Iterable[str] | Mapping[str, tuple[int, int]] = ("image",),
    size: tuple[int, int] = (16, 16),
    architecture: str = "tiny",
    sizes: Mapping[str, int] | None = None,
) -> Checkpoint:
    cameras = cameras if isinstance(cameras, Mapping) else dict.fromkeys(cameras, size)
    facts = replace(toy.facts(), cameras=cameras, instructions=("go left", "go right", "go home"))
    random = torch.Generator().manual_seed(0)
    scale = torch.tensor([1.0, 0.2, 2.0, 0.05])
    states = torch.randn(200, 8, generator=random)
    actions = scale * torch.randn(200, 4, generator=random) + torch.tensor([0.0, 1.0, -0.5, 0.1])
    spec = make_spec(facts, states, actions.clamp(-3, 3), head)
    kwargs = dict(SIZES[architecture] if sizes is None else sizes)
    policy = build_policy(spec, architecture, seed=1, **kwargs).eval()
    return Checkpoint(spec, policy, kwargs, {"method": "none"}, "0" * 64, architecture)


@pytest.fixture
def build():
    """``build(head, cameras, size, architecture)`` makes a checkpoint."""
    return _build


@pytest.fixture
def checkpoint() -> Checkpoint:
    return _build()
