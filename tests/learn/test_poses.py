"""The pose expert keeps its promises, and a policy learns it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vla_runtime.learn.arm import pose_task
from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.data import chunked, sample_buffer
from vla_runtime.learn.evaluate import pose_success
from vla_runtime.learn.keys import ACTION, IMAGE, INSTRUCTION_ID, STATE
from vla_runtime.learn.noise import NoiseImages
from vla_runtime.learn.poses import PoseTask, collect, expert, facts
from vla_runtime.learn.recipes import Recipe, train_arm
from vla_runtime.learn.scaling import Scaling

LAG = 0.08
VALUES = {
    "joints": ("shoulder", "elbow", "gripper"),
    "units": ("rad", "rad", "m"),
    "limits": ((-2.0, 2.0), (-1.5, 2.5), (0.0, 0.08)),
    "velocity": (2.0, 2.0, 0.1),
    "cameras": {"front": (8, 8), "wrist": (8, 8)},
    "poses": {"go home": (0.0, 0.0, 0.0), "reach left": (1.2, 0.8, 0.06), "reach right": (-1.2, 0.8, 0.03)},
    "step_hz": 20.0,
    "time_constant_s": LAG,
}


def task_of(**changes: object) -> PoseTask:
    return pose_task(**(VALUES | changes))


def test_the_expert_moves_straight_within_its_speed_and_arrives() -> None:
    task = task_of()
    start, target = torch.tensor([-2.0, 2.5, 0.08]), torch.tensor([1.2, 0.8, 0.06])
    times = torch.arange(0.0, 8.0, 0.01)
    path = expert(task, start.expand(len(times), -1), target.expand(len(times), -1), times)
    speed = path.diff(dim=0).abs() / 0.01
    assert torch.allclose(path[0], start)
    assert torch.allclose(path[-1], target, atol=1e-3)
    assert (speed <= torch.tensor(task.max_speed) * 1.01).all()
    share = ((path - start) / (target - start))[1:]
    assert torch.allclose(share, share[:, :1].expand_as(share), atol=1e-4)
    assert (path.diff(dim=0)[:, 0] >= -1e-6).all()


def test_the_expert_is_consistent_with_itself() -> None:
    task = task_of()
    start, target = torch.tensor([[-2.0, 2.5, 0.08]]), torch.tensor([[1.2, 0.8, 0.06]])
    for first, then in ((0.3, 0.5), (3.0, 0.4), (4.0, 2.0)):
        via = expert(task, start, target, torch.tensor([first]))
        twice = expert(task, via, target, torch.tensor([then]))
        assert torch.allclose(twice, expert(task, start, target, torch.tensor([first + then])), atol=1e-5)


def test_every_sample_brings_fresh_noise() -> None:
    task = task_of()
    data = collect(task, 12, 10, seed=0)
    assert IMAGE not in data.keys(True)
    spec = make_spec(facts(task), data[STATE], data[ACTION])
    buffer = sample_buffer(chunked(data, 16), Scaling.from_spec(spec), 12, NoiseImages(task.cameras))
    first, second = buffer.sample(), buffer.sample()
    assert list(first[IMAGE].keys()) == ["front", "wrist"]
    assert first[IMAGE, "front"].shape == (12, 3, 8, 8)
    assert first[IMAGE, "front"].dtype == torch.uint8
    assert not torch.equal(first[IMAGE, "front"], second[IMAGE, "front"])


def test_an_expert_at_the_pose_stays() -> None:
    target = torch.tensor([[1.2, 0.8, 0.06]])
    assert torch.equal(expert(task_of(), target, target, torch.tensor([1.0])), target)


def test_demonstrations_stay_in_the_limits_and_name_every_pose() -> None:
    task = task_of()
    data = collect(task, 12, 10, seed=0)
    low, high = torch.tensor(task.low), torch.tensor(task.high)
    for key in (STATE, ACTION):
        assert (data[key] >= low - 1e-6).all()
        assert (data[key] <= high + 1e-6).all()
    encoding = facts(task).encoding()
    assert set(data[INSTRUCTION_ID].unique().tolist()) == {encoding.encode(text) for text in task.poses}
    assert data["next", "done"][:, -1].all()


def test_the_label_leads_the_state_by_the_servo_lag() -> None:
    task = task_of(time_constant_s=0.12)
    data = collect(task, 6, 10, seed=0)
    target = task.targets()[torch.arange(6) % 3].unsqueeze(1).expand(6, 10, 3)
    ahead = expert(task, data[STATE], target, torch.full((6, 10), 0.12))
    assert torch.allclose(data[ACTION], ahead, atol=1e-5)
    assert not torch.allclose(data[ACTION], data[STATE], atol=1e-2)


def test_a_small_arm_learns_its_poses() -> None:
    task = task_of()
    made = train_arm(task, Recipe(steps=500, batch_size=256, lr=3e-3, hidden_dim=64), seed=0)
    assert made.spec.dt_ns == 50_000_000
    assert made.spec.chunk_length == 16
    assert pose_success(made.policy, made.spec, task, time_constant_s=LAG, episodes=100) >= 0.98


def test_instructions_with_one_id_are_refused() -> None:
    description = facts(task_of())
    texts = [f"pose {i}" for i in range(300)]
    with pytest.raises(ValueError, match="hash to the same id modulo 256"):
        replace(description, instructions=texts).encoding()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"poses": {}}, "no pose is named"),
        ({"poses": {"far": (0.0, 3.0, 0.0)}}, r"pose 'far' puts elbow at 3.0, outside its limits \[-1.5, 2.5\]"),
        ({"poses": {"nan": (float("nan"), 0.0, 0.0)}}, "puts shoulder at nan"),
        ({"poses": {"short": (0.0,)}}, "pose 'short' has 1 values, expected 3"),
        ({"velocity": (1.0, 0.0, 1.0)}, "joint elbow: speed 0.0, expected more than 0"),
        ({"limits": ((1.0, -1.0), (-1.5, 2.5), (0.0, 0.08))}, "joint shoulder: position limits"),
        ({"step_hz": 0.0}, "step_hz is 0.0, expected more than 0"),
    ],
)
def test_values_that_disagree_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task_of(**changes)
