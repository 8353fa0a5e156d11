"""From a task and its demonstrations to a PolicySpec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from vla_runtime.core.instructions import InstructionEncoding
from vla_runtime.core.spec import (
    ActionSpec,
    CameraSpec,
    Head,
    Normalisation,
    PolicySpec,
    ScalingMode,
    StateSpec,
    StateTime,
    Unit,
)
from vla_runtime.learn.summary import Summary

__all__ = ["TaskFacts", "make_spec"]


@dataclass(frozen=True)
class TaskFacts:
    """What a contract says about a task before any data is seen.

    ``actions`` and ``state`` map names to units, in order; ``cameras`` maps names to (height, width), in order.
    ``state_time``: the instant of the states in the data.
    """

    name: str
    actions: Mapping[str, Unit]
    state: Mapping[str, Unit]
    cameras: Mapping[str, tuple[int, int]]
    instructions: Sequence[str]
    dt_ns: int
    chunk_length: int
    text_vocab: int = 256
    state_time: StateTime = "request"

    def encoding(self) -> InstructionEncoding:
        """TinyVLA's hash of the instruction.

        Raises:
            ValueError: two instructions share an id, so the policy could not tell them apart.
        """
        encoding = InstructionEncoding("sha1_mod", self.text_vocab, tuple(self.instructions))
        seen: dict[int, str] = {}
        for text in self.instructions:
            other = seen.setdefault(encoding.encode(text), text)
            if other != text:
                raise ValueError(
                    f"instructions {other!r} and {text!r} hash to the same id modulo {self.text_vocab}; "
                    "reword one or choose a larger text_vocab"
                )
        return encoding


def make_spec(
    facts: TaskFacts,
    states: Tensor | Summary,
    actions: Tensor | Summary,
    head: Head = "continuous",
    *,
    scaling: ScalingMode = "mean_std",
    keep: Sequence[str] = (),
    clamp: float | None = None,
) -> PolicySpec:
    """The contract of a policy trained on ``states`` f32[..., S] and ``actions`` f32[..., A], physical units.

    Args:
        scaling: what of the data the normalisation is made from.
        keep: actions and state inputs that are left as they are, as a gripper that is open or shut.
        clamp: the largest normalised magnitude; None for any.

    Raises:
        ValueError: wrong dimensions, or values that are not finite.
        PolicyFileError: a name to keep that is neither, or a clamp that is not above 0.
    """
    state, action = (
        values if isinstance(values, Summary) else Summary.of(values, tuple(names), what)
        for values, names, what in ((states, facts.state, "the state"), (actions, facts.actions, "the action"))
    )
    vectors = (*state.affine(scaling, keep), *action.affine(scaling, keep))
    spec = PolicySpec(
        name=facts.name,
        chunk_length=facts.chunk_length,
        dt_ns=facts.dt_ns,
        actions=tuple(
            ActionSpec(name, unit, bottom, top)
            for (name, unit), bottom, top in zip(
                facts.actions.items(), action.low.tolist(), action.high.tolist(), strict=True
            )
        ),
        state=tuple(StateSpec(name, unit) for name, unit in facts.state.items()),
        cameras=tuple(CameraSpec(name, height, width) for name, (height, width) in facts.cameras.items()),
        instruction=facts.encoding(),
        head=head,
        normalisation=Normalisation(*(tuple(vector.tolist()) for vector in vectors), clamp, scaling, tuple(keep)),
        state_time=facts.state_time,
    )
    spec.check()
    return spec
