"""Every policy reads text and ids alike, cameras by name, and is an ordinary torchrl VLA policy."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
import torch
from tensordict import NonTensorStack, TensorDict
from torchrl.data.vla import UniformActionTokenizer, VLAAction, VLAImages, VLAObservation
from torchrl.envs import TransformedEnv
from torchrl.envs.transforms import InitTracker
from torchrl.modules import MultiStepActorWrapper
from torchrl.modules.vla import VLAWrapperBase

from vla_runtime.core.spec import CameraSpec, PolicySpec
from vla_runtime.learn import toy
from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.keys import CHUNK, IMAGE, INSTRUCTION, INSTRUCTION_ID, NOISE, STATE, use_root_keys
from vla_runtime.learn.policy import ARCHITECTURES, HEADS, build_policy

every_architecture = pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
TEXTS = ("go left", "go right", "push the T-shaped block onto the target")


def spec_of(head: str = "continuous", cameras: tuple[str, ...] = ("image",)) -> PolicySpec:
    facts = replace(toy.facts(), instructions=TEXTS, cameras=dict.fromkeys(cameras, (16, 16)))
    random = torch.Generator().manual_seed(0)
    return make_spec(facts, torch.randn(64, 8, generator=random), torch.randn(64, 4, generator=random), head)


def inputs_of(spec: PolicySpec, batch: int = 3) -> TensorDict:
    random = torch.Generator().manual_seed(1)
    inputs = TensorDict(batch_size=[batch])
    inputs[STATE] = torch.randn(batch, len(spec.state), generator=random)
    inputs[NOISE] = torch.randn(batch, spec.chunk_length, len(spec.actions), generator=random)
    inputs[IMAGE] = TensorDict(
        {
            camera.name: torch.randint(0, 256, (batch, 3, 16, 16), dtype=torch.uint8, generator=random)
            for camera in spec.cameras
        },
        [batch],
    )
    return inputs


@pytest.mark.parametrize(("architecture", "head"), [(name, head) for name in ARCHITECTURES for head in HEADS[name]])
def test_text_and_id_give_identical_chunks(architecture: str, head: str) -> None:
    spec = spec_of(head)
    policy = build_policy(spec, architecture, seed=0)
    inputs = inputs_of(spec)
    ids = torch.tensor([spec.instruction.encode(text) for text in TEXTS])
    by_id = policy(inputs.copy().set(INSTRUCTION_ID, ids))[CHUNK]
    by_text = policy(inputs.copy().set(INSTRUCTION, NonTensorStack(*TEXTS)))[CHUNK]
    assert torch.equal(by_id, by_text)
    assert by_id.shape == (3, 8, 4)


@every_architecture
def test_another_instruction_gives_another_chunk(architecture: str) -> None:
    spec = spec_of(HEADS[architecture][0])
    policy = build_policy(spec, architecture, seed=0)
    first, second = (
        policy(inputs_of(spec).set(INSTRUCTION_ID, torch.full((3,), spec.instruction.encode(text))))[CHUNK]
        for text in TEXTS[:2]
    )
    assert not torch.allclose(first, second)


@every_architecture
def test_cameras_are_found_by_name_whatever_their_order(architecture: str) -> None:
    spec = spec_of(HEADS[architecture][0], ("front", "wrist"))
    policy = build_policy(spec, architecture, seed=0)
    inputs = inputs_of(spec).set(INSTRUCTION_ID, torch.zeros(3, dtype=torch.long))
    images = inputs[IMAGE]
    turned = inputs.copy().set(IMAGE, TensorDict({"wrist": images["wrist"], "front": images["front"]}, [3]))
    swapped = inputs.copy().set(IMAGE, TensorDict({"wrist": images["front"], "front": images["wrist"]}, [3]))
    expected = policy(inputs)[CHUNK]
    assert torch.equal(policy(turned)[CHUNK], expected)
    assert not torch.allclose(policy(swapped)[CHUNK], expected)


@every_architecture
def test_a_missing_camera_is_named(architecture: str) -> None:
    spec = spec_of(HEADS[architecture][0], ("front", "wrist"))
    policy = build_policy(spec, architecture, seed=0)
    inputs = inputs_of(spec_of(cameras=("front",))).set(INSTRUCTION_ID, torch.zeros(3, dtype=torch.long))
    with pytest.raises(KeyError, match=r"no image from camera wrist; given: front"):
        policy(inputs)
    with pytest.raises(KeyError, match="one image given"):
        policy(inputs.copy().set(IMAGE, inputs[IMAGE, "front"]))


@every_architecture
def test_time_structured_batches_equal_flat_ones(architecture: str) -> None:
    spec = spec_of(HEADS[architecture][0])
    policy = build_policy(spec, architecture, seed=0)
    flat = inputs_of(spec, 6).set(INSTRUCTION_ID, torch.arange(6))
    expected = policy(flat.copy())[CHUNK]
    assert torch.allclose(policy(flat.reshape(2, 3))[CHUNK], expected.reshape(2, 3, 8, 4), atol=1e-6)


@every_architecture
def test_it_is_an_ordinary_torchrl_vla_policy(architecture: str) -> None:
    spec = spec_of(HEADS[architecture][0])
    policy = build_policy(spec, architecture, seed=0)
    assert isinstance(policy, VLAWrapperBase)
    actor = MultiStepActorWrapper(policy, n_steps=8, replan_interval=4)
    rollout = TransformedEnv(toy.make_env([2], seed=0), InitTracker()).rollout(6, actor, break_when_any_done=False)
    assert rollout["action"].shape == (2, 6, 4)


@every_architecture
def test_an_input_without_batch_dimension_gives_one_chunk(architecture: str) -> None:
    spec = spec_of(HEADS[architecture][0])
    policy = build_policy(spec, architecture, seed=0)
    inputs = inputs_of(spec).set(INSTRUCTION_ID, torch.arange(3))
    expected = policy(inputs.copy())[CHUNK][1]
    assert torch.allclose(policy(inputs[1].copy())[CHUNK], expected, atol=1e-6)


@every_architecture
def test_one_instruction_serves_a_whole_batch(architecture: str) -> None:
    spec = spec_of(HEADS[architecture][0])
    policy = build_policy(spec, architecture, seed=0)
    expected = policy(inputs_of(spec).set(INSTRUCTION, NonTensorStack(*[TEXTS[1]] * 3)))[CHUNK]
    inputs = inputs_of(spec)
    inputs.set_non_tensor(INSTRUCTION, TEXTS[1])
    assert torch.equal(policy(inputs)[CHUNK], expected)


@every_architecture
def test_images_as_fractions_equal_images_as_bytes(architecture: str) -> None:
    spec = spec_of(HEADS[architecture][0])
    policy = build_policy(spec, architecture, seed=0)
    inputs = inputs_of(spec).set(INSTRUCTION_ID, torch.arange(3))
    fractions = inputs.copy().set(IMAGE, inputs[IMAGE].apply(lambda image: image / 255.0))
    assert torch.equal(policy(fractions)[CHUNK], policy(inputs)[CHUNK])


@every_architecture
def test_it_writes_where_and_what_it_is_told_to(architecture: str) -> None:
    spec = spec_of(HEADS[architecture][0])
    policy = build_policy(spec, architecture, seed=0)
    inputs = inputs_of(spec).set(INSTRUCTION_ID, torch.arange(3))
    chunk = policy(inputs.copy())[CHUNK]
    assert isinstance(policy(inputs.copy())["vla_action"], VLAAction)
    bare = policy.get_new_version(return_vla_action_container=False)(inputs.copy())
    assert isinstance(bare["vla_action"], TensorDict)
    assert torch.equal(bare[CHUNK], chunk)
    alone = policy.get_new_version(inplace=False)(inputs)
    assert set(alone.keys()) == {"vla_action"}
    assert "vla_action" not in inputs
    tokens = UniformActionTokenizer(16, low=-3 * torch.ones(4), high=3 * torch.ones(4))
    both = policy.get_new_version(action_tokenizer=tokens, output_mode="both")(inputs.copy())
    assert torch.equal(both["vla_action", "tokens"], tokens.encode(chunk))
    elsewhere = policy.get_new_version().set_keys(vla_action="plan", state="joints")
    moved = inputs.copy().rename_key_(STATE, "joints")
    assert torch.equal(elsewhere(moved)["plan", "chunk"], chunk)


@every_architecture
def test_a_preprocessed_observation_serves_as_well(architecture: str) -> None:
    spec = spec_of(HEADS[architecture][0])
    policy = build_policy(spec, architecture, seed=0)
    inputs = inputs_of(spec)
    expected = policy(inputs.copy().set(INSTRUCTION, NonTensorStack(*TEXTS)))[CHUNK]
    image = inputs[IMAGE, "image"]
    observation = VLAObservation(
        images=VLAImages(image=image, batch_size=[3]), state=inputs[STATE], instruction=list(TEXTS), batch_size=[3]
    )
    reads = policy.get_new_version(input_mode="preprocessed")
    assert reads.in_keys == ["vla_observation"]
    given = TensorDict({"vla_observation": observation, NOISE: inputs[NOISE]}, [3])
    assert torch.equal(reads(given)[CHUNK], expected)


@every_architecture
def test_root_keys_spell_the_older_layout(architecture: str) -> None:
    spec = spec_of(HEADS[architecture][0])
    inputs = inputs_of(spec).set(INSTRUCTION_ID, torch.zeros(3, dtype=torch.long))
    expected = build_policy(spec, architecture, seed=0)(inputs.copy())[CHUNK]
    assert torch.equal(use_root_keys(build_policy(spec, architecture, seed=0))(inputs.copy())["action_chunk"], expected)


@every_architecture
def test_building_with_a_seed_leaves_the_global_generator_alone(architecture: str) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_policy(spec_of(HEADS[architecture][0]), architecture, seed=0)
    assert torch.equal(torch.rand(3), expected)


def test_cameras_of_different_sizes_are_refused() -> None:
    spec = msgspec.structs.replace(spec_of(), cameras=(CameraSpec("front", 16, 16), CameraSpec("wrist", 8, 8)))
    with pytest.raises(ValueError, match="cameras of one size"):
        build_policy(spec, "tiny")


def test_an_unknown_architecture_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        ValueError, match="architecture 'visumotor' given; valid: act, flow, tiny, visuomotor; did you mean"
    ):
        build_policy(spec_of(), "visumotor")


@every_architecture
@pytest.mark.parametrize(
    ("change", "message"),
    [({"cameras": ()}, "the contract names none"), ({"state": ()}, "the contract names no state input")],
)
def test_a_contract_without_camera_or_state_is_refused(architecture: str, change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_policy(msgspec.structs.replace(spec_of(HEADS[architecture][0]), **change), architecture)
