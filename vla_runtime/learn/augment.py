"""Images a little different every time: exposure, contrast, colour, noise, and if asked for a small shift."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.envs.transforms import Transform

from vla_runtime.learn.keys import IMAGE

__all__ = ["Augment"]


class Augment(Transform):
    """Changes each batch sampled from a replay buffer, every sample and camera by itself; what is stored stays.

    u8[B, 3, H, W] by camera (or alone) becomes f32 in 0..1. Random numbers come from
    ``generator``, or from torch's global one.

    Args:
        brightness, contrast, colour: the most that an image's level, its contrast and each channel's gain change by, as
            fractions of full scale or of themselves.
        noise: the largest standard deviation of pixel noise, as a fraction of full scale.
        shift: the most that an image is moved by in each direction, in pixels; its edge is repeated. It moves things
            away from where the demonstration says they are, so more than 2 is refused.

    Raises:
        ValueError: a value outside 0 to 0.5, or a shift outside 0 to 2.
    """

    def __init__(
        self,
        brightness: float = 0.1,
        contrast: float = 0.15,
        colour: float = 0.05,
        noise: float = 0.02,
        shift: int = 0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(in_keys=[], out_keys=[])
        for name, value in {"brightness": brightness, "contrast": contrast, "colour": colour, "noise": noise}.items():
            if not 0 <= value <= 0.5:
                raise ValueError(f"{name} is {value}, expected 0 to 0.5")
        if shift not in (0, 1, 2):
            raise ValueError(f"shift is {shift}, expected 0, 1 or 2 pixels")
        self.brightness, self.contrast, self.colour, self.noise = brightness, contrast, colour, noise
        self.shift, self.generator = shift, generator

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        image = tensordict.get(IMAGE)
        if isinstance(image, Tensor):
            return tensordict.set(IMAGE, self._vary(image))
        return tensordict.set(IMAGE, image.apply(self._vary))

    def _vary(self, image: Tensor) -> Tensor:
        batch = len(image)
        gain = (1 + self.contrast * self._symmetric(batch, 1)) * (1 + self.colour * self._symmetric(batch, 3))
        level = self.brightness * self._symmetric(batch, 1) + 0.5 * (1 - gain)
        varied = self._shifted(image) if self.shift else image.float()
        varied.mul_(gain / 255.0).add_(level)
        if self.noise:
            # One pattern a batch, weighted by sample: as good as one for each, and a tenth of the time.
            pattern = torch.randn(1, *image.shape[1:], generator=self.generator)
            varied.addcmul_(pattern, self.noise * self._symmetric(batch, 1))
        return varied.clamp_(0.0, 1.0)

    def _symmetric(self, batch: int, channels: int) -> Tensor:
        """f32[batch, channels, 1, 1], uniform in -1..1."""
        return 2.0 * torch.rand(batch, channels, 1, 1, generator=self.generator) - 1.0

    def _shifted(self, image: Tensor) -> Tensor:
        """Every image moved by up to ``shift`` pixels each way, its edge repeated."""
        height, width = image.shape[-2:]
        padded = F.pad(image.float(), (self.shift,) * 4, mode="replicate")
        corners = torch.randint(0, 2 * self.shift + 1, (len(image), 2), generator=self.generator).tolist()
        moved = [padded[i, :, y : y + height, x : x + width] for i, (y, x) in enumerate(corners)]
        return torch.stack(moved)
