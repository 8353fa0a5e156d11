"""state.pt: how far a run has come. Either whole or the one before; loaded with ``weights_only``, it runs no code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from vla_runtime.core.errors import PolicyFileError
from vla_runtime.learn.atomic import replacing

__all__ = ["STATE_VERSION", "RunState", "load_state", "save_state"]

STATE_VERSION = 1
_FIELDS = {
    "step": int,
    "seconds": float,
    "evaluated": int,
    "best_step": int,
    "best_score": float,
    "evaluation": dict,
    "training": dict,
}


@dataclass
class RunState:
    """What a run knows beside its training.

    ``seconds``: spent so far, by all its processes. ``evaluated``, ``best_step``: the step of the last and of the best
    evaluation, 0 before the first; ``evaluation`` are the last one's figures.
    """

    step: int = 0
    seconds: float = 0.0
    evaluated: int = 0
    best_step: int = 0
    best_score: float = float("-inf")
    evaluation: dict[str, float] = field(default_factory=dict)


def save_state(path: Path, run: RunState, training: Mapping[str, Any]) -> None:
    """Write ``run`` and the training's state; until the new file is whole on the disk, the old one stays.

    Raises:
        PolicyFileError: the directory cannot be written.
    """
    content = {"format_version": STATE_VERSION, **vars(run), "training": dict(training)}
    with replacing(path) as draft, draft.open("wb") as file:
        torch.save(content, file)


def load_state(path: Path) -> tuple[RunState, dict[str, Any]]:
    """Read both back.

    Raises:
        PolicyFileError: missing, no state of a run, or of another format version.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's unpickler fails on junk with whatever it trips over
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise PolicyFileError(f"{path} is not the state of a run: {first}") from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != STATE_VERSION:
        raise PolicyFileError(f"{path} has state version {version!r}, this release reads {STATE_VERSION}")
    for name, kind in _FIELDS.items():
        if not isinstance(content.get(name), kind):
            raise PolicyFileError(f"{path}: field {name!r} is {type(content.get(name)).__name__}, not {kind.__name__}")
    training = content.pop("training")
    del content["format_version"]
    return RunState(**content), training
