"""Where torchrl's handling of data misleads, and that ours does not.

Each test first shows the bare library at fault: when it is mended, the test fails and the detour can go.
docs/traps-torchrl.md is the table of them.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from tensordict import NonTensorStack, TensorDict
from torchrl.data import LazyMemmapStorage, LazyTensorStorage, SliceSampler, TensorDictReplayBuffer
from torchrl.data.vla import RobotDatasetMetadata, UniformActionTokenizer, VocabTailActionTokenizer
from torchrl.data.vla import validate_vla_tensordict as bare_validate
from torchrl.envs.transforms import ActionChunkTransform, ActionScaling, Transform
from torchrl.modules.vla import TinyVLA
from torchrl.objectives import BCLoss

from vla_runtime.learn import toy
from vla_runtime.learn.bc import make_loss
from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.data import chunked
from vla_runtime.learn.finite import NotFinite
from vla_runtime.learn.keys import ACTION, CHUNK, IMAGE, INSTRUCTION, INSTRUCTION_ID, IS_PAD, STATE, use_root_keys
from vla_runtime.learn.policy import build_policy
from vla_runtime.learn.scaling import STD_FLOOR, Scaling
from vla_runtime.learn.schema import RobotMetadata, SchemaError, SchemaFacts, find_problems, to_nested, to_root
from vla_runtime.learn.slices import SliceChunks
from vla_runtime.learn.store.open import open_store
from vla_runtime.learn.store.write import write_store
from vla_runtime.learn.summary import Summary
from vla_runtime.learn.tokens import UniformTokenizer, VocabTailTokenizer

from .recorded import TEXTS, Recorded

FACTS = SchemaFacts(("x", "y", "z"), ("a", "b"), 4, {"front": (6, 8)})


def batch() -> TensorDict:
    td = TensorDict(batch_size=[2])
    td[IMAGE] = torch.rand(2, 3, 6, 8)
    td[STATE] = torch.zeros(2, 2)
    td[ACTION] = torch.zeros(2, 3)
    td[IS_PAD] = torch.zeros(2, 4, dtype=torch.bool)
    td[INSTRUCTION] = NonTensorStack("pick", "place")
    return td


def toy_batch() -> TensorDict:
    return toy.collect(2, 2).reshape(-1).select(IMAGE, STATE, INSTRUCTION_ID)


def test_the_seeds_keys_are_not_the_librarys_and_both_are_read_and_written() -> None:
    bare = TinyVLA(action_dim=4, chunk_size=8)
    inputs = toy.make_env([2], seed=0).reset()
    with pytest.raises(KeyError, match="action_chunk"):
        bare(inputs.copy())["action_chunk"]
    spec = make_spec(toy.facts(), torch.randn(9, 8), torch.randn(9, 4))
    policy = build_policy(spec, seed=0, hidden_dim=8)
    nested = policy(toy_batch())
    root = use_root_keys(build_policy(spec, seed=0, hidden_dim=8))(toy_batch())
    assert torch.equal(to_root(nested)["action_chunk"], root["action_chunk"])
    assert torch.equal(to_nested(root.exclude("vla_action"))[CHUNK], nested[CHUNK])


def test_the_mask_is_said_to_mark_what_is_valid_but_marks_what_is_padded() -> None:
    import inspect

    from torchrl.data.vla import schema

    assert "marking valid (non-padded) chunk steps" in inspect.getsource(schema)
    data = TensorDict({ACTION: torch.arange(2.0).reshape(1, 2, 1)}, [1, 2])
    assert ActionChunkTransform(2)(data)[IS_PAD].tolist() == [[[False, False], [False, True]]]
    turned = batch().set(IS_PAD, torch.tensor([True, True, False, False]).expand(2, 4))
    assert bare_validate(turned) == []
    assert [problem.key for problem in find_problems(turned, FACTS)] == [IS_PAD]
    # The losses leave out what is marked: a wild value there changes nothing, whichever is computed.
    samples = chunked(toy.collect(2, 6), 8)
    policy = build_policy(make_spec(toy.facts(), samples[STATE], samples[CHUNK]), seed=0, hidden_dim=8)
    wild = samples.clone()
    wild[CHUNK][samples[IS_PAD]] = 1e6
    loss = make_loss(policy)
    assert isinstance(loss, BCLoss)
    assert samples[IS_PAD].any()
    assert torch.equal(loss(wild)["loss_bc"], loss(samples)["loss_bc"])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (ACTION, torch.zeros(2, 7)),
        (IMAGE, torch.rand(2, 6, 8, 3)),
        (IMAGE, 255 * torch.rand(2, 3, 6, 8)),
        (IS_PAD, torch.zeros(2, 9, dtype=torch.bool)),
        (INSTRUCTION, NonTensorStack("pick", "")),
        (INSTRUCTION, NonTensorStack("", " ")),
        (STATE, torch.full((2, 2), torch.nan)),
    ],
    ids=["action", "hwc", "bytes as floats", "mask", "one text", "texts", "state"],
)
def test_the_librarys_check_lets_wrong_batches_pass_and_ours_does_not(key: object, value: object) -> None:
    assert find_problems(batch(), FACTS) == []
    wrong = batch().set(key, value)
    assert bare_validate(wrong) == []
    assert [problem.key for problem in find_problems(wrong, FACTS)] == [key]


def test_the_librarys_metadata_takes_a_mean_of_another_length_and_ours_does_not() -> None:
    bare = RobotDatasetMetadata("any", action_dim=3, action_mean=torch.zeros(5), action_std=torch.ones(5))
    assert bare.action_mean.shape == (5,)
    with pytest.raises(SchemaError, match="action_mean: 5 values found, 3 expected"):
        RobotMetadata.from_torchrl(bare)


def test_the_librarys_metadata_can_be_neither_stored_nor_stacked_and_ours_can(tmp_path: Path) -> None:
    ours = RobotMetadata("any", 2, action_mean=(0.0, 1.0), action_std=(1.0, 2.0))
    bare = ours.to_torchrl()
    with pytest.raises(RuntimeError, match="locked"):
        bare.memmap(str(tmp_path / "bare"))
    with pytest.raises(ValueError, match="action_dim must be a positive int"):
        torch.stack([bare, bare])
    ours.to_tensordict().memmap(str(tmp_path / "ours"))
    assert RobotMetadata.from_tensordict(TensorDict.load_memmap(tmp_path / "ours")) == ours
    assert RobotMetadata.from_tensordict(torch.stack([ours.to_tensordict()] * 2)[1]) == ours


def test_the_librarys_scaling_passes_nan_blows_up_what_stands_still_and_never_clamps() -> None:
    still = torch.ones(10, 1)
    bare = ActionScaling.from_stats(mean=still.mean(0), std=still.std(0), in_keys_inv=[], in_keys=[ACTION])
    assert bare.normalize(torch.tensor([[1.0001]])).item() == pytest.approx(100, rel=0.01)
    assert bare.normalize(torch.tensor([[torch.nan]])).isnan().all()
    assert bare.normalize(torch.tensor([[1e6]])).item() > 1e9
    _, std = Summary.of(still, ("x",), "it").affine()
    assert std.item() == pytest.approx(STD_FLOOR)
    random = torch.Generator().manual_seed(0)
    spec = make_spec(toy.facts(), torch.randn(9, 8, generator=random), torch.ones(9, 4), clamp=5.0)
    ours = Scaling.from_spec(spec).data_chunk()
    assert ours.normalize(torch.full((1, 4), 1.0001)).abs().max().item() <= 0.011
    assert ours.normalize(torch.full((1, 4), 1e6)).tolist() == [[5.0] * 4]
    with pytest.raises(NotFinite, match="in a2"):
        ours.normalize(torch.tensor([[0.0, 0.0, torch.nan, 0.0]]))


@pytest.mark.parametrize(
    ("value", "token"), [(float("nan"), 0), (float("inf"), 0), (1e30, 0)], ids=["nan", "inf", "too large"]
)
def test_the_librarys_bins_give_the_lowest_token_to_what_is_not_finite_or_too_large(value: float, token: int) -> None:
    bare = UniformActionTokenizer(16, low=-1.0, high=1.0)
    assert bare.encode(torch.tensor([value])).tolist() == [token]
    ours = UniformTokenizer(16, low=-1.0, high=1.0)
    if value == 1e30:
        assert ours.encode(torch.tensor([value])).tolist() == [15]
        return
    with pytest.raises(NotFinite):
        ours.encode(torch.tensor([value]))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_the_librarys_vocabulary_tail_is_traced_as_a_constant_and_ours_is_not() -> None:
    stats = {"norm_low": torch.zeros(2), "norm_high": torch.ones(2)}

    def traced(tokenizer: VocabTailActionTokenizer) -> torch.jit.ScriptFunction:
        return torch.jit.trace(lambda tokens: tokenizer.decode(tokens), torch.tensor([[1, 2]]), check_trace=False)

    other = torch.tensor([[9, 14]])
    bare, ours = VocabTailActionTokenizer(16, **stats), VocabTailTokenizer(16, **stats)
    assert torch.equal(traced(bare)(other), bare.decode(torch.tensor([[1, 2]])))
    assert torch.equal(traced(ours)(other), bare.decode(other))


def sampled(transform: Transform) -> TensorDict:
    """Four slices of 4 from episodes of 8 steps; the action is the step's number over all episodes."""
    steps = torch.arange(40)
    data = TensorDict({ACTION: steps.float().unsqueeze(-1), "episode": steps // 8, "step": steps % 8}, [40])
    data["next", "done"] = (steps % 8 == 7).unsqueeze(-1)
    buffer = TensorDictReplayBuffer(
        storage=LazyTensorStorage(40),
        sampler=SliceSampler(slice_len=4, traj_key="episode"),
        batch_size=16,
        transform=transform,
    )
    buffer.extend(data)
    torch.manual_seed(0)
    return buffer.sample()


def crosses(sample: TensorDict, chunk_length: int = 3) -> bool:
    """Whether a row that is not marked as padded belongs to another slice."""
    first = torch.arange(16) % 4
    ahead = torch.arange(chunk_length)
    inside = first.unsqueeze(1) + ahead < 4
    wanted = sample[ACTION] + ahead
    real = ~sample[IS_PAD]
    return bool((real & ~inside).any() or (sample[CHUNK][..., 0] != wanted)[real].any())


def test_the_librarys_chunks_cross_the_borders_of_sampled_slices_and_ours_do_not() -> None:
    assert crosses(sampled(ActionChunkTransform(3)))
    for ours in (SliceChunks(3, slice_length=4), SliceChunks(3, step_key="step", trajectory_key="episode")):
        sample = sampled(ours)
        assert not crosses(sample)
        # Every row that could be real is: nothing is marked needlessly.
        assert sample[IS_PAD].sum().item() == 4 * 3
        assert (sample[CHUNK][..., 0] - sample[ACTION] <= 2).all()


def test_texts_are_slow_to_index_and_fail_on_an_empty_mask_and_ids_are_not() -> None:
    texts = NonTensorStack(*["pick the cube"] * 4).reshape(2, 2)
    nothing = torch.zeros(2, 2, dtype=torch.bool)
    with pytest.raises(IndexError, match="out of range"):
        TensorDict({INSTRUCTION: texts}, [2, 2])[nothing]
    ids = TensorDict({INSTRUCTION_ID: torch.zeros(2, 2, dtype=torch.long)}, [2, 2])
    assert ids[nothing][INSTRUCTION_ID].shape == (0,)

    def seconds(data: TensorDict) -> float:
        start = time.perf_counter()
        for _ in range(3):
            data[index]
        return time.perf_counter() - start

    index = torch.randint(0, 2000, (1000,))
    slow = TensorDict({INSTRUCTION: NonTensorStack(*["pick the cube"] * 2000)}, [2000])
    fast = TensorDict({INSTRUCTION_ID: torch.zeros(2000, dtype=torch.long)}, [2000])
    assert seconds(slow) > 3 * seconds(fast)
    samples = chunked(toy.collect(2, 3), 8)
    assert INSTRUCTION_ID in samples
    assert INSTRUCTION not in samples


def test_a_memory_mapped_storage_gives_the_first_text_for_all_and_ids_and_plain_memory_maps_do_not(
    tmp_path: Path,
) -> None:
    texts = ["pick", "place", "push"]
    data = TensorDict({INSTRUCTION: NonTensorStack(*texts), INSTRUCTION_ID: torch.arange(3)}, [3])
    bare = LazyMemmapStorage(3, scratch_dir=tmp_path / "bare")
    buffer = TensorDictReplayBuffer(storage=bare, batch_size=3)
    buffer.extend(data)
    stored = buffer[:]
    assert list(stored[INSTRUCTION]) == ["pick"] * 3
    assert stored[INSTRUCTION_ID].tolist() == [0, 1, 2]
    data.memmap(str(tmp_path / "plain"))
    assert list(TensorDict.load_memmap(tmp_path / "plain")[INSTRUCTION]) == texts
    source = Recorded([2, 1])
    write_store(source, tmp_path / "ours")
    ours, encoding = open_store(tmp_path / "ours").samples, source.facts.encoding()
    assert INSTRUCTION not in ours
    assert ours[INSTRUCTION_ID].tolist() == [encoding.encode(text) for text in (TEXTS[0], TEXTS[0], TEXTS[1])]
