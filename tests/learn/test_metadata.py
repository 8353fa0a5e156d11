"""What is known of a robot's data fits its number of actions, and survives JSON, disk, a stack and torchrl."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tensordict import TensorDict

from vla_runtime.learn.schema import RobotMetadata, SchemaError

WHOLE = RobotMetadata(
    "bridge",
    3,
    embodiment_id="widowx",
    action_names=("lift", "turn", "grip"),
    action_space="joint_position",
    gripper_mode="binary",
    control_frequency_hz=5.0,
    camera_keys=(("observation", "image", "front"), "wrist"),
    action_mean=(0.1, 1 / 3, 0.0),
    action_std=(1.0, 1e-7, 0.3),
    action_low=(-1.0, 0.0, 0.0),
    action_high=(1.0, 0.0, 1.0),
    license="MIT",
)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(mean=st.tuples(numbers, numbers), std=st.tuples(*[st.floats(min_value=1e-300, max_value=1e300)] * 2))
def test_every_float_reads_back_from_json_to_the_same_bits(mean: tuple, std: tuple) -> None:
    metadata = RobotMetadata("any", 2, action_mean=mean, action_std=std)
    read = RobotMetadata.from_json(metadata.to_json())
    assert read == metadata
    assert [v.hex() for v in read.action_mean] == [v.hex() for v in mean]


def test_every_field_reads_back_from_json() -> None:
    assert RobotMetadata.from_json(WHOLE.to_json()) == WHOLE


def test_a_memory_mapped_record_reads_back(tmp_path: Path) -> None:
    WHOLE.to_tensordict().memmap(str(tmp_path))
    read = TensorDict.load_memmap(tmp_path)
    assert RobotMetadata.from_tensordict(read) == WHOLE
    assert read["action_mean"].tolist() == list(WHOLE.action_mean)


def test_records_of_several_robots_are_stacked_and_taken_apart(tmp_path: Path) -> None:
    other = msgspec.structs.replace(WHOLE, dataset_id="fractal", action_mean=(9.0, 9.0, 9.0))
    stack = torch.stack([WHOLE.to_tensordict(), other.to_tensordict(), WHOLE.to_tensordict()])
    assert stack["action_mean"].shape == (3, 3)
    assert [RobotMetadata.from_tensordict(one) for one in stack] == [WHOLE, other, WHOLE]
    same = torch.stack([WHOLE.to_tensordict()] * 2)
    assert [RobotMetadata.from_tensordict(one) for one in same] == [WHOLE, WHOLE]
    stack.memmap(str(tmp_path))
    read = TensorDict.load_memmap(tmp_path)
    assert [RobotMetadata.from_tensordict(one) for one in read] == [WHOLE, other, WHOLE]


def test_torchrls_record_says_the_same_in_single_precision() -> None:
    theirs = WHOLE.to_torchrl()
    assert torch.equal(theirs.action_mean, torch.tensor(WHOLE.action_mean))
    back = RobotMetadata.from_torchrl(theirs)
    single = {name: tuple(torch.tensor(getattr(WHOLE, name)).tolist()) for name in
              ("action_mean", "action_std", "action_low", "action_high")}  # fmt: skip
    assert back == msgspec.structs.replace(WHOLE, **single)
    assert RobotMetadata.from_json(theirs.to_json()) == back
    assert RobotMetadata.from_torchrl(back.to_torchrl()) == back


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"action_mean": (0.0,) * 2, "action_std": (1.0,) * 3}, "action_mean: 2 values found, 3 expected"),
        ({"action_mean": (0.0,) * 3}, "action_mean: only one of it and action_std found"),
        ({"action_mean": (0.0,) * 3, "action_std": (1.0, 0.0, 1.0)}, "action_std: .* found, values above 0"),
        ({"action_mean": (0.0, 0.0, float("nan")), "action_std": (1.0,) * 3}, "action_mean: .* found, finite"),
        ({"action_low": (1.0,) * 3, "action_high": (0.0,) * 3}, "action_low: 1 to 0 found, low up to high"),
        ({"action_low": (1.0,) * 4, "action_high": (2.0,) * 3}, "action_low: 4 values found"),
        ({"action_names": ("one",)}, "action_names: 1 names found, 3 expected"),
        ({"action_dim": 0}, "action_dim: 0 found, at least 1"),
        ({"control_frequency_hz": 0.0}, "control_frequency_hz: 0 found"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        RobotMetadata(**{"dataset_id": "any", "action_dim": 3, **fields})


@pytest.mark.parametrize("text", ["", "{}", '{"dataset_id": "a", "action_dim": 3, "action_mean": [NaN, 0, 0]}'])
def test_json_that_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(SchemaError, match="metadata: "):
        RobotMetadata.from_json(text)


def test_a_stack_is_not_taken_for_one_record() -> None:
    with pytest.raises(SchemaError, match="the record as text, of one robot"):
        RobotMetadata.from_tensordict(TensorDict())
