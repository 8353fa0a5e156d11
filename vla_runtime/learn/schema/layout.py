"""The two layouts: what a policy writes lies at the root, as older data have it, or under ``vla_action``.

``keys.ROOT_KEYS`` pairs the spellings. All other keys are the same in both, ``action_is_pad`` at the root among them.
"""

from __future__ import annotations

from collections.abc import Callable

from tensordict import LazyStackedTensorDict, TensorDict, TensorDictBase, is_tensorclass
from torchrl.data.vla import VLA_ACTION_KEY

from vla_runtime.learn.keys import ROOT_KEYS
from vla_runtime.learn.schema.problem import Problem, SchemaError

__all__ = ["to_nested", "to_root"]

_FIELDS = {key[-1]: root for key, root in ROOT_KEYS.items()}


def to_root(tensordict: TensorDictBase) -> TensorDictBase:
    """``tensordict`` in the older layout, under ``next`` too. Tensors are shared; the input is left as it is.

    Unknown keys stay where they are. ``to_nested`` leads back to every key and value; a ``VLAAction`` comes back as
    a plain tensordict.

    Raises:
        SchemaError: it has both spellings of a key.
    """
    return _walk(tensordict, _lift)


def to_nested(tensordict: TensorDictBase) -> TensorDictBase:
    """``tensordict`` in torchrl's layout, under ``next`` too; the inverse of ``to_root``.

    Raises:
        SchemaError: it has both spellings of a key, or a tensor where ``vla_action`` has to be.
    """
    return _walk(tensordict, _sink)


def _walk(tensordict: TensorDictBase, convert: Callable[[TensorDictBase], None]) -> TensorDictBase:
    if isinstance(tensordict, LazyStackedTensorDict):  # Its parts may differ in shape.
        parts = [_walk(part, convert) for part in tensordict.tensordicts]
        return LazyStackedTensorDict(*parts, stack_dim=tensordict.stack_dim)
    out = tensordict.copy()
    following = out.get("next", None)
    if isinstance(following, TensorDictBase):
        out.set("next", _walk(following, convert))
    convert(out)
    return out


def _lift(out: TensorDictBase) -> None:
    held = _container(out)
    if held is None:
        return
    _refuse_both(out, held)
    moved = [field for field in _FIELDS if field in held]
    for field in moved:
        out.set(_FIELDS[field], held.get(field))
    rest = held.exclude(*moved)
    if moved and not rest.keys():
        out.del_(VLA_ACTION_KEY)
    elif moved:
        out.set(VLA_ACTION_KEY, rest)


def _sink(out: TensorDictBase) -> None:
    moved = [field for field, root in _FIELDS.items() if root in out]
    if not moved:
        return
    held = _container(out)
    if held is None and VLA_ACTION_KEY in out:
        raise SchemaError([Problem(VLA_ACTION_KEY, "a tensor", "a tensordict, or nothing")])
    if held is None:
        held = TensorDict(batch_size=out.batch_size, device=out.device)
    _refuse_both(out, held)
    held = held.copy()
    for field in moved:
        held.set(field, out.get(_FIELDS[field]))
        out.del_(_FIELDS[field])
    out.set(VLA_ACTION_KEY, held)


def _container(out: TensorDictBase) -> TensorDictBase | None:
    """What lies under ``vla_action`` as a plain tensordict; None where there is nothing or a tensor."""
    held = out.get(VLA_ACTION_KEY, None)
    if is_tensorclass(held):
        # Its fields may be shadowed by methods of the same name, ``chunk`` above all.
        held = held._tensordict
    return held if isinstance(held, TensorDictBase) else None


def _refuse_both(out: TensorDictBase, held: TensorDictBase) -> None:
    twice = [(field, root) for field, root in _FIELDS.items() if field in held and root in out]
    if twice:
        raise SchemaError(
            [Problem((VLA_ACTION_KEY, field), f"it and {root}", "one of the two") for field, root in twice]
        )
