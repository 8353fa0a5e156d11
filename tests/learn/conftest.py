"""A toy policy trained once for the whole session, by the recipe that users get."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from vla_runtime.learn.checkpoint import Checkpoint  # noqa: E402
from vla_runtime.learn.recipes import train_toy  # noqa: E402


@pytest.fixture(scope="session")
def toy_checkpoint() -> Checkpoint:
    return train_toy(seed=0)
