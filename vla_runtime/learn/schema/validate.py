"""The strict check of a batch: everything that torchrl's ``validate_vla_tensordict`` lets pass."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey, is_non_tensor
from torch import Tensor

from vla_runtime.learn.keys import ACTION, CHUNK, INSTRUCTION, INSTRUCTION_ID, IS_PAD, LOG_PROBS, STATE, TOKENS
from vla_runtime.learn.schema.facts import SchemaFacts
from vla_runtime.learn.schema.images import image_problems
from vla_runtime.learn.schema.layout import to_nested
from vla_runtime.learn.schema.problem import Problem, SchemaError

__all__ = ["PARTS", "find_problems", "validate"]

PARTS = ("perception", "instruction", "action")
"""What a batch may be required to hold: cameras and state of the facts, a text or an id, an action, chunk or tokens."""


def validate(tensordict: TensorDictBase, facts: SchemaFacts, *, require: Collection[str] = PARTS) -> None:
    """Check ``tensordict`` [B] or [B, T] in either layout; keys that the schema does not know are not looked at.

    Args:
        require: of ``PARTS``, what may not be missing. What is there is checked in any case.

    Raises:
        SchemaError: with every problem: its key, what was found, what is expected.
        ValueError: an unknown part.
    """
    problems = find_problems(tensordict, facts, require=require)
    if problems:
        raise SchemaError(problems)


def find_problems(tensordict: TensorDictBase, facts: SchemaFacts, *, require: Collection[str] = PARTS) -> list[Problem]:
    """What ``validate`` would raise."""
    unknown = sorted(set(require) - set(PARTS))
    if unknown:
        raise ValueError(f"required parts {', '.join(unknown)} given; valid: {', '.join(PARTS)}")
    try:
        nested = to_nested(tensordict)
    except SchemaError as error:
        return list(error.problems)
    if nested.batch_dims not in (1, 2):
        return [Problem("batch_size", str(list(nested.batch_size)), "[B] or [B, T]")]
    problems = list(_problems(nested, facts, require))
    following = nested.get("next", None)
    if isinstance(following, TensorDictBase):
        for problem in _problems(following, facts, ()):
            key = problem.key if isinstance(problem.key, tuple) else (problem.key,)
            problems.append(Problem(("next", *key), problem.found, problem.expected))
    return problems


def _problems(td: TensorDictBase, facts: SchemaFacts, require: Collection[str]) -> Iterator[Problem]:
    rows, width, states = facts.chunk_length, len(facts.actions), len(facts.state)
    yield from image_problems(td, facts, required="perception" in require)
    yield from _floats(td, STATE, (states,), facts.state)
    if "perception" in require and states and _get(td, STATE) is None:
        yield Problem(STATE, "nothing", f"float32 [{states}]")
    for key, shape in ((ACTION, (width,)), (CHUNK, (rows, width))):
        yield from _floats(td, key, shape, facts.actions)
        yield from _range(td, key, facts)
    if "action" in require and all(_get(td, key) is None for key in (ACTION, CHUNK, TOKENS)):
        yield Problem(ACTION, "nothing", "an action, a chunk or tokens")
    yield from _padding(td, rows)
    yield from _integers(td, TOKENS, (rows, width), facts.vocab_size)
    yield from _integers(td, INSTRUCTION_ID, (), facts.instruction_vocab)
    yield from _log_probs(td, (rows, width))
    yield from _instruction(td, required="instruction" in require)


def _get(td: TensorDictBase, key: NestedKey) -> object | None:
    try:
        return td.get(key, None)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None  # a tensor where a tensordict should be: its own key is checked elsewhere


def _tensor(td: TensorDictBase, key: NestedKey, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor | Problem | None:
    """What lies at ``key``: nothing, or a tensor of ``dtype`` [*batch, *shape], or what it is instead."""
    value = _get(td, key)
    if value is None:
        return None
    expected = f"{str(dtype).removeprefix('torch.')} {list(shape)}"
    if not isinstance(value, Tensor):
        return Problem(key, type(value).__name__, expected)
    found = value.shape[td.batch_dims :]
    if found != torch.Size(shape) or value.dtype != dtype:
        return Problem(key, f"{str(value.dtype).removeprefix('torch.')} {list(found)}", expected)
    return value


def _floats(td: TensorDictBase, key: NestedKey, shape: tuple[int, ...], names: tuple[str, ...]) -> Iterator[Problem]:
    value = _tensor(td, key, shape, torch.float32)
    if isinstance(value, Problem):
        yield value
    elif value is not None and not value.isfinite().all():
        finite = value.isfinite().reshape(-1, len(names)).all(0).tolist()
        bad = ", ".join(name for name, ok in zip(names, finite, strict=True) if not ok)
        yield Problem(key, f"NaN or infinity in {bad}", "finite values")


def _range(td: TensorDictBase, key: NestedKey, facts: SchemaFacts) -> Iterator[Problem]:
    value = _get(td, key)
    if facts.action_range is None or not isinstance(value, Tensor) or value.shape[-1:] != (len(facts.actions),):
        return
    rows = value.reshape(-1, len(facts.actions))
    for name, (low, high), column in zip(facts.actions, facts.action_range, rows.unbind(1), strict=True):
        outside = column[column.isfinite() & ((column < low) | (column > high))]
        if len(outside):
            yield Problem(key, f"{outside[0].item():g} in {name}", f"{low:g} to {high:g}")


def _padding(td: TensorDictBase, rows: int) -> Iterator[Problem]:
    mask = _tensor(td, IS_PAD, (rows,), torch.bool)
    if isinstance(mask, Problem):
        yield mask
    elif mask is not None and mask[..., 0].any():
        yield Problem(IS_PAD, "a first row that is padded", "True for rows past the end only")
    elif mask is not None and (mask[..., :-1] & ~mask[..., 1:]).any():
        yield Problem(IS_PAD, "a row behind padding that is not padded", "padding to the end of the chunk")


def _integers(td: TensorDictBase, key: NestedKey, shape: tuple[int, ...], count: int | None) -> Iterator[Problem]:
    value = _tensor(td, key, shape, torch.int64)
    if isinstance(value, Problem):
        yield value
    elif value is not None and count is not None:
        outside = value[(value < 0) | (value >= count)]
        if outside.numel():
            yield Problem(key, str(outside[0].item()), f"0 to {count - 1}")


def _log_probs(td: TensorDictBase, shape: tuple[int, ...]) -> Iterator[Problem]:
    each = _tensor(td, LOG_PROBS, shape, torch.float32)
    summed = _tensor(td, LOG_PROBS, (), torch.float32)
    if isinstance(each, Problem) and isinstance(summed, Problem):
        yield Problem(LOG_PROBS, each.found, f"{each.expected} or []")
        return
    value = summed if isinstance(each, Problem) else each
    if value is not None and not value.isfinite().all():
        yield Problem(LOG_PROBS, "NaN or infinity", "finite values")


def _instruction(td: TensorDictBase, *, required: bool) -> Iterator[Problem]:
    value = _get(td, INSTRUCTION)
    if value is None:
        if required and _get(td, INSTRUCTION_ID) is None:
            yield Problem(INSTRUCTION, "nothing", f"a text, or {INSTRUCTION_ID}")
        return
    if isinstance(value, Tensor):
        if value.dtype.is_floating_point or not value.numel():
            yield Problem(INSTRUCTION, f"{value.dtype} {list(value.shape)}", "text, or integer tokens of it")
        return
    for text in _texts(value):
        if not isinstance(text, str):
            yield Problem(INSTRUCTION, f"a {type(text).__name__}", "text")
            return
        if not text.strip():
            yield Problem(INSTRUCTION, "an empty text", "an instruction for every row")
            return


def _texts(value: object) -> Iterator[object]:
    """Text, nested lists of it or stacks of it, one by one."""
    if is_non_tensor(value):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        if not value:
            yield ""
        for part in value:
            yield from _texts(part)
    else:
        yield value
