"""A policy that never rests: ``python -m benchmarks.loop.busy POLICY_FILE``, as fast as onnxruntime answers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["busy"]


@contextmanager
def busy(policy: Path) -> Iterator[None]:
    """Inside this block a process of its own runs ``policy`` without a pause."""
    command = [sys.executable, "-m", "benchmarks.loop.busy", str(policy)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            if process.stdout.readline() != "busy\n":
                raise SystemExit("the policy that should keep a core busy did not start; its reason stands above")
            yield
        finally:
            process.kill()


def main(file: str) -> None:
    from vla_runtime.core.golden import golden_images, golden_state
    from vla_runtime.plugins.policies.onnx import OnnxPolicy

    policy = OnnxPolicy(Path(file), 1)
    inputs = golden_images(policy.spec), golden_state(policy.spec), 0
    policy.infer(*inputs)
    print("busy", flush=True)
    while True:
        policy.infer(*inputs)


if __name__ == "__main__":
    main(*sys.argv[1:])
