"""A policy with LeRobot's interface as one of ours: torchrl's wrapper, for any number of cameras and for export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchrl.modules.vla import LeRobotPolicyWrapper

from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn.act import ACTION, IMAGES, MASK, STATE, TOKENS
from vla_runtime.learn.fused import FusedPolicy
from vla_runtime.learn.prompts import Prompts

__all__ = ["LeRobotStylePolicy", "check_features"]


class LeRobotStylePolicy(FusedPolicy, LeRobotPolicyWrapper):
    """``policy`` behind torchrl's keys: it is asked by ``predict_action_chunk``, with LeRobot's batch.

    ``observation.images.<camera>`` f32[B, 3, H, W], ``observation.state`` f32[B, S] normalised by the contract,
    ``observation.language.tokens`` i64[B, L] and ``observation.language.attention_mask`` bool[B, L]. The tokens are
    those of the contract, or the UTF-8 bytes of its texts; a policy that reads no language passes over them.

    Args:
        policy: an ``nn.Module`` with ``config`` (``input_features``, ``output_features``, ``chunk_size``) and
            ``predict_action_chunk``.
        spec: the contract; its camera ``c`` is the policy's ``observation.images.c``.
        image_mean, image_std: of the three channels, for a policy that wants images normalised so and not in 0..1, as
            those with a backbone trained on ImageNet do.

    Raises:
        ValueError: the policy's features are not the contract's; all differences are named.
    """

    reads_tokens = True

    def __init__(
        self,
        policy: nn.Module,
        spec: PolicySpec,
        *,
        image_mean: Sequence[float] = (0.0, 0.0, 0.0),
        image_std: Sequence[float] = (1.0, 1.0, 1.0),
    ) -> None:
        check_features(policy.config, spec)
        super().__init__(policy, action_dim=len(spec.actions), chunk_size=spec.chunk_length, use_state=bool(spec.state))
        self.cameras = tuple(camera.name for camera in spec.cameras)
        self.encoding, self.text_vocab = spec.instruction, spec.instruction.vocab
        self.prompts = Prompts(spec.instruction)
        self.register_buffer("image_mean", torch.tensor(image_mean)[:, None, None], persistent=False)
        self.register_buffer("image_std", torch.tensor(image_std)[:, None, None], persistent=False)

    def fuse(self, images: Sequence[Tensor], state: Tensor | None, ids: Tensor) -> Tensor:
        """``ids``: i64[B], or the tokens i64[B, L]."""
        tokens = ids if ids.ndim == 2 else self.prompts(ids)
        batch = {
            f"{IMAGES}.{name}": (image - self.image_mean) / self.image_std
            for name, image in zip(self.cameras, images, strict=True)
        }
        if state is not None:
            batch[STATE] = state
        batch |= {TOKENS: tokens, MASK: tokens != self.prompts.pad}
        chunk = self._call_policy(batch)
        if chunk.shape[-2:] != (self.chunk_size, self.action_dim):
            raise ValueError(
                f"the policy gives chunks of {tuple(chunk.shape[-2:])}, expected ({self.chunk_size}, {self.action_dim})"
            )
        return chunk.flatten(-2)


def check_features(config: Any, spec: PolicySpec) -> None:
    """Compare a LeRobot configuration with the contract.

    Raises:
        ValueError: they differ; all differences are named.
    """
    theirs = {key: tuple(feature.shape) for key, feature in dict(config.input_features).items()}
    ours: dict[str, tuple[int, ...]] = {f"{IMAGES}.{c.name}": (3, c.height, c.width) for c in spec.cameras}
    ours |= {STATE: (len(spec.state),)} if spec.state else {}
    differences = [
        f"{key}: the policy has {_shape(theirs, key)}, the contract {_shape(ours, key)}"
        for key in sorted({*theirs, *ours})
        if theirs.get(key) != ours.get(key)
    ]
    action = config.output_features.get(ACTION)
    sizes = {
        "actions": (None if action is None else action.shape[0], len(spec.actions)),
        "chunk_size": (config.chunk_size, spec.chunk_length),
    }
    differences += [
        f"{what}: the policy has {found}, the contract {wanted}"
        for what, (found, wanted) in sizes.items()
        if found != wanted
    ]
    if differences:
        raise ValueError("the policy does not fit its contract: " + "; ".join(differences))


def _shape(features: Mapping[str, tuple[int, ...]], key: str) -> str:
    return "x".join(map(str, features[key])) if key in features else "none"
