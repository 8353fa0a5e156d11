"""PolicySpec: the whole contract of a policy, carried inside its file as full-precision JSON.

The exporter writes it, ``vla-run`` checks it against the robot's YAML before anything moves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from vla_runtime.core.errors import PolicyFileError
from vla_runtime.core.instructions import InstructionEncoding

__all__ = [
    "FORMAT_VERSION",
    "METADATA_KEY",
    "ActionSpec",
    "CameraSpec",
    "GoldenSample",
    "Head",
    "Normalisation",
    "PolicySpec",
    "Precision",
    "ScalingMode",
    "StateSpec",
    "StateTime",
    "Unit",
]

FORMAT_VERSION = 1
METADATA_KEY = "vla_runtime.policy_spec"
"""Where the JSON lies: ONNX ``metadata_props`` key, TorchScript ``_extra_files`` name."""

Unit = Literal["rad", "m", "none"]
StateTime = Literal["capture", "request", "takeover"]
Head = Literal["continuous", "tokens", "flow"]
"""What a policy answers with: one chunk, tokens for one, or a sample of the chunks that fit."""
Precision = Literal["fp32", "fp16", "int8", "int8-dynamic"]
"""What a file computes with: as trained, weights stored in half, or 8 bits (``dynamic``: in matrix products only)."""
ScalingMode = Literal["mean_std", "min_max", "quantiles"]
"""What of the data became mean and std: mean and standard deviation, or middle and half width of the range of all
values or of the middle 98 % of them.
"""


class ActionSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One action dimension: its joint, its unit and the range seen in the training data."""

    name: str
    unit: Unit
    low: float
    high: float


class StateSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One state input: ``<joint>.position``, ``<joint>.velocity`` or the name of one of the robot's extras."""

    name: str
    unit: Unit


class CameraSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One image input, u8[B, height, width, 3]. ``resize``: what may be done to a frame of another size.

    ``none``: another size is refused. ``area``: shrunk or stretched to fit by area interpolation.
    """

    name: str
    height: int
    width: int
    colour: Literal["rgb"] = "rgb"
    resize: Literal["none", "area"] = "none"


class Normalisation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is folded into the graph: y = (x - mean) / std, then, with ``clamp``, at most ``clamp`` away from 0.

    ``mode``: for people, where mean and std come from. ``keep``: the actions and state inputs that are left as they
    are, with mean 0 and std 1 and never clamped.
    """

    state_mean: tuple[float, ...]
    state_std: tuple[float, ...]
    action_mean: tuple[float, ...]
    action_std: tuple[float, ...]
    clamp: float | None = None
    mode: ScalingMode = "mean_std"
    keep: tuple[str, ...] = ()

    def problems(self, state: Sequence[str], actions: Sequence[str]) -> list[str]:
        """Where it contradicts itself or the names of the state inputs and the actions."""
        problems = []
        for what, names, mean, std in (
            ("state", state, self.state_mean, self.state_std),
            ("action", actions, self.action_mean, self.action_std),
        ):
            for field, values in ((f"{what}_mean", mean), (f"{what}_std", std)):
                if len(values) != len(names):
                    problems.append(f"normalisation.{field} has {len(values)} values, expected {len(names)}")
            problems += [
                f"normalisation keeps {name} as it is, but has mean {loc:g} and std {scale:g} for it"
                for name, loc, scale in zip(names, mean, std, strict=False)
                if name in self.keep and (loc, scale) != (0.0, 1.0)
            ]
        unknown = [name for name in self.keep if name not in {*state, *actions}]
        if unknown:
            problems.append(f"normalisation keeps {', '.join(unknown)}, no action and no state input")
        if self.clamp is not None and not 0 < self.clamp < math.inf:
            problems.append(f"normalisation.clamp is {self.clamp:g}, expected a number above 0")
        return problems


class GoldenSample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The chunk, [H][A], that the inputs of ``core.golden`` must give, and the tolerance allowed."""

    instruction: str
    actions: tuple[tuple[float, ...], ...]
    tolerance: float


class PolicySpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a policy expects and gives. ``dt_ns`` is the time between two rows of a chunk.

    ``state_time``: the instant of the state that is shown with the images: that of the oldest image (``capture``),
    the newest state when the plan was asked for (``request``), or when the plan will take over (``takeover``: the
    joints where they are committed to be by then). A policy must be shown what it was trained on.
    """

    name: str
    chunk_length: int
    dt_ns: int
    actions: tuple[ActionSpec, ...]
    state: tuple[StateSpec, ...]
    cameras: tuple[CameraSpec, ...]
    instruction: InstructionEncoding
    head: Head
    normalisation: Normalisation
    state_time: StateTime = "request"
    precision: Precision = "fp32"
    format_version: int = FORMAT_VERSION
    golden: GoldenSample | None = None
    checkpoint_sha256: str = ""
    exporter: str = ""
    libraries: dict[str, str] = {}

    def to_json(self) -> bytes:
        """Full-precision JSON: every float reads back to the same bits."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes | str) -> PolicySpec:
        """Read and check a contract.

        Raises:
            PolicyFileError: not JSON, a field missing or unknown, another format version, or sizes that disagree.
        """
        try:
            version = msgspec.json.decode(data, type=_Version).format_version
        except msgspec.MsgspecError as error:
            raise PolicyFileError(f"the contract in the policy file cannot be read: {error}") from error
        if version != FORMAT_VERSION:
            raise PolicyFileError(f"the policy file has format version {version}, this runtime reads {FORMAT_VERSION}")
        try:
            spec = msgspec.json.decode(data, type=cls)
        except msgspec.MsgspecError as error:
            raise PolicyFileError(f"the contract in the policy file is invalid: {error}") from error
        spec.check()
        return spec

    def check(self) -> None:
        """Raise PolicyFileError where the contract contradicts itself."""
        problems = list(self._problems())
        if problems:
            raise PolicyFileError("the policy's contract contradicts itself: " + "; ".join(problems))

    def _problems(self) -> list[str]:
        problems = []
        if self.chunk_length < 1:
            problems.append(f"chunk_length is {self.chunk_length}, expected at least 1")
        if self.dt_ns < 1:
            problems.append(f"dt_ns is {self.dt_ns}, expected at least 1")
        for field, names in (
            ("actions", [action.name for action in self.actions]),
            ("state", [entry.name for entry in self.state]),
            ("cameras", [camera.name for camera in self.cameras]),
        ):
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                problems.append(f"{field} names {', '.join(repeated)} twice")
        problems += [
            f"camera {camera.name} is {camera.height}x{camera.width}, expected at least 1x1"
            for camera in self.cameras
            if camera.height < 1 or camera.width < 1
        ]
        if not self.actions:
            problems.append("there is no action")
        problems += self.instruction.problems()
        problems += self.normalisation.problems(
            [entry.name for entry in self.state], [action.name for action in self.actions]
        )
        if self.golden is not None:
            widths = [len(row) for row in self.golden.actions]
            if widths != [len(self.actions)] * self.chunk_length:
                problems.append(
                    f"the golden sample has rows of {', '.join(map(str, widths)) or 'no'} values, "
                    f"expected {self.chunk_length} rows of {len(self.actions)}"
                )
            if self.golden.instruction not in self.instruction.texts:
                known = ", ".join(map(repr, self.instruction.texts)) or "none"
                problems.append(f"the golden sample's instruction {self.golden.instruction!r} is none of {known}")
        return problems


class _Version(msgspec.Struct):
    format_version: int
