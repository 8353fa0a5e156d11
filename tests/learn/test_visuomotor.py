"""The visuomotor policy sees where things are, whatever the size of its cameras."""

from __future__ import annotations

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict
from torch import nn

from vla_runtime.core.spec import CameraSpec, PolicySpec
from vla_runtime.learn import toy
from vla_runtime.learn.cameras import SpatialSoftmax
from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.keys import CHUNK, IMAGE, INSTRUCTION_ID, STATE
from vla_runtime.learn.neighbours import neighbours
from vla_runtime.learn.policy import build_policy
from vla_runtime.learn.token_head import TokenHead
from vla_runtime.learn.visuomotor import VisuomotorPolicy

SIDES = st.integers(1, 12)


def spec_of(*sizes: tuple[int, int]) -> PolicySpec:
    random = torch.Generator().manual_seed(0)
    spec = make_spec(toy.facts(), torch.randn(64, 8, generator=random), torch.randn(64, 4, generator=random))
    cameras = tuple(CameraSpec(f"camera{i}", *size) for i, size in enumerate(sizes))
    return msgspec.structs.replace(spec, cameras=cameras)


def inputs_of(spec: PolicySpec, batch: int = 2) -> TensorDict:
    random = torch.Generator().manual_seed(1)
    inputs = TensorDict({INSTRUCTION_ID: torch.zeros(batch, dtype=torch.long)}, [batch])
    inputs[STATE] = torch.randn(batch, len(spec.state), generator=random)
    for camera in spec.cameras:
        size = (batch, 3, camera.height, camera.width)
        inputs[IMAGE, camera.name] = torch.randint(0, 256, size, dtype=torch.uint8, generator=random)
    return inputs


@given(st.data(), SIDES, SIDES)
@settings(max_examples=50, deadline=None)
def test_a_lone_peak_is_found_where_it_is(data: st.DataObject, height: int, width: int) -> None:
    row, column = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    maps = torch.zeros(1, 1, height, width)
    maps[0, 0, row, column] = 100.0
    x, y = SpatialSoftmax(height, width)(maps)[0].tolist()
    assert x == pytest.approx(2 * (column + 0.5) / width - 1, abs=1e-5)
    assert y == pytest.approx(2 * (row + 0.5) / height - 1, abs=1e-5)


@given(SIDES, SIDES, st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_keypoints_lie_in_the_image_and_mirror_with_it(height: int, width: int, seed: int) -> None:
    maps = 5 * torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed))
    find = SpatialSoftmax(height, width)
    points = find(maps).reshape(2, 3, 2)
    assert points.abs().max() <= 1.0
    mirrored = find(maps.flip(-1)).reshape(2, 3, 2)
    assert torch.allclose(mirrored[..., 0], -points[..., 0], atol=1e-5)
    assert torch.allclose(mirrored[..., 1], points[..., 1], atol=1e-5)


