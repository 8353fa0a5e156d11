"""One episode's log as demonstrations: every chunk in it with the state and the frames that it was planned from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from vla_runtime.core.errors import LogError, PolicyFileError
from vla_runtime.core.spec import PolicySpec
from vla_runtime.core.state import StateInputs
from vla_runtime.core.types import F32, ActionChunk, PlanRequest
from vla_runtime.episode.frames import FrameIndex
from vla_runtime.episode.reader import read_episode

__all__ = ["Demonstration", "Sample", "read_demonstration"]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One chunk f32[H, A], the state f32[S] that was shown, the instruction it was asked for with, and its frames
    {camera: seq}.
    """

    state: F32
    instruction: str
    chunk: F32
    frames: Mapping[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Demonstration:
    """An episode's samples, in the order of the log. ``frames`` finds their images in the file at ``path``.

    ``skipped`` counts the chunks that are no samples, by reason; ``truncated``: the file lacks its end.
    """

    path: Path
    spec: PolicySpec
    samples: Sequence[Sample]
    frames: FrameIndex
    skipped: Counter[str]
    truncated: bool


class _Named(msgspec.Struct):
    name: str


class _Config(msgspec.Struct):
    """What of a robot's config says in which order the log's states are."""

    joints: list[_Named]
    extras: list[str] = []


def read_demonstration(path: Path) -> Demonstration:
    """Read the episode at ``path``; of a truncated one, what is whole.

    A chunk is a sample whether or not the scheduler accepted it: what it answered is in the log all the same. It is
    skipped if it is not finite or not of the contract's shape and step, or if its request or a frame is missing.

    Raises:
        LogError: it cannot be read, is no episode, or says nothing about its robot and contract.
    """
    episode = read_episode(path)
    try:
        spec = PolicySpec.from_json(episode.metadata["spec"])
        config = msgspec.json.decode(episode.metadata["config"], type=_Config)
    except (KeyError, msgspec.MsgspecError, PolicyFileError) as error:
        raise LogError(f"{path} does not say what its robot and its policy's contract were: {error}") from error
    inputs = StateInputs([entry.name for entry in spec.state], [joint.name for joint in config.joints], config.extras)
    requests = {request.seq: request for found in episode.requests_by_tick.values() for request in found}
    sizes = {(place.camera, place.seq): (place.height, place.width) for place in episode.index.places}
    samples: list[Sample] = []
    skipped: Counter[str] = Counter()
    for tick in sorted(episode.chunks_by_tick):
        for chunk, _ in episode.chunks_by_tick[tick]:
            try:
                _check(chunk, spec, sizes)
                samples.append(_sample(chunk, requests.get(chunk.request_seq), inputs))
            except _NoSample as reason:
                skipped[str(reason)] += 1
    return Demonstration(path, spec, samples, episode.index, skipped, episode.truncated)


class _NoSample(Exception):
    """A chunk that cannot be trained on; the message is why, in a few words."""


def _check(chunk: ActionChunk, spec: PolicySpec, sizes: Mapping[tuple[str, int], tuple[int, int]]) -> None:
    if np.shape(chunk.actions) != (spec.chunk_length, len(spec.actions)):
        raise _NoSample("chunk of another shape")
    if not np.isfinite(chunk.actions).all():
        raise _NoSample("chunk not finite")
    if chunk.dt_ns != spec.dt_ns:
        raise _NoSample("chunk of another dt")
    for camera in spec.cameras:
        seq = chunk.frames.get(camera.name)
        size = None if seq is None else sizes.get((camera.name, seq & 0xFFFFFFFF))
        if size is None:
            raise _NoSample("frame missing")
        if size != (camera.height, camera.width):
            raise _NoSample("frame of another size")


def _sample(chunk: ActionChunk, request: PlanRequest | None, inputs: StateInputs) -> Sample:
    if request is None:
        raise _NoSample("request missing")
    try:
        state = inputs.pick(request.state if chunk.state is None else chunk.state)
    except ValueError as error:
        raise _NoSample(str(error)) from error
    if not np.isfinite(state).all():
        raise _NoSample("state not finite")
    return Sample(state, request.instruction, np.asarray(chunk.actions, dtype=np.float32), chunk.frames)
