"""What is known of a robot's data: torchrl's ``RobotDatasetMetadata``, checked, exact in JSON, stackable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import torch
from tensordict import NonTensorData, TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data.vla import INSTRUCTION_KEY, STATE_KEY, ActionSpace, GripperMode, RobotDatasetMetadata

from vla_runtime.learn.schema.problem import Problem, SchemaError

__all__ = ["RobotMetadata"]

Key = str | tuple[str, ...]
Vector = tuple[float, ...]
_VECTORS = ("action_mean", "action_std", "action_low", "action_high")
_JSON = "json"


class RobotMetadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of torchrl's record. The vectors have a value for each action; ``std`` is above 0, ``low`` below
    ``high``.

    torchrl's own takes a mean of another length, and fails in ``memmap`` and ``torch.stack``: keep this one, and make
    torchrl's from it where a function wants it.

    Raises:
        SchemaError: on making one, vectors or names that do not fit the number of actions, or are not finite.
    """

    dataset_id: str
    action_dim: int
    embodiment_id: str | None = None
    action_names: tuple[str, ...] | None = None
    action_space: ActionSpace = "unknown"
    gripper_mode: GripperMode = "unknown"
    control_frequency_hz: float | None = None
    camera_keys: tuple[Key, ...] = ()
    state_key: Key | None = STATE_KEY
    instruction_key: Key | None = INSTRUCTION_KEY
    action_key: Key = "action"
    action_mean: Vector | None = None
    action_std: Vector | None = None
    action_low: Vector | None = None
    action_high: Vector | None = None
    license: str | None = None
    source_url: str | None = None

    def __post_init__(self) -> None:
        problems = [*self._problems()]
        if problems:
            raise SchemaError(problems)

    def to_json(self) -> str:
        """JSON in which every float reads back to the same bits."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> RobotMetadata:
        """Read what ``to_json`` or torchrl's ``to_json`` wrote.

        Raises:
            SchemaError: no such JSON, or values that do not fit.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError as error:
            raise SchemaError([Problem("metadata", str(error), "the JSON of a RobotMetadata")]) from error

    def to_torchrl(self) -> RobotDatasetMetadata:
        """torchrl's record, its vectors f32[A]."""
        fields = msgspec.structs.asdict(self)
        for name in _VECTORS:
            if fields[name] is not None:
                fields[name] = torch.tensor(fields[name])
        return RobotDatasetMetadata(**fields)

    @classmethod
    def from_torchrl(cls, metadata: RobotDatasetMetadata) -> RobotMetadata:
        """torchrl's record, checked.

        Raises:
            SchemaError: it has no ``action_dim``, or values that do not fit it.
        """
        fields: dict[str, Any] = {name: getattr(metadata, name) for name in cls.__struct_fields__}
        if fields["action_dim"] is None:
            raise SchemaError([Problem("action_dim", "nothing", "the number of actions")])
        for name in _VECTORS:
            value = fields[name]
            if isinstance(value, Tensor):
                if value.ndim != 1:
                    raise SchemaError([Problem(name, f"shape {list(value.shape)}", f"[{fields['action_dim']}]")])
                fields[name] = tuple(value.tolist())
        return cls(**fields)

    def to_tensordict(self) -> TensorDict:
        """The vectors f64[A] and the whole record as text: it can be stacked, memory-mapped and read back."""
        vectors = {name: value for name in _VECTORS if (value := getattr(self, name)) is not None}
        tensors = {name: torch.tensor(value, dtype=torch.float64) for name, value in vectors.items()}
        return TensorDict({**tensors, _JSON: NonTensorData(self.to_json())}, [])

    @classmethod
    def from_tensordict(cls, tensordict: TensorDictBase) -> RobotMetadata:
        """What ``to_tensordict`` made; of a stack, take one first.

        Raises:
            SchemaError: it is none.
        """
        text = tensordict.get(_JSON, None)
        text = getattr(text, "data", text)
        if not isinstance(text, str):
            raise SchemaError([Problem(_JSON, type(text).__name__, "the record as text, of one robot")])
        return cls.from_json(text)

    def _problems(self) -> Sequence[Problem]:
        count = self.action_dim
        if not count >= 1:
            return [Problem("action_dim", str(count), "at least 1")]
        problems = []
        if self.action_names is not None and len(self.action_names) != count:
            problems.append(Problem("action_names", f"{len(self.action_names)} names", f"{count}"))
        for name in _VECTORS:
            value = getattr(self, name)
            if value is not None and len(value) != count:
                problems.append(Problem(name, f"{len(value)} values", f"{count}"))
            elif value is not None and not all(math.isfinite(v) for v in value):
                problems.append(Problem(name, str(value), "finite values"))
        for one, other in (("action_mean", "action_std"), ("action_low", "action_high")):
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                problems.append(Problem(one, f"only one of it and {other}", "both or neither"))
        if self.action_std is not None and not all(v > 0 for v in self.action_std):
            problems.append(Problem("action_std", str(self.action_std), "values above 0"))
        if not problems and self.action_low is not None and self.action_high is not None:
            turned = [f"{a:g} to {b:g}" for a, b in zip(self.action_low, self.action_high, strict=True) if not a <= b]
            problems += [Problem("action_low", pair, "low up to high") for pair in turned]
        if self.control_frequency_hz is not None and not 0 < self.control_frequency_hz < math.inf:
            problems.append(Problem("control_frequency_hz", f"{self.control_frequency_hz:g}", "above 0"))
        return problems