def test_the_temperature_is_learnt() -> None:
    find = SpatialSoftmax(4, 4)
    find(torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    assert find.log_sharpness.grad is not None
    assert find.log_sharpness.grad.abs() > 1e-4


@pytest.mark.parametrize("sizes", [[(16, 16)], [(96, 96), (96, 96)], [(24, 40), (7, 5), (224, 160)], [(1, 1)]])
def test_any_number_and_size_of_cameras_gives_chunks(sizes: list[tuple[int, int]]) -> None:
    spec = spec_of(*sizes)
    policy = build_policy(spec, "visuomotor", seed=0)
    inputs = inputs_of(spec)
    chunk = policy(inputs.copy())[CHUNK]
    assert chunk.shape == (2, 8, 4)
    for camera in spec.cameras:
        other = inputs.clone()
        other[IMAGE, camera.name] = 255 - other[IMAGE, camera.name]
        assert not torch.allclose(policy(other)[CHUNK], chunk, atol=1e-6) or camera.height * camera.width == 1


def test_the_layout_of_the_images_in_memory_makes_no_difference() -> None:
    spec = spec_of((24, 40))
    policy = build_policy(spec, "visuomotor", seed=0)
    inputs = inputs_of(spec)
    other = inputs.copy()
    other[IMAGE] = inputs[IMAGE].apply(lambda image: image.contiguous(memory_format=torch.channels_last))
    assert torch.allclose(policy(other)[CHUNK], policy(inputs)[CHUNK], atol=1e-6)


def test_two_cameras_of_224_pixels_stay_below_five_million_parameters() -> None:
    policy = build_policy(spec_of((224, 224), (224, 224)), "visuomotor")
    assert sum(parameter.numel() for parameter in policy.parameters()) < 5_000_000


def test_a_head_that_it_does_not_have_is_refused() -> None:
    flow = msgspec.structs.replace(spec_of((16, 16)), head="flow")
    with pytest.raises(ValueError, match="has a 'continuous' or 'tokens' head, 'flow' given"):
        build_policy(flow, "visuomotor")
    with pytest.raises(ValueError, match="has a 'continuous' or 'tokens' head, 'flow' given"):
        VisuomotorPolicy({"eye": (16, 16)}, state_dim=1, action_dim=2, chunk_size=3, action_head="flow")


def test_the_token_head_tells_the_bins_of_the_chunk_that_it_gives() -> None:
    spec = msgspec.structs.replace(spec_of((16, 16), (8, 12)), head="tokens")
    policy = build_policy(spec, "visuomotor", seed=0, num_bins=32)
    out = policy(inputs_of(spec))
    tokens = out["vla_action", "tokens"]
    assert tokens.shape == (2, spec.chunk_length, 4)
    assert tokens.max() < 32
    assert torch.equal(out[CHUNK], policy.action_tokenizer.decode(tokens))
    assert out["vla_action", "log_probs"].shape == (2,)


def test_each_number_of_a_chunk_has_its_own_logits() -> None:
    head = TokenHead(5, rows=3, actions=2, bins=4)
    features = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    logits = head(features).unflatten(-1, (3, 2, 4))
    project = head.project(features).unflatten(-1, (3, 2, -1))
    for row in range(3):
        for action in range(2):
            expected = (project[:, row, action] @ head.curves[action] + head.offset[action]) @ head.smooth
            torch.testing.assert_close(logits[:, row, action], expected)


def test_a_step_of_the_token_head_for_one_bin_moves_the_likeliest_bin_towards_it_and_makes_no_new_peak() -> None:
    torch.manual_seed(0)
    head = TokenHead(5, rows=1, actions=1, bins=128)
    features = torch.randn(1, 5)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.03)
    labels = neighbours(128, 8.0)[70]
    for _ in range(300):
        optimiser.zero_grad()
        nn.functional.cross_entropy(head(features), labels[None]).backward()
        optimiser.step()
    before = head(features)[0].argmax().item()
    assert abs(before - 70) <= 1
    for _ in range(20):
        optimiser.zero_grad()
        nn.functional.cross_entropy(head(features), torch.tensor([76])).backward()
        optimiser.step()
    logits = head(features)[0]
    assert before < logits.argmax() <= 76
    rising = (logits[58:89].diff() > 0).int()
    assert rising.diff().abs().sum() == 1, "one peak: up to it, then down"


def test_a_lower_temperature_sharpens_what_is_drawn_and_leaves_the_likeliest() -> None:
    spec = msgspec.structs.replace(spec_of((16, 16)), head="tokens")
    policy = build_policy(spec, "visuomotor", seed=0, num_bins=32)
    cold = policy.get_new_version(temperature=0.25)
    with torch.no_grad():
        warm_logits, cold_logits = (p.get_dist(inputs_of(spec)).base_dist.logits for p in (policy, cold))
    assert torch.equal(warm_logits.argmax(-1), cold_logits.argmax(-1))
    assert (cold_logits.exp().amax(-1) > warm_logits.exp().amax(-1)).all()


def test_without_a_state_it_works_on_what_it_sees() -> None:
    policy = VisuomotorPolicy({"eye": (16, 16)}, state_dim=0, action_dim=2, chunk_size=3, use_state=False)
    inputs = TensorDict({INSTRUCTION_ID: torch.zeros(2, dtype=torch.long)}, [2])
    inputs[IMAGE] = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    assert policy(inputs)[CHUNK].shape == (2, 3, 2)
    with pytest.raises(ValueError, match="needs a camera, none given"):
        VisuomotorPolicy({}, state_dim=0, action_dim=2, chunk_size=3)
