"""From a task and its demonstrations to a PolicySpec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from vla_runtime.core.instructions import InstructionEncoding
from vla_runtime.core.spec import ActionSpec, CameraSpec, Head, PolicySpec, StateSpec, StateTime, Unit
from vla_runtime.learn.scaling import Scaling, statistics

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


def make_spec(facts: TaskFacts, states: Tensor, actions: Tensor, head: Head = "continuous") -> PolicySpec:
    """The contract of a policy trained on ``states`` f32[..., S] and ``actions`` f32[..., A], physical units.

    Raises:
        ValueError: wrong dimensions, or values that are not finite.
    """
    state_mean, state_std = statistics(states, tuple(facts.state), "the state")
    action_mean, action_std = statistics(actions, tuple(facts.actions), "the action")
    rows = actions.reshape(-1, actions.shape[-1])
    low, high = rows.amin(0).tolist(), rows.amax(0).tolist()
    spec = PolicySpec(
        name=facts.name,
        chunk_length=facts.chunk_length,
        dt_ns=facts.dt_ns,
        actions=tuple(
            ActionSpec(name, unit, bottom, top)
            for (name, unit), bottom, top in zip(facts.actions.items(), low, high, strict=True)
        ),
        state=tuple(StateSpec(name, unit) for name, unit in facts.state.items()),
        cameras=tuple(CameraSpec(name, height, width) for name, (height, width) in facts.cameras.items()),
        instruction=facts.encoding(),
        head=head,
        normalisation=Scaling(state_mean, state_std, action_mean, action_std).normalisation(),
        state_time=facts.state_time,
    )
    spec.check()
    return spec
