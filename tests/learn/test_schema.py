"""A batch that leaves the schema in a point is refused with that key, what was found and what was expected."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import NonTensorData, NonTensorStack, TensorDict

from vla_runtime.core.errors import Refusal
from vla_runtime.learn import toy
from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.data import chunked
from vla_runtime.learn.keys import (
    ACTION,
    CHUNK,
    IMAGE,
    INSTRUCTION,
    INSTRUCTION_ID,
    IS_PAD,
    LOG_PROBS,
    STATE,
    TOKENS,
)
from vla_runtime.learn.policy import build_policy
from vla_runtime.learn.schema import SchemaError, SchemaFacts, find_problems, to_root, validate

H, A, S = 4, 3, 5
FACTS = SchemaFacts(
    actions=("lift", "turn", "grip"),
    state=tuple(f"s{i}" for i in range(S)),
    chunk_length=H,
    cameras={"front": (6, 8), "wrist": (5, 7)},
    action_range=((-2.0, 2.0),) * A,
    vocab_size=16,
    instruction_vocab=256,
)


def batch_of(*size: int) -> TensorDict:
    """A batch with everything in it."""
    td = TensorDict(batch_size=size)
    td[IMAGE] = TensorDict(
        {
            "wrist": torch.rand(*size, 3, 5, 7),
            "front": torch.randint(0, 256, (*size, 3, 6, 8), dtype=torch.uint8),
        },
        size,
    )
    td[STATE] = torch.randn(*size, S)
    td[ACTION] = torch.rand(*size, A)
    td[CHUNK] = torch.rand(*size, H, A)
    td[IS_PAD] = torch.tensor([False, False, True, True]).expand(*size, H).clone()
    td[TOKENS] = torch.randint(0, 16, (*size, H, A))
    td[LOG_PROBS] = -torch.rand(*size, H, A)
    td[INSTRUCTION] = NonTensorStack(*["pick"] * td.numel()).reshape(td.batch_size)
    td[INSTRUCTION_ID] = torch.randint(0, 256, size)
    td["next", "observation", "state"] = torch.randn(*size, S)
    td["of ours"] = torch.zeros(*size, 2)
    return td


def stack(*texts: object) -> NonTensorStack:
    return NonTensorStack(*texts)


def put(key: object, value: object) -> Callable[[TensorDict], object]:
    return lambda td: td.set(key, value)


def spoil(key: object, value: float, at: tuple = (0, 0)) -> Callable[[TensorDict], object]:
    def change(td: TensorDict) -> None:
        td.get(key)[at] = value

    return change


WRIST, NAN, INF = (*IMAGE, "wrist"), float("nan"), float("inf")
WRONG: dict[str, tuple[Callable[[TensorDict], object], str]] = {
    "another number of actions": (put(ACTION, torch.rand(2, 4)), r"action: float32 \[4\] found, float32 \[3\]"),
    "doubles": (put(ACTION, torch.rand(2, 3).double()), r"action: float64 \[3\] found, float32 \[3\]"),
    "integers": (put(STATE, torch.ones(2, S).long()), r"observation/state: int64 \[5\] found, float32 \[5\]"),
    "a state too wide": (put(STATE, torch.ones(2, S + 1)), r"observation/state: float32 \[6\] found"),
    "no state": (lambda td: td.del_(STATE), r"observation/state: nothing found, float32 \[5\] expected"),
    "a state that is no number": (spoil(STATE, NAN, (1, 2)), "observation/state: NaN or infinity in s2 found"),
    "an action that is no number": (spoil(ACTION, INF, (0, 1)), "action: NaN or infinity in turn found"),
    "a chunk that is no number": (spoil(CHUNK, NAN, (1, 3, 0)), "vla_action/chunk: NaN or infinity in lift"),
    "an action out of range": (spoil(ACTION, 2.5, (1, 2)), "action: 2.5 in grip found, -2 to 2 expected"),
    "a chunk out of range": (spoil(CHUNK, -3.0, (1, 3, 0)), "vla_action/chunk: -3 in lift found, -2 to 2"),
    "a chunk too short": (put(CHUNK, torch.rand(2, 3, A)), r"vla_action/chunk: float32 \[3, 3\] found"),
    "a chunk that is text": (put(CHUNK, NonTensorData("x", [2])), r"vla_action/chunk: \w+ found, float32 \[4, 3\]"),
    "nothing to do": (lambda td: [td.del_(ACTION), td.del_("vla_action")], "action: nothing found, an action, a chunk"),
    "a mask of another length": (put(IS_PAD, torch.zeros(2, 3).bool()), r"action_is_pad: bool \[3\] found, bool \[4\]"),
    "a mask per action": (put(IS_PAD, torch.zeros(2, H, A).bool()), r"action_is_pad: bool \[4, 3\] found"),
    "a mask of numbers": (put(IS_PAD, torch.zeros(2, H)), r"action_is_pad: float32 \[4\] found, bool \[4\]"),
    "a mask of what is valid": (lambda td: td.set(IS_PAD, ~td[IS_PAD]), "is_pad: a first row that is padded found"),
    "a mask with a hole": (
        put(IS_PAD, torch.tensor([False, True, False, True]).expand(2, H)), "a row behind padding that is not padded",
    ),
    "a token too high": (spoil(TOKENS, 16, (1, 2, 0)), "vla_action/tokens: 16 found, 0 to 15 expected"),
    "a token below 0": (spoil(TOKENS, -1, (1, 2, 0)), "vla_action/tokens: -1 found, 0 to 15 expected"),
    "tokens as floats": (put(TOKENS, torch.ones(2, H, A)), r"vla_action/tokens: float32 \[4, 3\] found, int64"),
    "log-probabilities of another shape": (put(LOG_PROBS, torch.zeros(2, H)), r"log_probs: float32 \[4\] found"),
    "log-probabilities that are none": (spoil(LOG_PROBS, -INF, (0, 0, 0)), "log_probs: NaN or infinity found"),
    "an id too high": (spoil(INSTRUCTION_ID, 256, (1,)), "instruction_id: 256 found, 0 to 255 expected"),
    "rows before channels": (
        put(WRIST, torch.rand(2, 5, 7, 3)),
        r"observation/image/wrist: height, width, channels: \[5, 7, 3\] found, channels, height, width: \[3, 5, 7\]",
    ),
    "a picture of another size": (put(WRIST, torch.rand(2, 3, 5, 8)), r"wrist: \[3, 5, 8\] found"),
    "a grey picture": (put(WRIST, torch.rand(2, 1, 5, 7)), r"wrist: \[1, 5, 7\] found"),
    "bytes as floats": (put(WRIST, 255 * torch.rand(2, 3, 5, 7)), "wrist: float32 from .* found, float32 from 0 to 1"),
    "a negative picture": (spoil(WRIST, -0.1, (0, 0, 0, 0)), "wrist: float32 from -0.1 to"),
    "a picture that is no number": (spoil(WRIST, NAN, (0, 0, 0, 0)), "wrist: NaN or infinity found"),
    "a picture in doubles": (put(WRIST, torch.rand(2, 3, 5, 7).double()), "wrist: float64 found, uint8, or float32"),
    "a missing camera": (lambda td: td.del_(WRIST), "observation/image/wrist: only front found, a picture expected"),
    "one picture for two cameras": (put(IMAGE, torch.rand(2, 3, 5, 7)), "image: one tensor found, a tensordict"),
    "no picture": (lambda td: td.del_(IMAGE), "observation/image: nothing found, pictures of front, wrist expected"),
    "an empty text": (put(INSTRUCTION, NonTensorData("", [2])), "language_instruction: an empty text found"),
    "a blank text in a stack": (put(INSTRUCTION, stack("pick", " ")), "language_instruction: an empty text found"),
    "a number for a text": (put(INSTRUCTION, NonTensorData(3, [2])), "instruction: a int found, text expected"),
    "no instruction": (
        lambda td: [td.del_(INSTRUCTION), td.del_(INSTRUCTION_ID)], "language_instruction: nothing found, a text",
    ),
    "a wrong state afterwards": (
        put(("next", *STATE), torch.ones(2, 2)), r"next/observation/state: float32 \[2\] found, float32 \[5\]",
    ),
    "both spellings": (put("action_tokens", torch.ones(2)), "vla_action/tokens: it and action_tokens found"),
}  # fmt: skip


@pytest.mark.parametrize("layout", [lambda td: td, to_root], ids=["nested", "root"])
@pytest.mark.parametrize("size", [(2,), (2, 3)])
def test_a_batch_that_follows_the_schema_passes_in_either_layout(size: tuple[int, ...], layout) -> None:
    validate(layout(batch_of(*size)), FACTS)


@pytest.mark.parametrize("which", WRONG)
def test_a_batch_that_does_not_is_refused_by_key_found_and_expected(which: str) -> None:
    change, message = WRONG[which]
    td = batch_of(2)
    change(td)
    with pytest.raises(SchemaError, match=message) as caught:
        validate(td, FACTS)
    assert len(caught.value.problems) == 1
    assert isinstance(caught.value, Refusal)


def test_the_older_layout_is_checked_as_strictly() -> None:
    td = to_root(batch_of(2))
    td["action_chunk"] = torch.rand(2, H, A + 1)
    with pytest.raises(SchemaError, match=r"vla_action/chunk: float32 \[4, 4\] found"):
        validate(td, FACTS)


def test_one_empty_text_in_a_stack_of_stacks_is_found() -> None:
    td = batch_of(2, 3)
    td[INSTRUCTION] = NonTensorStack(*["pick"] * 5, "").reshape(2, 3)
    with pytest.raises(SchemaError, match="an empty text found"):
        validate(td, FACTS)


def test_all_problems_are_told_at_once() -> None:
    td = batch_of(2)
    td[STATE][0, 0] = NAN
    td[TOKENS][0, 0, 0] = 99
    assert [problem.key for problem in find_problems(td, FACTS)] == [STATE, TOKENS]


@pytest.mark.parametrize("size", [(), (2, 2, 2)])
def test_a_batch_of_no_or_three_dimensions_is_refused(size: tuple[int, ...]) -> None:
    with pytest.raises(SchemaError, match=r"batch_size: .* found, \[B\] or \[B, T\] expected"):
        validate(TensorDict(batch_size=size), FACTS)


def test_what_is_not_required_may_be_missing_but_not_wrong() -> None:
    validate(TensorDict({STATE: torch.zeros(2, S)}, [2]), FACTS, require=())
    with pytest.raises(SchemaError):
        validate(TensorDict({STATE: torch.zeros(2, 1)}, [2]), FACTS, require=())
    with pytest.raises(ValueError, match="parts actions given; valid: perception, instruction, action"):
        validate(batch_of(2), FACTS, require=("actions",))


def test_one_tensor_will_do_for_one_camera_and_an_id_for_a_text() -> None:
    facts = SchemaFacts(FACTS.actions, FACTS.state, H, {"front": (6, 8)})
    td = batch_of(2)
    td.del_(INSTRUCTION)
    td[IMAGE] = torch.zeros(2, 3, 6, 8, dtype=torch.uint8)
    td[LOG_PROBS] = torch.zeros(2)
    validate(td, facts)


@given(
    key=st.sampled_from([ACTION, CHUNK, STATE, IS_PAD, TOKENS, WRIST]),
    shape=st.lists(st.integers(1, 8), min_size=0, max_size=4),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.int64, torch.bool, torch.uint8, torch.float16]),
)
@settings(max_examples=150, deadline=None)
def test_nothing_of_another_shape_or_type_passes(key: object, shape: list[int], dtype: torch.dtype) -> None:
    td = batch_of(2)
    right = td.get(key)
    given_value = torch.zeros(2, *shape).to(dtype)
    td.set(key, given_value)
    fits = given_value.shape == right.shape and (
        dtype == right.dtype or (key == WRIST and dtype in (torch.uint8, torch.float32))
    )
    assert (not find_problems(td, FACTS)) == fits


def test_what_the_learning_half_makes_follows_the_schema() -> None:
    data = toy.collect(4, 6)
    spec = make_spec(toy.facts(), data[STATE], data[ACTION], "tokens")
    facts = SchemaFacts.from_spec(spec, vocab_size=16)
    validate(data, facts)
    samples = chunked(data, spec.chunk_length)
    validate(samples, facts)
    policy = build_policy(spec, seed=0, num_bins=16, hidden_dim=8)
    with torch.no_grad():
        validate(policy(samples.exclude("vla_action", IS_PAD)), facts)
