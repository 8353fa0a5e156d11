"""LeRobot's own policies: in a checkpoint as their configuration and weights, and back. Needs the package lerobot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import nn

from vla_runtime.core.errors import PolicyFileError
from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.lerobot_style import LeRobotStylePolicy

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "build_lerobot", "lerobot_checkpoint"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def lerobot_checkpoint(
    policy: nn.Module,
    spec: PolicySpec,
    *,
    image_mean: Sequence[float] = IMAGENET_MEAN,
    image_std: Sequence[float] = IMAGENET_STD,
) -> Checkpoint:
    """A checkpoint of a policy of LeRobot's package (``PreTrainedPolicy``), to be saved or exported.

    LeRobot normalises outside of its policies: ``spec.normalisation`` holds the data set's mean and std of state and
    action that it was trained with, and the images get ``image_mean`` and ``image_std``.

    Raises:
        ValueError: its features are not the contract's.
    """
    with TemporaryDirectory() as folder:
        policy.config._save_pretrained(Path(folder))
        config = (Path(folder) / "config.json").read_text()
    sizes = {"config": config, "image_mean": list(image_mean), "image_std": list(image_std)}
    wrapped = LeRobotStylePolicy(policy, spec, image_mean=image_mean, image_std=image_std).eval()
    return Checkpoint(spec, wrapped, sizes, {"method": "lerobot"}, architecture="lerobot")


def build_lerobot(
    spec: PolicySpec, *, config: str, image_mean: Sequence[float], image_std: Sequence[float]
) -> LeRobotStylePolicy:
    """The policy of ``config``, the JSON that LeRobot writes beside its weights; untrained.

    Raises:
        PolicyFileError: lerobot is not installed.
        ValueError: a configuration that it does not know, or one that is not the contract's.
    """
    try:
        from lerobot.configs.policies import PreTrainedConfig
        from lerobot.policies.factory import get_policy_class
    except ImportError as error:
        raise PolicyFileError(
            f"the checkpoint holds a policy of the package lerobot, which cannot be imported here: {error}"
        ) from error
    fields = json.loads(config)
    # The weights come from the checkpoint: nothing is to be downloaded for them.
    fields |= {name: None for name in ("pretrained_backbone_weights", "pretrained_path") if name in fields}
    with TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(fields))
        found = PreTrainedConfig.from_pretrained(folder)
    policy = get_policy_class(found.type)(found)
    return LeRobotStylePolicy(policy, spec, image_mean=image_mean, image_std=image_std)
