"""model.pt: a trained policy with its contract. Loaded with ``weights_only``: a checkpoint never runs code."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import torch

from vla_runtime.core.errors import PolicyFileError
from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn.atomic import replacing
from vla_runtime.learn.fused import FusedPolicy
from vla_runtime.learn.policy import build_policy

__all__ = ["CHECKPOINT_VERSION", "Checkpoint", "load_checkpoint", "save_checkpoint"]

CHECKPOINT_VERSION = 2
"""Version 1 had no ``architecture``: all were tiny. It is still read."""
_FIELDS = {
    "format_version": int,
    "spec": str,
    "architecture": str,
    "policy": dict,
    "state_dict": dict,
    "training": dict,
}


@dataclass
class Checkpoint:
    """A policy, its contract, the architecture and sizes that ``build_policy`` was given, and facts about its training.

    ``training`` holds plain numbers and strings only. ``sha256`` is the hash of the file it was loaded from.
    """

    spec: PolicySpec
    policy: FusedPolicy
    policy_kwargs: dict[str, object]
    training: dict[str, float | int | str | None] = field(default_factory=dict)
    sha256: str = ""
    architecture: str = "tiny"


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write ``path`` whole or not at all. The token head's bin bounds travel in the state dict.

    Raises:
        PolicyFileError: the directory does not exist or cannot be written, or nothing could build the policy again.
    """
    if checkpoint.architecture == "wrapped":
        raise PolicyFileError(f"cannot write {path}: a policy of somebody else's can be exported, but not saved")
    content = {
        "format_version": CHECKPOINT_VERSION,
        "spec": checkpoint.spec.to_json().decode(),
        "architecture": checkpoint.architecture,
        "policy": dict(checkpoint.policy_kwargs),
        "state_dict": checkpoint.policy.state_dict(),
        "training": dict(checkpoint.training),
    }
    # Into an open file: given a path, torch writes its name into the archive, and equal checkpoints would differ.
    with replacing(path) as draft, draft.open("wb") as file:
        torch.save(content, file)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; the policy comes back in evaluation mode.

    Raises:
        PolicyFileError: missing, no checkpoint of this project, another format version, or weights that do not fit
            the contract.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PolicyFileError(f"cannot read the checkpoint {path}: {error.strerror or error}") from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's unpickler fails on junk with whatever it trips over
        raise PolicyFileError(
            f"{path} is not a checkpoint written by vla-train (loading weights only, no code): "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from error
    _check(content, path)
    spec = PolicySpec.from_json(content["spec"])
    try:
        policy = build_policy(spec, content["architecture"], **content["policy"])
        policy.load_state_dict(content["state_dict"])
    except (RuntimeError, ValueError, TypeError) as error:
        raise PolicyFileError(f"the weights in {path} do not fit its contract: {error}") from error
    policy.eval()
    sha256 = hashlib.sha256(data).hexdigest()
    return Checkpoint(spec, policy, content["policy"], content["training"], sha256, content["architecture"])


def _check(content: object, path: Path) -> None:
    if not isinstance(content, dict) or "format_version" not in content:
        raise PolicyFileError(f"{path} holds {type(content).__name__}, expected a checkpoint written by vla-train")
    version = content["format_version"]
    if version == 1:
        content.setdefault("architecture", "tiny")
    elif version != CHECKPOINT_VERSION:
        raise PolicyFileError(f"{path} has checkpoint version {version}, this release reads 1 and {CHECKPOINT_VERSION}")
    for name, kind in _FIELDS.items():
        if not isinstance(content.get(name), kind):
            raise PolicyFileError(f"{path}: field {name!r} is {type(content.get(name)).__name__}, not {kind.__name__}")
