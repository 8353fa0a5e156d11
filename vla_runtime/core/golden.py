"""The golden sample's inputs: made by a fixed formula, so that only the answer has to be stored."""

from __future__ import annotations

import numpy as np

from vla_runtime.core.spec import PolicySpec
from vla_runtime.core.types import F32, U8

__all__ = ["golden_images", "golden_state"]


def golden_images(spec: PolicySpec, variant: int = 0) -> dict[str, U8]:
    """Camera name to u8[H, W, 3]: byte n of camera c is ``(31 n + 17 n // 7 + 53 c + 101 variant) mod 256``.

    Neighbouring pixels differ and each camera differs, so a swapped camera or layout changes the answer.
    """
    images: dict[str, U8] = {}
    for index, camera in enumerate(spec.cameras):
        n = np.arange(camera.height * camera.width * 3, dtype=np.int64)
        values = (31 * n + 17 * n // 7 + 53 * index + 101 * variant) % 256
        images[camera.name] = values.astype(np.uint8).reshape(camera.height, camera.width, 3)
    return images


def golden_state(spec: PolicySpec, variant: int = 0) -> F32:
    """f32[S]: ``mean + std * sin(1 + i + 0.7 variant)``, inside the range the policy was trained on."""
    i = np.arange(len(spec.state))
    mean, std = np.array(spec.normalisation.state_mean), np.array(spec.normalisation.state_std)
    state: F32 = (mean + std * np.sin(1.0 + i + 0.7 * variant)).astype(np.float32)
    return state
