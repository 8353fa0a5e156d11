"""A small flow policy, its contract and what it looks at; and the published sampler, written down in numpy."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import torch
from tensordict import TensorDict

from vla_runtime.core.spec import CameraSpec, PolicySpec
from vla_runtime.learn import toy
from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.flow import FlowPolicy
from vla_runtime.learn.keys import DELAY, IMAGE, INSTRUCTION_ID, NOISE, PREV_CHUNK, STATE, WEIGHTS
from vla_runtime.learn.policy import build_policy

ROWS, ACTIONS = 8, 4
SIZES = {"hidden_dim": 32, "channels": 4, "keypoints": 3, "text_dim": 5}


def flow_spec() -> PolicySpec:
    random = torch.Generator().manual_seed(0)
    states, actions = torch.randn(64, 8, generator=random), torch.randn(64, ACTIONS, generator=random)
    spec = make_spec(toy.facts(ROWS), states, actions, "flow")
    return msgspec.structs.replace(spec, cameras=(CameraSpec("left", 12, 12), CameraSpec("right", 9, 14)))


def flow_policy(steps: int = 5) -> FlowPolicy:
    """Untrained, but with an output that is far from nothing."""
    policy = build_policy(flow_spec(), "flow", seed=0, sampling_steps=steps, **SIZES)
    with torch.no_grad():
        for layer in (policy.denoiser.noisy, policy.denoiser.prefix, policy.denoiser.clean):
            layer.weight *= 3.0
    return policy.eval()


def looked_at(batch: int = 3, *, seed: int = 1, continued: bool = True) -> TensorDict:
    """Inputs of ``flow_policy``; ``continued``: with a chunk to continue, every sample another delay."""
    random = torch.Generator().manual_seed(seed)
    inputs = TensorDict({INSTRUCTION_ID: torch.arange(batch)}, [batch])
    inputs[STATE] = torch.randn(batch, 8, generator=random)
    for camera in flow_spec().cameras:
        size = (batch, 3, camera.height, camera.width)
        inputs[IMAGE, camera.name] = torch.randint(0, 256, size, dtype=torch.uint8, generator=random)
    inputs[NOISE] = torch.randn(batch, ROWS, ACTIONS, generator=random)
    if continued:
        inputs[PREV_CHUNK] = torch.randn(batch, ROWS, ACTIONS, generator=random)
        inputs[DELAY] = torch.arange(batch) % ROWS
        inputs[WEIGHTS] = torch.rand(batch, ROWS, generator=random)
    return inputs


def published_euler(
    clean: Callable[[np.ndarray, float], np.ndarray],
    noise: np.ndarray,
    steps: int,
    previous: np.ndarray,
    weights: np.ndarray,
    beta: float,
) -> np.ndarray:
    """Guided sampling as it is printed: from noise f64[H, A], velocities, one step after the other.

    ``clean(x, tau)`` is the denoiser.
    """
    x = noise.copy()
    for k in range(steps):
        tau = k / steps
        velocity = (clean(x, tau) - x) / (1 - tau)
        expected = x + (1 - tau) * velocity
        r2 = (1 - tau) ** 2 / (tau**2 + (1 - tau) ** 2)
        strength = beta if tau == 0 else min(beta, (1 - tau) / (tau * r2))
        velocity = velocity + strength * weights[:, None] * (previous - expected)
        x = x + velocity / steps
    return x
