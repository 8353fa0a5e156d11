"""Logged frames and samples to one block of memory: JPEGs are decoded in parallel, straight to where they belong."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
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

__all__ = ["samples_of"]

_MEMORY_SHARE = 0.8


def samples_of(
    demonstrations: Sequence[Demonstration], facts: TaskFacts, say: Callable[[str], None] = lambda line: None
) -> TensorDict:
    """The samples of ``demonstrations``, in order, as TensorDict [N] in physical units.

    Images are u8[N, 3, H, W] by camera and lie in memory as they were captured, H x W x RGB.

    Raises:
        LogError: the images do not fit into memory, or a frame cannot be decoded.
    """
    count = sum(len(demonstration.samples) for demonstration in demonstrations)
    _check_memory(count, facts)
    pixels = {name: np.empty((count, height, width, 3), np.uint8) for name, (height, width) in facts.cameras.items()}
    first = 0
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        work = []
        for demonstration in demonstrations:
            places = {name: block[first : first + len(demonstration.samples)] for name, block in pixels.items()}
            work.append(pool.submit(_decode, demonstration, places))
            first += len(demonstration.samples)
        try:
            for done, future in enumerate(work, 1):
                future.result()
                if done % 100 == 0:
                    say(f"decoded {done} of {len(work)} episodes")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    samples = [sample for demonstration in demonstrations for sample in demonstration.samples]
    ids = {text: facts.encoding().encode(text) for text in facts.instructions}
    data = TensorDict(batch_size=[count])
    data[IMAGE] = TensorDict(
        {name: torch.from_numpy(block).permute(0, 3, 1, 2) for name, block in pixels.items()}, [count]
    )
    data[STATE] = torch.from_numpy(np.stack([sample.state for sample in samples]))
    data[INSTRUCTION_ID] = torch.tensor([ids[sample.instruction] for sample in samples])
    data[CHUNK] = torch.from_numpy(np.stack([sample.chunk for sample in samples]))
    data[IS_PAD] = torch.zeros(count, facts.chunk_length, dtype=torch.bool)
    return data


def _decode(demonstration: Demonstration, places: dict[str, U8]) -> None:
    for row, sample in enumerate(demonstration.samples):
        for camera, block in places.items():
            frame = demonstration.frames.find(camera, sample.frames[camera])
            try:
                block[row] = frame.pixels()
            except MalformedMessage as error:
                raise LogError(
                    f"{demonstration.path}: frame {frame.seq} of camera {camera!r} cannot be decoded: {error}"
                ) from error


def _check_memory(count: int, facts: TaskFacts) -> None:
    needed = count * sum(3 * height * width for height, width in facts.cameras.values())
    free = _available_bytes()
    if needed > _MEMORY_SHARE * free:
        raise LogError(
            f"the images of {count} samples take {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB of memory are free; "
            "train on fewer episodes"
        )


def _available_bytes() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
