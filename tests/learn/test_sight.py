"""The visuomotor policy learns to look: the place of the thing that the instruction names reaches the chunk."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict
from torch import Tensor

from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn.bc import train
from vla_runtime.learn.contract import TaskFacts, make_spec
from vla_runtime.learn.data import sample_buffer
from vla_runtime.learn.fused import FusedPolicy
from vla_runtime.learn.keys import CHUNK, IMAGE, INSTRUCTION_ID, IS_PAD, STATE
from vla_runtime.learn.policy import build_policy
from vla_runtime.learn.scaling import Scaling
from vla_runtime.learn.threads import computing_with

SIDE, SQUARE, ROWS = 32, 5, 4
COLOURS = torch.tensor([[220, 60, 60], [60, 190, 60], [60, 80, 230]])
FACTS = TaskFacts(
    name="squares",
    actions={"x": "none", "y": "none"},
    state={"x.position": "none", "y.position": "none"},
    cameras={"eye": (SIDE, SIDE)},
    instructions=("to the red square", "to the green square", "to the blue square"),
    dt_ns=1,
    chunk_length=ROWS,
)


def scenes(count: int, seed: int) -> tuple[TensorDict, Tensor]:
    """Three squares on a noisy ground, a point, and the straight way to the named one in ``ROWS`` steps.

    Second result: where the squares are, f32[count, 3, 2] in pixels.
    """
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(90, 150, (count, SIDE, SIDE, 3), generator=random)
    # One square in each of three columns, in random order: they never overlap.
    columns = torch.stack([torch.randperm(3, generator=random) for _ in range(count)]) * 10
    corners = torch.stack(
        [columns + torch.randint(0, 6, (count, 3), generator=random),
         torch.randint(0, SIDE - SQUARE, (count, 3), generator=random)], -1
    )  # fmt: skip
    for row in range(count):
        for colour, (x, y) in zip(COLOURS, corners[row].tolist(), strict=True):
            images[row, y : y + SQUARE, x : x + SQUARE] = colour
    named = torch.randint(0, 3, (count,), generator=random)
    places = corners + (SQUARE - 1) / 2
    point = SIDE * torch.rand(count, 2, generator=random)
    samples = TensorDict({INSTRUCTION_ID: ids()[named]}, [count])
    samples[IMAGE, "eye"] = images.to(torch.uint8).permute(0, 3, 1, 2)
    samples[STATE] = point
    way = torch.linspace(1 / ROWS, 1, ROWS)[:, None]
    samples[CHUNK] = point[:, None] + way * (places[torch.arange(count), named] - point)[:, None]
    samples[IS_PAD] = torch.zeros(count, ROWS, dtype=torch.bool)
    return samples, places


def ids() -> Tensor:
    return torch.tensor([FACTS.encoding().encode(text) for text in FACTS.instructions])


def goals(policy: FusedPolicy, spec: PolicySpec, samples: TensorDict, *, named: int, black: bool = False) -> Tensor:
    """Where the last row of the chunk leads to, f32[N, 2] in pixels."""
    scaling = Scaling.from_spec(spec)
    image = samples[IMAGE, "eye"]
    inputs = TensorDict({INSTRUCTION_ID: ids()[named].expand(len(samples))}, [len(samples)])
    inputs[IMAGE, "eye"] = torch.zeros_like(image) if black else image
    inputs[STATE] = scaling.normalise_state(samples[STATE])
    with torch.no_grad():
        return scaling.denormalise_action(policy(inputs)[CHUNK])[:, -1]


@pytest.fixture(scope="module")
def trained() -> tuple[FusedPolicy, PolicySpec]:
    samples, _ = scenes(2000, seed=0)
    spec = make_spec(FACTS, samples[STATE], samples[CHUNK])
    policy = build_policy(spec, "visuomotor", seed=0, channels=8, keypoints=8, hidden_dim=64)
    with computing_with(1):  # so little work is done sooner by one, whatever else the machine does
        train(policy, sample_buffer(samples, Scaling.from_spec(spec), 64), steps=500, lr=4e-3, warm_up=30, clip=1.0)
    return policy, spec


@pytest.mark.parametrize("named", range(3))
def test_the_chunk_leads_to_the_square_that_the_instruction_names(
    trained: tuple[FusedPolicy, PolicySpec], named: int
) -> None:
    samples, places = scenes(300, seed=1)
    found = goals(*trained, samples, named=named)
    distances = (found[:, None] - places).norm(dim=-1)
    assert distances[:, named].median() < 1.5
    assert (distances.argmin(1) == named).float().mean() > 0.95


def test_with_black_images_it_leads_nowhere(trained: tuple[FusedPolicy, PolicySpec]) -> None:
    samples, places = scenes(300, seed=1)
    found = goals(*trained, samples, named=0, black=True)
    assert (found - places[:, 0]).norm(dim=-1).median() > 5.0
