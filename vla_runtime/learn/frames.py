"""An episode's samples with their frames: JPEGs are decoded in parallel, straight to where they belong."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from tensordict import TensorDict

from vla_runtime.core.errors import LogError, MalformedMessage
from vla_runtime.core.types import U8
from vla_runtime.learn.contract import TaskFacts
from vla_runtime.learn.episodes import Demonstration
from vla_runtime.learn.keys import CHUNK, IMAGE, INSTRUCTION_ID, IS_PAD, STATE

__all__ = ["check_memory", "samples_of"]

_MEMORY_SHARE = 0.8


def samples_of(demonstration: Demonstration, facts: TaskFacts) -> TensorDict:
    """The samples of ``demonstration``, in order, as TensorDict [N] in physical units.

    Images are u8[N, 3, H, W] by camera and lie in memory as they were captured, H x W x RGB.

    Raises:
        LogError: a frame cannot be decoded.
    """
    samples = demonstration.samples
    count = len(samples)
    pixels = {name: np.empty((count, height, width, 3), np.uint8) for name, (height, width) in facts.cameras.items()}
    workers = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(workers) as pool:
        for part in [pool.submit(_decode, demonstration, range(first, count, workers), pixels)
                     for first in range(min(workers, count))]:  # fmt: skip
            part.result()
    encoding = facts.encoding()
    ids = {text: encoding.encode(text) for text in {sample.instruction for sample in samples}}
    data = TensorDict(batch_size=[count])
    data[IMAGE] = TensorDict(
        {name: torch.from_numpy(block).permute(0, 3, 1, 2) for name, block in pixels.items()}, [count]
    )
    data[STATE] = torch.from_numpy(np.stack([sample.state for sample in samples]))
    data[INSTRUCTION_ID] = torch.tensor([ids[sample.instruction] for sample in samples])
    data[CHUNK] = torch.from_numpy(np.stack([sample.chunk for sample in samples]))
    data[IS_PAD] = torch.zeros(count, facts.chunk_length, dtype=torch.bool)
    return data


def check_memory(count: int, facts: TaskFacts) -> None:
    """Refuse to decode ``count`` samples into memory where they do not fit.

    Raises:
        LogError: with both sizes.
    """
    needed = count * sum(3 * height * width for height, width in facts.cameras.values())
    free = _available_bytes()
    if needed > _MEMORY_SHARE * free:
        raise LogError(
            f"the images of {count} samples take {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB of memory are free; "
            "train on fewer episodes, or write them to a store and train on that: vla-train store --help"
        )


def _decode(demonstration: Demonstration, rows: Iterable[int], pixels: Mapping[str, U8]) -> None:
    for row in rows:
        for camera, block in pixels.items():
            frame = demonstration.frames.find(camera, demonstration.samples[row].frames[camera])
            try:
                block[row] = frame.pixels()
            except MalformedMessage as error:
                raise LogError(
                    f"{demonstration.path}: frame {frame.seq} of camera {camera!r} cannot be decoded: {error}"
                ) from error


def _available_bytes() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
