"""One data set of each kind, made once; a test that spoils one takes a copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")

from .made_lerobot import write_v21, write_v30
from .made_openx import write_openx

WRITERS = {"v2.1": write_v21, "v3.0": write_v30, "openx": write_openx}
Copy = Callable[[str], Path]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Kind to directory; not to be changed."""
    return {kind: write(tmp_path_factory.mktemp("sets") / "blocks") for kind, write in WRITERS.items()}


@pytest.fixture
def copy(made: dict[str, Path], tmp_path: Path) -> Copy:
    """A copy of the data set of a kind, to be spoiled."""
    return lambda kind: Path(shutil.copytree(made[kind], tmp_path / "blocks"))


@pytest.fixture(params=["v2.1", "v3.0"])
def lerobot(request: pytest.FixtureRequest) -> str:
    return str(request.param)
