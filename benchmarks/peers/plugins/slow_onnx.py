"""The policy file that every contestant runs, as slow as theirs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

from fake import Setting, Slowness

from vla_runtime.core.types import F32, U8
from vla_runtime.plugins.policies.onnx import OnnxPolicy

__all__ = ["SlowOnnx"]


class SlowOnnx:
    """``VLA_PEERS_SETTING`` is the setting of the run."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        run = Setting(**json.loads(os.environ["VLA_PEERS_SETTING"]))
        self._policy = OnnxPolicy(path, threads)
        self.hash, self.spec = self._policy.hash, self._policy.spec
        self._wait = Slowness(run.delay_ms, run.jitter_ms, run.seed, run.calls)

    def infer(self, images: Mapping[str, U8], state: F32, instruction_id: int) -> F32:
        started_ns = time.monotonic_ns()
        chunk = self._policy.infer(images, state, instruction_id)
        self._wait.until_over(started_ns)
        return chunk

    def close(self) -> None:
        self._policy.close()
