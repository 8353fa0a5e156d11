"""Latency at batch size one on one thread: what the robot will pay for a chunk, warm."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

import numpy as np
import torch

from exporters.gate import Runner, batch_inputs, sampling_inputs
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.infer import eager_chunk

__all__ = ["eager_latency_ms", "median_ms", "runner_latency_ms"]


def median_ms(call: Callable[[], object], repeats: int = 100, warm_up: int = 20) -> float:
    """Median wall time of ``call`` in milliseconds, torch held to one thread."""
    spent = []
    with _one_thread():
        for _ in range(warm_up):
            call()
        for _ in range(repeats):
            start = time.perf_counter_ns()
            call()
            spent.append((time.perf_counter_ns() - start) / 1e6)
    return median(spent)


def eager_latency_ms(checkpoint: Checkpoint) -> float:
    """The torchrl policy called through a TensorDict with text, normalisation included."""
    images, state, texts = batch_inputs(checkpoint.spec, 1, 0)
    sampling = sampling_inputs(checkpoint.spec, 1, 0)
    return median_ms(lambda: eager_chunk(checkpoint.policy, checkpoint.spec, images, state, texts, **sampling))


def runner_latency_ms(checkpoint: Checkpoint, runner: Runner) -> float:
    """A written file."""
    images, state, texts = batch_inputs(checkpoint.spec, 1, 0)
    ids = np.array([checkpoint.spec.instruction.encode(text) for text in texts])
    sampling = sampling_inputs(checkpoint.spec, 1, 0)
    return median_ms(lambda: runner(images, state, ids, sampling))


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
