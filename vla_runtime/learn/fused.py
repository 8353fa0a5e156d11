"""What our policies share: cameras found by name, instructions as text or id, a core that works on plain tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.modules.vla import VLAWrapperBase

from vla_runtime.core.instructions import InstructionEncoding, sha1_mod
from vla_runtime.learn.keys import INSTRUCTION_ID

__all__ = ["FusedPolicy"]


class FusedPolicy(VLAWrapperBase):
    """Images, normalised state and instruction to a normalised action chunk.

    Reads, with any number of leading batch dimensions B:
        ``("observation", "image")``: u8[B, 3, H, W] (or f32 in 0..1) for one camera, or a tensordict of such by camera
        name, in any order; sizes may differ.
        ``("observation", "state")``: f32[B, S], normalised.
        ``instruction_id``: i64[B]; where it is absent, the text under ``language_instruction`` becomes it.
    Writes what every VLAWrapperBase writes, ``("vla_action", "chunk")`` f32[B, chunk_length, A] first of all.

    A subclass sets ``cameras``, the names in order, and ``text_vocab`` or ``encoding``, and implements ``fuse``.
    """

    cameras: tuple[str, ...]
    text_vocab: int
    encoding: InstructionEncoding | None = None
    """How text becomes an id; None hashes any text."""
    samples: bool = False
    """Whether its chunks are drawn, from noise."""
    reads_tokens: bool = False
    """Whether it has a text encoder: ``fuse`` then takes the tokens i64[B, L] of a text in the place of its id too."""
    temperature: float = 1.0
    """Logits of a token head are divided by it: below 1 tokens are drawn nearer to the most likely one."""

    def fuse(self, images: Sequence[Tensor], state: Tensor | None, ids: Tensor, **given: object) -> Tensor:
        """f32[B, 3, H, W] in 0..1 for each of ``cameras``, f32[B, S] (None without ``use_state``) and i64[B] to the
        head's output f32[B, -1]; no TensorDict, no ``.item()``, so that it can be exported.

        Raises nothing on shapes: the exporter's gate and the contract check them.
        """
        raise NotImplementedError

    def text_id(self, text: str) -> int:
        """The id that stands for ``text``.

        Raises:
            ContractMismatch: an encoding that lists its texts does not have it.
        """
        if self.encoding is None or self.encoding.kind == "sha1_mod":
            return sha1_mod(text, self.text_vocab)
        return self.encoding.encode(text)

    def inputs(self, tensordict: TensorDictBase) -> tuple[list[Tensor], Tensor | None, Tensor]:
        """What ``fuse`` takes, with one batch dimension: images, state and ids."""
        images = self._images(self._get_image(tensordict))
        batch = images[0].shape[:-3]
        flat = [image.reshape(-1, *image.shape[-3:]) for image in images]
        scaled = [image.float() / 255.0 if image.dtype == torch.uint8 else image.float() for image in flat]
        state = None
        if self.use_state:
            state = self._get_state(tensordict).float()
            state = state.reshape(-1, state.shape[-1])
        return scaled, state, self._ids(tensordict, batch, scaled[0].device).reshape(-1)

    def _predict(self, tensordict: TensorDictBase) -> Tensor:
        batch = self._images(self._get_image(tensordict))[0].shape[:-3]
        return self.fuse(*self.inputs(tensordict), **self._given(tensordict)).reshape(*batch, -1)

    def _predict_logits(self, tensordict: TensorDictBase) -> Tensor:
        return super()._predict_logits(tensordict) / self.temperature

    def _given(self, tensordict: TensorDictBase) -> dict[str, object]:
        """Further arguments of ``fuse``, with one batch dimension."""
        return {}

    def _images(self, image: Tensor | TensorDictBase) -> list[Tensor]:
        if isinstance(image, Tensor):
            if len(self.cameras) > 1:
                raise KeyError(f"one image given, expected a tensordict with {', '.join(self.cameras)}")
            return [image]
        given = sorted(image.keys())
        missing = [name for name in self.cameras if name not in given]
        if missing:
            raise KeyError(f"no image from camera {', '.join(missing)}; given: {', '.join(given)}")
        return [image.get(name) for name in self.cameras]

    def _ids(self, tensordict: TensorDictBase, batch: torch.Size, device: torch.device) -> Tensor:
        ids = tensordict.get(INSTRUCTION_ID, None)
        if ids is not None:
            return ids
        texts = _texts(self._get_instruction(tensordict))
        if len(texts) == 1:
            texts = texts * batch.numel()
        known = {text: self.text_id(text) for text in set(texts)}
        return torch.tensor([known[text] for text in texts], device=device)


def _texts(instruction: object) -> list[str]:
    """Text, nested lists of it or a NonTensor stack of it, flat."""
    data = instruction.tolist() if hasattr(instruction, "tolist") else instruction
    if isinstance(data, (list, tuple)):
        return [text for part in data for text in _texts(part)]
    return [str(data)]
