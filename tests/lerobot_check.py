"""``make lerobot-check``: LeRobot's own ACT policy goes through our wrapper and ``vla-export``, and its file is run.

It makes an environment of its own from the package index (2 GB, some minutes), builds a small ACT with random weights,
saves it as a checkpoint, exports that as ONNX and TorchScript with the command, and holds both files against the
policy. Random weights: what is shown is that the real class can be exported, not that it can do anything.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.peers.environments import ROOT, Environment, make

__all__ = ["ENVIRONMENT", "main"]

ENVIRONMENT = Environment(
    "lerobot",
    (("torch==2.13.0",),
     ("-e", f"{ROOT}[train]"),
     # lerobot 0.4.4 asks for an older torch and runs with this one.
     ("--no-deps", "lerobot==0.4.4", "torchvision==0.28.0", "torchcodec==0.13.0"),
     ("draccus==0.10.0", "einops", "huggingface-hub<0.36", "safetensors", "datasets<5", "pillow", "deepdiff<9",
      "jsonlines", "av<16", "accelerate<2", "gymnasium<2", "termcolor<4", "diffusers<0.36", "imageio",
      "opencv-python-headless<4.13", "pyserial", "torch==2.13.0")),
)  # fmt: skip


def main() -> int:
    """Make the environment and run ``tests/lerobot_act.py`` in it."""
    make(ENVIRONMENT)
    script = Path(__file__).with_name("lerobot_act.py")
    return subprocess.run([ENVIRONMENT.program("python"), str(script)], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
