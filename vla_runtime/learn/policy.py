"""The policies, by architecture: torchrl's TinyVLA, made exportable, the visuomotor one and the flow-matching one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from tensordict import TensorDict
from torch import Tensor
from torchrl.modules.vla import TinyVLA

from vla_runtime.core.errors import choices
from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn.act import ACTION, IMAGES, ActConfig, ActPolicy, Feature
from vla_runtime.learn.architectures import HEADS
from vla_runtime.learn.cameras import SightedPolicy
from vla_runtime.learn.flow import FlowPolicy
from vla_runtime.learn.fused import FusedPolicy
from vla_runtime.learn.keys import IMAGE, INSTRUCTION_ID, STATE
from vla_runtime.learn.lerobot_style import LeRobotStylePolicy
from vla_runtime.learn.prompts import as_tokens
from vla_runtime.learn.tokens import UniformTokenizer
from vla_runtime.learn.visuomotor import VisuomotorPolicy

__all__ = ["ARCHITECTURES", "HEADS", "ChunkPolicy", "build_policy"]


class ChunkPolicy(FusedPolicy, TinyVLA):
    """TinyVLA with integer instructions and any number of cameras of one size, joined along the channels."""

    def __init__(self, cameras: Sequence[str], **tiny_vla: object) -> None:
        super().__init__(**tiny_vla)
        self.cameras = tuple(cameras)

    def fuse(self, images: Sequence[Tensor], state: Tensor | None, ids: Tensor) -> Tensor:
        parts = [self.image_encoder(torch.cat(list(images), dim=-3))]
        parts += [] if state is None else [self.state_encoder(state)]
        return self.head(self.trunk(torch.cat([*parts, self.text_embedding(ids)], dim=-1)))


def build_policy(
    spec: PolicySpec, architecture: str = "tiny", *, seed: int | None = None, **sizes: object
) -> FusedPolicy:
    """An untrained policy for ``spec``, its lazy layers already sized.

    ``tiny`` takes the sizes ``hidden_dim``, ``text_dim`` and ``num_bins`` (of the token head, whose bins divide the
    range of the actions in the contract, normalised); ``visuomotor`` takes ``channels``, ``keypoints``, ``hidden_dim``,
    ``text_dim`` and ``num_bins``, ``flow`` those before the last and ``sampling_steps``, ``act`` takes ``hidden_dim``
    (of the layers in between), ``width``, ``layers`` and ``heads``. ``lerobot`` is a policy of that package, see
    ``lerobot_policy``. ``seed`` fixes the weights without touching the global generator.

    Raises:
        ValueError: an unknown architecture, no camera or no state input, an instruction that comes as tokens to a
            policy without a text encoder; cameras of different sizes (tiny), or a head that the architecture does not
            have.
        TypeError: a size that the architecture does not have.
    """
    if architecture == "lerobot":
        from vla_runtime.learn.lerobot_policy import build_lerobot

        return build_lerobot(spec, **sizes)
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture {architecture!r} given; {choices(architecture, ARCHITECTURES)}")
    if spec.head not in HEADS[architecture]:
        heads = " or ".join(map(repr, HEADS[architecture]))
        raise ValueError(f"the {architecture} policy has a {heads} head, {spec.head!r} given")
    if not spec.cameras:
        raise ValueError("the policy looks through a camera, but the contract names none")
    if not spec.state:
        raise ValueError("the policy reads a state, but the contract names no state input")
    if spec.instruction.kind == "tokens" and architecture != "act":
        raise ValueError(f"the {architecture} policy has no text encoder: instruction encoding 'tokens' given")
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        policy = ARCHITECTURES[architecture](spec, **sizes)
    policy.encoding = spec.instruction
    return policy


def _tiny(spec: PolicySpec, *, hidden_dim: int = 64, text_dim: int = 16, num_bins: int = 256) -> ChunkPolicy:
    sizes = {camera.name: (camera.height, camera.width) for camera in spec.cameras}
    if len(set(sizes.values())) != 1:
        raise ValueError(f"cameras of one size are needed to join them along the channels, given: {sizes}")
    tokens = spec.head == "tokens"
    policy = ChunkPolicy(
        tuple(sizes),
        action_dim=len(spec.actions),
        chunk_size=spec.chunk_length,
        action_head=spec.head,
        vocab_size=num_bins,
        hidden_dim=hidden_dim,
        text_vocab=spec.instruction.vocab,
        text_dim=text_dim,
        action_tokenizer=tokenizer(spec, num_bins) if tokens else None,
        output_mode="both" if tokens else "chunk",
    )
    height, width = next(iter(sizes.values()))
    blank = torch.zeros(1, 3, height, width, dtype=torch.uint8)
    example = TensorDict({INSTRUCTION_ID: torch.zeros(1, dtype=torch.long)}, [1])
    example[STATE] = torch.zeros(1, len(spec.state))
    example[IMAGE] = TensorDict(dict.fromkeys(sizes, blank), [1])
    with torch.no_grad():
        policy(example)
    return policy


def _visuomotor(spec: PolicySpec, *, num_bins: int = 128, **sizes: int) -> SightedPolicy:
    if spec.head != "tokens":
        return _sighted(VisuomotorPolicy, spec, **sizes)
    tokens = {
        "action_head": "tokens",
        "vocab_size": num_bins,
        "action_tokenizer": tokenizer(spec, num_bins),
        "output_mode": "both",
    }
    return _sighted(VisuomotorPolicy, spec, **tokens, **sizes)


def _sighted(kind: Callable[..., SightedPolicy], spec: PolicySpec, **sizes: object) -> SightedPolicy:
    return kind(
        {camera.name: (camera.height, camera.width) for camera in spec.cameras},
        state_dim=len(spec.state),
        action_dim=len(spec.actions),
        chunk_size=spec.chunk_length,
        text_vocab=spec.instruction.vocab,
        **sizes,
    )


def _act(
    spec: PolicySpec, *, hidden_dim: int = 256, width: int = 128, layers: int = 2, heads: int = 4
) -> LeRobotStylePolicy:
    told = as_tokens(spec.instruction)
    inputs = {f"{IMAGES}.{c.name}": Feature("VISUAL", (3, c.height, c.width)) for c in spec.cameras}
    config = ActConfig(
        input_features={**inputs, "observation.state": Feature("STATE", (len(spec.state),))},
        output_features={ACTION: Feature("ACTION", (len(spec.actions),))},
        chunk_size=spec.chunk_length,
        dim_model=width,
        n_heads=heads,
        dim_feedforward=hidden_dim,
        n_encoder_layers=layers,
        vocab=told.vocab,
        pad=told.pad,
        length=told.length,
    )
    return LeRobotStylePolicy(ActPolicy(config), spec)


ARCHITECTURES: Mapping[str, Callable[..., FusedPolicy]] = {
    "tiny": _tiny,
    "visuomotor": _visuomotor,
    "flow": partial(_sighted, FlowPolicy),
    "act": _act,
}
"""Name to builder, of those that can be trained here."""


def tokenizer(spec: PolicySpec, num_bins: int) -> UniformTokenizer:
    """Uniform bins over each action's range in normalised units; a constant action gets one std of room."""
    n = spec.normalisation
    low = [(a.low - mean) / std for a, mean, std in zip(spec.actions, n.action_mean, n.action_std, strict=True)]
    high = [(a.high - mean) / std for a, mean, std in zip(spec.actions, n.action_mean, n.action_std, strict=True)]
    high = [max(top, bottom + 1.0) for top, bottom in zip(high, low, strict=True)]
    return UniformTokenizer(num_bins, low=torch.tensor(low), high=torch.tensor(high))
