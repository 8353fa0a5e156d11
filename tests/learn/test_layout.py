"""Both layouts say the same: no way there and back loses or changes a thing."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import NonTensorStack, TensorDict, TensorDictBase, lazy_stack
from torchrl.data.vla import VLAAction

from vla_runtime.learn.keys import CHUNK, ROOT_KEYS, TOKENS
from vla_runtime.learn.schema import SchemaError, to_nested, to_root

NESTED = tuple(ROOT_KEYS)
ROOT = tuple(ROOT_KEYS.values())
COMMON = (
    "action", "action_is_pad", "language_instruction", ("observation", "state"), ("observation", "image", "front"),
    "of_ours", ("deep", "of", "ours"), ("vla_action", "raw_tokens"), ("deep", "action_chunk"),
)  # fmt: skip


def leaves(td: TensorDictBase) -> dict[str, object]:
    """Path to value, whatever the containers are."""
    found = {}
    for key in td.keys(True, True):
        value = td.get(key)
        found["/".join((key,) if isinstance(key, str) else key)] = value
    return found


def same(one: TensorDictBase, other: TensorDictBase) -> bool:
    ours, theirs = leaves(one), leaves(other)
    return ours.keys() == theirs.keys() and all(
        ours[key] is theirs[key] or equal(ours[key], theirs[key]) for key in ours
    )


def equal(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    return one.tolist() == other.tolist()


@st.composite
def batches(draw: st.DrawFn, policy_keys: tuple, batch: list[int] | None = None) -> TensorDict:
    """Any keys, each with any shape and type behind the batch; ``next`` too."""
    size = draw(st.lists(st.integers(1, 3), max_size=2)) if batch is None else batch
    out = TensorDict(batch_size=size)
    for key in draw(st.lists(st.sampled_from([*policy_keys, *COMMON]), unique=True)):
        if key == "language_instruction":
            texts = draw(st.lists(st.text(), min_size=out.numel(), max_size=out.numel()))
            out.set(key, NonTensorStack(*texts).reshape(out.batch_size) if size else texts[0])
            continue
        shape = (*size, *draw(st.lists(st.integers(0, 3), max_size=2)))
        dtype = draw(st.sampled_from([torch.float32, torch.int64, torch.bool, torch.uint8]))
        out.set(key, torch.randint(0, 2, shape).to(dtype))
    if batch is None and draw(st.booleans()):
        out.set("next", draw(batches(policy_keys, size)))
    return out


@given(td=batches(NESTED))
@settings(max_examples=80, deadline=None)
def test_to_the_root_and_back_is_the_identity(td: TensorDict) -> None:
    before = td.clone()
    there = to_root(td)
    assert not [
        key for key in leaves(there) if key.startswith(("vla_action/", "next/vla_action/")) and "raw" not in key
    ]
    assert same(to_nested(there), td)
    assert same(td, before)
    assert same(to_nested(td), td)


@given(td=batches(ROOT))
@settings(max_examples=80, deadline=None)
def test_under_the_policys_key_and_back_is_the_identity(td: TensorDict) -> None:
    before = td.clone()
    there = to_nested(td)
    assert not set(ROOT) & {*there.keys(), *there.get("next", TensorDict()).keys()}
    assert same(to_root(there), td)
    assert same(td, before)
    assert same(to_root(td), td)


def test_no_tensor_is_copied() -> None:
    chunk = torch.rand(2, 3, 4)
    assert to_root(TensorDict({CHUNK: chunk}, [2]))["action_chunk"] is chunk
    assert to_nested(TensorDict({"action_chunk": chunk}, [2]))[CHUNK] is chunk


def test_what_a_torchrl_policy_writes_is_read_too() -> None:
    action = VLAAction(chunk=torch.rand(2, 3, 4), tokens=torch.ones(2, 3, 4).long(), batch_size=[2])
    root = to_root(TensorDict({"vla_action": action}, [2]))
    assert set(root.keys()) == {"action_chunk", "action_tokens"}
    assert torch.equal(to_nested(root)[TOKENS], action.tokens)


def test_a_locked_batch_is_converted_and_stays_locked() -> None:
    td = TensorDict({CHUNK: torch.rand(2, 3, 4), ("next", *CHUNK): torch.rand(2, 3, 4)}, [2]).lock_()
    assert set(to_root(td).keys()) == {"action_chunk", "next"}
    assert td.is_locked
    assert set(td.keys()) == {"vla_action", "next"}


def test_ragged_rollouts_stacked_lazily_are_converted_too() -> None:
    parts = [TensorDict({CHUNK: torch.rand(rows, 4), ("next", *TOKENS): torch.ones(rows)}, []) for rows in (2, 3)]
    ragged = lazy_stack(parts)
    there = to_root(ragged)
    assert [part["action_chunk"].shape for part in there] == [(2, 4), (3, 4)]
    back = to_nested(there)
    assert all(same(one, other) for one, other in zip(back, parts, strict=True))


@pytest.mark.parametrize("convert", [to_root, to_nested])
def test_two_spellings_of_one_thing_are_refused(convert) -> None:
    td = TensorDict({CHUNK: torch.rand(2, 3, 4), "action_chunk": torch.rand(2, 3, 4)}, [2])
    with pytest.raises(SchemaError, match="vla_action/chunk: it and action_chunk found, one of the two expected"):
        convert(td)


def test_a_tensor_in_the_containers_place_is_refused() -> None:
    td = TensorDict({"vla_action": torch.rand(2), "action_chunk": torch.rand(2, 3, 4)}, [2])
    with pytest.raises(SchemaError, match="vla_action: a tensor found"):
        to_nested(td)
