"""Logged frames to calibrate on and to judge with: what the policy sees on the robot, not made up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vla_runtime.core.errors import LogError, MalformedMessage
from vla_runtime.core.spec import PolicySpec
from vla_runtime.core.types import F32, U8
from vla_runtime.learn.episodes import Demonstration, Sample, read_demonstration

__all__ = ["FRAMES", "Observation", "Observations", "read_observations"]

FRAMES = 512
"""Read from a directory, if it holds as many: half to calibrate on, half to judge with."""
_GOLDEN = 0.6180339887498949
"""Multiples of it, modulo 1, are spread evenly however many there are."""


@dataclass(frozen=True, eq=False)
class Observation:
    """One moment: u8[H, W, 3] by camera, f32[S] in physical units, and what was asked for."""

    images: dict[str, U8]
    state: F32
    instruction: str


@dataclass(frozen=True, eq=False)
class Observations:
    """``calibrate`` and ``judge`` are of different episodes, or of one if there is but one."""

    calibrate: Sequence[Observation]
    judge: Sequence[Observation]


def read_observations(directory: Path, spec: PolicySpec, frames: int = FRAMES) -> Observations:
    """About ``frames`` moments of the episodes in ``directory`` (``*.mcap``), spread evenly over them and inside them.

    Episodes that cannot be read, and chunks that name no frame, are passed over.

    Raises:
        LogError: there is no directory, no usable episode or but one frame in it; an episode is of another robot than
            ``spec``, or gives none of its instructions. The message names both.
    """
    if not directory.is_dir():
        raise LogError(f"{directory} is no directory, expected one with episodes (*.mcap) to calibrate on")
    paths = sorted(directory.glob("*.mcap"))
    read = [paths[index * len(paths) // min(frames, len(paths))] for index in range(min(frames, len(paths)))]
    why = "there is no file *.mcap in it"
    found: list[list[Observation]] = []
    for number, path in enumerate(read):
        try:
            demonstration = read_demonstration(path)
        except LogError as error:
            why = str(error)
            continue
        _check(demonstration, spec)
        known = [sample for sample in demonstration.samples if sample.instruction in spec.instruction.texts]
        if not known:
            given = ", ".join(sorted({repr(sample.instruction) for sample in demonstration.samples})) or "no chunk"
            why = f"{path} holds {given}, expected one of {', '.join(map(repr, spec.instruction.texts))}"
            continue
        wanted = -(-frames // len(read))
        found.append([_observation(demonstration, sample, spec) for sample in _spread(known, wanted, number)])
    every = [observation for episode in found for observation in episode]
    if len(every) < 2:
        raise LogError(f"{directory} holds {len(every)} observations to calibrate on, expected at least 2: {why}")
    if len(found) == 1:
        return Observations(every[::2], every[1::2])
    return Observations(*([one for episode in found[half::2] for one in episode] for half in (0, 1)))


def _spread(samples: Sequence[Sample], wanted: int, number: int) -> list[Sample]:
    """Evenly, and not at the same moment of every episode."""
    count = min(wanted, len(samples))
    start = (number * _GOLDEN) % 1.0
    return [samples[int((index + start) * len(samples) / count)] for index in range(count)]


def _observation(demonstration: Demonstration, sample: Sample, spec: PolicySpec) -> Observation:
    images = {}
    for camera in spec.cameras:
        frame = demonstration.frames.find(camera.name, sample.frames[camera.name])
        try:
            images[camera.name] = np.ascontiguousarray(frame.pixels())
        except MalformedMessage as error:
            raise LogError(f"{demonstration.path}: a frame of {camera.name} cannot be decoded: {error}") from error
    return Observation(images, sample.state, sample.instruction)


def _check(demonstration: Demonstration, spec: PolicySpec) -> None:
    """What the policy reads must be there, the same in kind and size."""
    ours, theirs = (
        {
            "state inputs": [(entry.name, entry.unit) for entry in contract.state],
            "cameras": sorted(
                (camera.name, camera.height, camera.width)
                for camera in contract.cameras
                if camera.name in {known.name for known in spec.cameras}
            ),
        }
        for contract in (spec, demonstration.spec)
    )
    for what in ours:
        if ours[what] != theirs[what]:
            raise LogError(
                f"{demonstration.path} is of another robot than the policy: {what} {theirs[what]}, expected "
                f"{ours[what]}; calibrate on episodes of the policy's robot"
            )
