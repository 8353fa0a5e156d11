"""A weak start, made once."""

from __future__ import annotations

import copy

import pytest

from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.grpo.weak import weak_start


@pytest.fixture(scope="session")
def _weak() -> Checkpoint:
    return weak_start(0)


@pytest.fixture
def weak(_weak: Checkpoint) -> Checkpoint:
    """A copy of its own: practice changes weights in place."""
    return copy.deepcopy(_weak)
