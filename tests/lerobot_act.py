"""LeRobot's ACTPolicy through ``vla-export``, in an environment that has the package: see ``lerobot_check``."""

# ruff: noqa: E402

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

# torchvision's compiled operators do not fit a torch for CPU alone. It asks for two by name; lerobot uses neither.
for name in ("nms", "qnms"):
    torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy

from exporters.cli import main as vla_export
from exporters.gate import batch_inputs
from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn import toy
from vla_runtime.learn.checkpoint import save_checkpoint
from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.lerobot_policy import IMAGENET_MEAN, IMAGENET_STD, lerobot_checkpoint
from vla_runtime.learn.torchscript_policy import TorchScriptPolicy
from vla_runtime.plugins.policies.onnx import OnnxPolicy

CAMERAS = {"front": (64, 96), "wrist": (64, 64)}


def contract() -> PolicySpec:
    facts = replace(toy.facts(), cameras=CAMERAS, instructions=("pick the plum",))
    random = torch.Generator().manual_seed(0)
    return make_spec(facts, torch.randn(64, 8, generator=random), 0.5 * torch.randn(64, 4, generator=random) + 0.2)


def small_act(spec: PolicySpec) -> ACTPolicy:
    torch.manual_seed(0)
    images = {
        f"observation.images.{name}": PolicyFeature(FeatureType.VISUAL, (3, *size)) for name, size in CAMERAS.items()
    }
    config = ACTConfig(
        input_features={**images, "observation.state": PolicyFeature(FeatureType.STATE, (len(spec.state),))},
        output_features={"action": PolicyFeature(FeatureType.ACTION, (len(spec.actions),))},
        chunk_size=spec.chunk_length,
        n_action_steps=spec.chunk_length,
        pretrained_backbone_weights=None,
        dim_model=64,
        n_heads=4,
        dim_feedforward=128,
        n_encoder_layers=2,
        device="cpu",
    )
    return ACTPolicy(config).eval()


def by_hand(policy: ACTPolicy, spec: PolicySpec, images: dict[str, np.ndarray], state: np.ndarray) -> np.ndarray:
    """The chunk in physical units, asked of LeRobot's policy alone, normalised here as its own pre-processor does."""
    n = spec.normalisation
    mean, std = (np.array(value, np.float32)[:, None, None] for value in (IMAGENET_MEAN, IMAGENET_STD))
    batch = {
        f"observation.images.{name}": torch.from_numpy((image.transpose(0, 3, 1, 2) / np.float32(255) - mean) / std)
        for name, image in images.items()
    }
    normal = (state - np.array(n.state_mean, np.float32)) / np.array(n.state_std, np.float32)
    batch["observation.state"] = torch.from_numpy(normal)
    with torch.no_grad():
        chunk = policy.predict_action_chunk(batch).numpy()
    return chunk * np.array(n.action_std, np.float32) + np.array(n.action_mean, np.float32)


def main() -> int:
    spec = contract()
    policy = small_act(spec)
    with TemporaryDirectory() as folder:
        model = Path(folder) / "model.pt"
        save_checkpoint(lerobot_checkpoint(policy, spec), model)
        if code := vla_export([str(model), "--format", "both", "--prompt", "fixed"]):
            return code
        for file, kind in (("model.onnx", OnnxPolicy), ("model.ts", TorchScriptPolicy)):
            if code := vla_export(["--verify", str(model.with_name(file)), "--checkpoint", str(model)]):
                return code
            worst = 0.0
            for variant in range(8):
                images, state, _ = batch_inputs(spec, 1, variant)
                expected = by_hand(policy, spec, images, state)[0]
                given = kind(model.with_name(file)).infer({c: i[0] for c, i in images.items()}, state[0], 0)
                worst = max(worst, float(np.abs(given - expected).max()))
            print(f"{file} against lerobot's ACTPolicy: largest difference {worst:.2e} over 8 observations")
            if not worst <= 1e-4:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
