"""An environment for each contestant, made from the package index, pinned, and kept between runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.result import DIRECTORY

__all__ = ["ENVIRONMENTS", "Environment", "NotMade", "make"]

ROOT = Path(__file__).resolve().parents[2]
HOME = DIRECTORY.parent / "peers"
_ORT = "onnxruntime==1.32.0"
_LIMIT_S = 1800


class NotMade(Exception):
    """An environment cannot be made; the message is pip's last words."""


@dataclass(frozen=True, slots=True)
class Environment:
    """``steps``: what pip is told to install, one call after the other."""

    name: str
    steps: tuple[tuple[str, ...], ...]

    @property
    def folder(self) -> Path:
        return HOME / self.name / "venv"

    def program(self, name: str) -> str:
        return str(self.folder / "bin" / name)


ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Environment("ours", (("-e", str(ROOT)), (_ORT, "numpy==2.4.6"))),
        Environment(
            "openpi",
            # It asks for numpy below 2 and runs with 2.
            (("--no-deps", "openpi-client==0.1.2"),
             (_ORT, "numpy==2.4.6", "dm-tree", "msgpack", "pillow", "websockets", "typing_extensions")),
        ),
        Environment("physicalai", (("physicalai==0.3.0", _ORT),)),
        Environment(
            "torch",
            # lerobot 0.4.4 asks for an older torch and runs with this one.
            (("torch==2.13.0", "torchrl==0.14.1", "tensordict==0.14.3", _ORT),
             ("--no-deps", "lerobot==0.4.4", "torchvision==0.28.0", "torchcodec==0.13.0"),
             ("draccus==0.10.0", "einops", "huggingface-hub<0.36", "safetensors", "datasets<5", "pillow", "deepdiff<9",
              "jsonlines", "av<16", "accelerate<2", "gymnasium<2", "termcolor<4", "diffusers<0.36", "imageio",
              "opencv-python-headless<4.13", "pyserial", "torch==2.13.0")),
        ),
    )
}  # fmt: skip


def make(environment: Environment) -> None:
    """Make ``environment`` unless it is there as it is now described.

    Raises:
        NotMade: a step failed; the folder is removed, pip's output stays beside it in ``pip.log``.
    """
    stamp = environment.folder / "made.json"
    wanted = json.dumps({"python": sys.version, "steps": environment.steps})
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(environment.folder, ignore_errors=True)
    environment.folder.parent.mkdir(parents=True, exist_ok=True)
    log = environment.folder.parent / "pip.log"
    try:
        with log.open("w") as out:
            _call([sys.executable, "-m", "venv", str(environment.folder)], out)
            for step in environment.steps:
                _call([environment.program("python"), "-m", "pip", "install", "-q", *step], out)
    except (subprocess.SubprocessError, OSError) as error:
        shutil.rmtree(environment.folder, ignore_errors=True)
        lines = [line for line in log.read_text().splitlines() if "ERROR" in line]
        raise NotMade(lines[-1] if lines else str(error)) from error
    stamp.write_text(wanted)


def _call(command: list[str], out: object) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, check=True, timeout=_LIMIT_S, env=clean)
