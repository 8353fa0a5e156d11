"""Writes an Open X-Embodiment data set with torchrl's own code, which gets its episodes from a stand-in for the hub."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

with warnings.catch_warnings():
    # torchrl warns about its own collectors when they are imported.
    warnings.simplefilter("ignore", DeprecationWarning)
    import torchrl.data.datasets.lerobot as lerobot
    import torchrl.data.datasets.openx as openx

from .made import LENGTHS, TEXTS, action_of, image_of, png, state_of, task_of

__all__ = ["NAME", "lerobot", "openx", "write_openx"]

NAME = "cmu_stretch"


class _Episodes:
    """What ``datasets.load_dataset`` gives: every pass decodes anew, since torchrl changes what it gets."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for episode in range(len(LENGTHS)):
            yield {"data.pickle": {"steps": [_step(episode, row) for row in range(LENGTHS[episode])]}}

    def __len__(self) -> int:
        return len(LENGTHS)


def _step(episode: int, row: int) -> dict[str, Any]:
    last = row == LENGTHS[episode] - 1
    return {
        "observation": {
            "image": {"bytes": png(image_of(episode, row, "top")), "path": None},
            # torchrl unpacks the image named "image" alone; this one it pickles.
            "wrist_image": {"bytes": png(image_of(episode, row, "wrist")), "path": None},
            "state": np.array(state_of(episode, row), np.float64),
        },
        "action": np.array(action_of(episode, row), np.float64),
        "discount": 1.0,
        "reward": float(last),
        "is_first": row == 0,
        "is_last": last,
        "is_terminal": last,
        "language_instruction": TEXTS[task_of(episode)],
        "language_embedding": np.zeros(4),
    }


def write_openx(root: Path) -> Path:
    """The directory that ``OpenXExperienceReplay(NAME, root=root, download=True)`` leaves behind."""
    root.mkdir(parents=True)
    hub = ModuleType("datasets")
    hub.load_dataset = lambda *args, **options: _Episodes()  # type: ignore[attr-defined]
    to_tensor = SimpleNamespace(pil_to_tensor=lambda image: torch.from_numpy(np.array(image)).permute(2, 0, 1).clone())
    vision = {
        "torchvision": SimpleNamespace(transforms=SimpleNamespace(v2=SimpleNamespace(functional=to_tensor))),
        "torchvision.transforms": SimpleNamespace(v2=SimpleNamespace(functional=to_tensor)),
        "torchvision.transforms.v2": SimpleNamespace(functional=to_tensor),
        "torchvision.transforms.v2.functional": to_tensor,
        # Only draws a progress bar.
        "tqdm": None,
    }
    with (
        patch.dict(sys.modules, {"datasets": hub, **vision}),
        patch.object(openx, "_has_datasets", True),
        patch.object(openx, "_has_tv", True),
    ):
        openx.OpenXExperienceReplay(NAME, root=root, download=True, streaming=False)
    return root / NAME
