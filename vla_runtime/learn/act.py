"""A small policy with LeRobot's interface: a transformer that looks at patches and answers with an action chunk.

Of ACT (Zhao et al. 2023, "Learning fine-grained bimanual manipulation with low-cost hardware") it has the encoder over
image, state and here also instruction tokens, and the decoder with one query for each row of the chunk. It has no style
variable, and convolutions of its own in the place of a pretrained network.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vla_runtime.learn.attention import Block
from vla_runtime.learn.bytes_text import PAD, VOCAB, byte_tokens

__all__ = ["ACTION", "IMAGES", "MASK", "STATE", "TASK", "TOKENS", "ActConfig", "ActPolicy", "Feature"]

IMAGES = "observation.images"
STATE = "observation.state"
TOKENS = "observation.language.tokens"
MASK = "observation.language.attention_mask"
TASK = "task"
ACTION = "action"
_LARGE = 128  # pixels: a longer side is looked at in steps of 32 instead of 16


@dataclass(frozen=True)
class Feature:
    """One input or output: ``VISUAL`` (3, H, W), ``STATE`` (S,) or ``ACTION`` (A,)."""

    type: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ActConfig:
    """As LeRobot's configurations: features by key, and the sizes.

    ``length``: tokens of an instruction at most; longer ones are cut. ``n_action_steps``: rows that ``select_action``
    uses of a chunk.
    """

    input_features: Mapping[str, Feature]
    output_features: Mapping[str, Feature]
    chunk_size: int
    n_action_steps: int = 1
    dim_model: int = 128
    n_heads: int = 4
    dim_feedforward: int = 256
    n_encoder_layers: int = 2
    n_decoder_layers: int = 1
    vocab: int = VOCAB
    pad: int = PAD
    length: int = 64
    type: str = field(default="act", init=False)

    @property
    def image_features(self) -> dict[str, Feature]:
        return {key: feature for key, feature in self.input_features.items() if feature.type == "VISUAL"}


class ActPolicy(nn.Module):
    """Reads a batch by LeRobot's keys and answers with a chunk f32[B, chunk_size, A].

    ``observation.images.<camera>``: f32[B, 3, H, W] in 0..1, sizes may differ.
    ``observation.state``: f32[B, S], normalised.
    ``observation.language.tokens`` i64[B, L] with ``observation.language.attention_mask`` bool[B, L]; where they are
    absent, ``task``, a text or B of them, is read as its bytes.

    Gradients are left on in ``predict_action_chunk``, so that torchrl's losses can train it through a wrapper.
    """

    def __init__(self, config: ActConfig) -> None:
        super().__init__()
        self.config = config
        width = config.dim_model
        self.eyes = nn.ModuleDict({_safe(key): _Eye(f.shape, width) for key, f in config.image_features.items()})
        state = config.input_features.get(STATE)
        self.state = nn.Linear(state.shape[0], width) if state else None
        self.words = _Words(config)
        sizes = (width, config.n_heads, config.dim_feedforward)
        self.encoder = nn.ModuleList(Block(*sizes) for _ in range(config.n_encoder_layers))
        self.decoder = nn.ModuleList(Block(*sizes, crosses=True) for _ in range(config.n_decoder_layers))
        self.memory_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.rows = nn.Parameter(0.02 * torch.randn(1, config.chunk_size, width))
        self.head = nn.Linear(width, config.output_features[ACTION].shape[0])
        self._queue: deque[Tensor] = deque()

    def predict_action_chunk(self, batch: Mapping[str, Any]) -> Tensor:
        """The chunk, f32[B, chunk_size, A], normalised."""
        parts = [self.eyes[_safe(key)](batch[key]) for key in self.config.image_features]
        parts.append(self.words(*self._instruction(batch))[:, None])
        if self.state is not None:
            parts.append(self.state(batch[STATE])[:, None])
        memory = torch.cat(parts, dim=1)
        for block in self.encoder:
            memory = block(memory)
        memory = self.memory_norm(memory)
        rows = self.rows.expand(memory.shape[0], -1, -1)
        for block in self.decoder:
            rows = block(rows, memory)
        return self.head(self.norm(rows))

    def forward(self, batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, float]]:
        """LeRobot's training step: mean absolute error to ``action``, rows of ``action_is_pad`` left out."""
        error = F.l1_loss(self.predict_action_chunk(batch), batch[ACTION], reduction="none").mean(-1)
        kept = ~batch["action_is_pad"] if "action_is_pad" in batch else torch.ones_like(error, dtype=torch.bool)
        loss = (error * kept).sum() / kept.sum().clamp_min(1)
        return loss, {"l1_loss": float(loss.detach())}

    @torch.no_grad()
    def select_action(self, batch: Mapping[str, Any]) -> Tensor:
        """The next action f32[B, A]: ``n_action_steps`` rows of a chunk, then of a new one."""
        if not self._queue:
            chunk = self.predict_action_chunk(batch)
            self._queue.extend(chunk[:, : self.config.n_action_steps].unbind(1))
        return self._queue.popleft()

    def reset(self) -> None:
        """A new episode: what is left of the chunk is forgotten."""
        self._queue.clear()

    def get_optim_params(self) -> list[nn.Parameter]:
        return list(self.parameters())

    def _instruction(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        if TOKENS in batch:
            return batch[TOKENS], batch[MASK]
        task = batch.get(TASK, "")
        tokens = _padded([task] if isinstance(task, str) else task, self.config).to(self.rows.device)
        if len(tokens) == 1:
            tokens = tokens.expand(next(batch[key].shape[0] for key in self.config.input_features), -1)
        return tokens, tokens != self.config.pad


class _Eye(nn.Module):
    """f32[B, 3, H, W] in 0..1 to tokens f32[B, N, width]: two strided convolutions, and where each patch lies."""

    def __init__(self, shape: Sequence[int], width: int) -> None:
        super().__init__()
        _, height, columns = shape
        first = 8 if max(height, columns) > _LARGE else 4
        self.look = nn.Conv2d(3, width // 2, 2 * first + 1, stride=first, padding=first)
        self.patch = nn.Conv2d(width // 2, width, 5, stride=4, padding=2)
        patches = ceil(ceil(height / first) / 4) * ceil(ceil(columns / first) / 4)
        self.places = nn.Parameter(0.02 * torch.randn(1, patches, width))

    def forward(self, image: Tensor) -> Tensor:
        return self.patch(torch.relu(self.look(2.0 * image - 1.0))).flatten(-2).transpose(1, 2) + self.places


class _Words(nn.Module):
    """Tokens i64[B, L] and mask bool[B, L] to one token f32[B, width]: the mean over what is no padding."""

    def __init__(self, config: ActConfig) -> None:
        super().__init__()
        width = config.dim_model
        self.tokens = nn.Embedding(config.vocab, width)
        self.places = nn.Parameter(torch.randn(1, config.length, width))
        self.mix = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        kept = mask[..., None].float()
        mixed = self.mix(self.tokens(tokens) + self.places[:, : tokens.shape[1]])
        return (mixed * kept).sum(1) / kept.sum(1).clamp_min(1.0)


def _padded(texts: Sequence[str], config: ActConfig) -> Tensor:
    rows = [byte_tokens(text)[: config.length] for text in texts]
    return torch.tensor([[*row, *[config.pad] * (config.length - len(row))] for row in rows])


def _safe(key: str) -> str:
    """``key`` as the name of a sub-module, which must have no dot."""
    return key.replace(".", "_")
