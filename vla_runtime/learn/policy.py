"""The policy: torchrl's TinyVLA, made exportable and able to read integer instructions and several cameras."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data.vla import UniformActionTokenizer
from torchrl.modules.vla import TinyVLA

from vla_runtime.core.instructions import sha1_mod
from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn.keys import IMAGE, INSTRUCTION_ID, STATE

__all__ = ["ChunkPolicy", "build_policy"]


class ChunkPolicy(TinyVLA):
    """Images, normalised state and instruction to a normalised action chunk.

    Reads, with any number of leading batch dimensions B:
        ``("observation", "image")``: u8[B, 3, H, W] for one camera, or a tensordict of such by camera name; several
        cameras are joined along the channels in the order of ``cameras``, whatever the tensordict's order.
        ``("observation", "state")``: f32[B, S], normalised.
        ``instruction_id``: i64[B]; where it is absent, the text under ``language_instruction`` is hashed to it.
    Writes what every VLAWrapperBase writes: ``("vla_action", "chunk")`` f32[B, chunk_length, A] and, with the token
    head, ``("vla_action", "tokens")`` and log-probabilities.
    """

    def __init__(self, cameras: Sequence[str], **tiny_vla: object) -> None:
        super().__init__(**tiny_vla)
        self.cameras = tuple(cameras)

    def _get_image(self, tensordict: TensorDictBase) -> Tensor:
        image = super()._get_image(tensordict)
        if isinstance(image, Tensor):
            if len(self.cameras) > 1:
                raise KeyError(f"one image given, expected a tensordict with {', '.join(self.cameras)}")
            return image
        given = sorted(image.keys())
        missing = [name for name in self.cameras if name not in given]
        if missing:
            raise KeyError(f"no image from camera {', '.join(missing)}; given: {', '.join(given)}")
        return torch.cat([image.get(name) for name in self.cameras], dim=-3)

    def _instruction_ids(self, tensordict: TensorDictBase, batch: torch.Size, device: torch.device) -> Tensor:
        ids = tensordict.get(INSTRUCTION_ID, None)
        if ids is not None:
            return ids
        strings = self._instruction_strings(tensordict, batch.numel())
        known = {text: sha1_mod(text, self.text_vocab) for text in set(strings)}
        return torch.tensor([known[text] for text in strings], device=device).reshape(batch)

    def fuse(self, image: Tensor, state: Tensor, ids: Tensor) -> Tensor:
        """f32[B, C, H, W] in 0..1, f32[B, S] and i64[B] to the head's output f32[B, -1]; no TensorDict, no ``.item()``.

        Raises nothing on shapes: the exporter's gate and the contract check them.
        """
        parts = [self.image_encoder(image), self.state_encoder(state), self.text_embedding(ids)]
        return self.head(self.trunk(torch.cat(parts, dim=-1)))

    def _predict(self, tensordict: TensorDictBase) -> Tensor:
        image = self._get_image(tensordict)
        image = image.float() / 255.0 if image.dtype == torch.uint8 else image.float()
        ids = self._instruction_ids(tensordict, image.shape[:-3], image.device)
        return self.fuse(image, self._get_state(tensordict).float(), ids)


def build_policy(
    spec: PolicySpec, *, hidden_dim: int = 64, text_dim: int = 16, num_bins: int = 256, seed: int | None = None
) -> ChunkPolicy:
    """An untrained policy for ``spec``, its lazy layers already sized.

    The token head's bins divide the range of the actions in the contract, normalised. ``seed`` fixes the weights
    without touching the global generator.

    Raises:
        ValueError: no camera or no state input, cameras of different sizes, or an instruction encoding that the
            policy cannot compute from text.
    """
    sizes = {camera.name: (camera.height, camera.width) for camera in spec.cameras}
    if len(set(sizes.values())) != 1:
        raise ValueError(f"cameras of one size are needed to join them along the channels, given: {sizes or 'none'}")
    if not spec.state:
        raise ValueError("the policy reads a state, but the contract names no state input")
    if spec.instruction.kind != "sha1_mod":
        raise ValueError(f"instruction encoding {spec.instruction.kind!r} given, expected 'sha1_mod'")
    tokens = spec.head == "tokens"
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
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


def tokenizer(spec: PolicySpec, num_bins: int) -> UniformActionTokenizer:
    """Uniform bins over each action's range in normalised units; a constant action gets one std of room."""
    n = spec.normalisation
    low = [(a.low - mean) / std for a, mean, std in zip(spec.actions, n.action_mean, n.action_std, strict=True)]
    high = [(a.high - mean) / std for a, mean, std in zip(spec.actions, n.action_mean, n.action_std, strict=True)]
    high = [max(top, bottom + 1.0) for top, bottom in zip(high, low, strict=True)]
    return UniformActionTokenizer(num_bins, low=torch.tensor(low), high=torch.tensor(high))
