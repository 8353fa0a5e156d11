"""Any torchrl VLA policy as one of ours, to be exported: a plain object stands in for its tensordict in the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tensordict import TensorDict, TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.modules.vla import VLAWrapperBase

from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.fused import FusedPolicy
from vla_runtime.learn.prompts import Prompts

__all__ = ["WrappedPolicy", "wrapped_checkpoint"]


class Observation:
    """What a policy's hooks ask for by ``get``, and nothing else: no batch shape that a trace could bake in."""

    def __init__(self, values: Mapping[NestedKey, object]) -> None:
        self._values = {_flat(key): value for key, value in values.items()}

    def get(self, key: NestedKey, *default: object) -> object:
        """The value of ``key``; without a ``default`` it must be there."""
        flat = _flat(key)
        if flat in self._values:
            return self._values[flat]
        below = {path[len(flat) :]: value for path, value in self._values.items() if path[: len(flat)] == flat}
        if below:
            return Observation(below)
        if default:
            return default[0]
        raise KeyError(f"the policy asks for {key!r}, given: {', '.join(map(str, self._values))}")

    __getitem__ = get

    def keys(self) -> list[str]:
        """The first part of each key."""
        return list(dict.fromkeys(path[0] for path in self._values))


class WrappedPolicy(FusedPolicy):
    """``policy``, any ``VLAWrapperBase`` in canonical input mode, behind the contract ``spec``.

    It must read the instruction as a tensor from its key (``policy.set_keys(instruction=...)``), the id i64[B] or with
    ``reads_tokens`` the tokens i64[B, L], unless the contract has one fixed text, which it is then given. It gets the
    images as f32[B, 3, H, W] in 0..1.

    Called with a tensordict it asks the policy with a real one; ``fuse``, for the exporter, asks its hooks with a plain
    object. The exporter's gate holds the two against each other.

    Args:
        images: camera to the key under which the policy reads it; left out, one camera has the policy's image key, and
            several lie below it by name.
    """

    def __init__(
        self,
        policy: VLAWrapperBase,
        spec: PolicySpec,
        *,
        images: Mapping[str, NestedKey] | None = None,
        reads_tokens: bool = False,
    ) -> None:
        if policy.input_mode != "canonical":
            raise ValueError(f"input_mode is {policy.input_mode!r}, expected 'canonical'")
        wanted = {"chunk_size": spec.chunk_length, "action_dim": len(spec.actions), "action_head": spec.head}
        for name, value in wanted.items():
            if getattr(policy, name) != value:
                raise ValueError(f"the policy's {name} is {getattr(policy, name)!r}, the contract says {value!r}")
        super().__init__(
            action_dim=policy.action_dim,
            chunk_size=policy.chunk_size,
            action_head=policy.action_head,
            vocab_size=policy.vocab_size,
            action_tokenizer=policy.action_tokenizer,
            output_mode="chunk" if policy.action_head == "continuous" else "both",
            use_state=bool(spec.state) and policy.use_state,
        )
        self.policy, self.reads_tokens = policy, reads_tokens
        self.cameras = tuple(camera.name for camera in spec.cameras)
        self.encoding, self.text_vocab = spec.instruction, spec.instruction.vocab
        self.prompts = Prompts(spec.instruction) if reads_tokens else None
        below = policy.tensor_keys.image
        one = len(self.cameras) == 1
        self.image_keys = dict(images or {name: below if one else (*_flat(below), name) for name in self.cameras})
        if set(self.image_keys) != set(self.cameras):
            raise ValueError(f"keys of the cameras {sorted(self.image_keys)} given, the contract has {self.cameras}")

    def fuse(self, images: Sequence[Tensor], state: Tensor | None, ids: Tensor) -> Tensor:
        observation = Observation(self._values(images, state, ids))
        if self.action_head == "tokens":
            return self.policy._predict_logits(observation).flatten(-3)
        return self.policy._predict_chunk(observation).flatten(-2)

    def _predict(self, tensordict: TensorDictBase) -> Tensor:
        batch = self._images(self._get_image(tensordict))[0].shape[:-3]
        values = self._values(*self.inputs(tensordict))
        given = TensorDict({}, [batch.numel()])
        for key, value in values.items():
            given.set(key, value) if isinstance(value, Tensor) else given.set_non_tensor(key, value)
        if self.action_head == "tokens":
            return self.policy._predict_logits(given).reshape(*batch, -1)
        return self.policy._predict_chunk(given).reshape(*batch, -1)

    def _values(self, images: Sequence[Tensor], state: Tensor | None, ids: Tensor) -> dict[NestedKey, object]:
        keys = self.policy.tensor_keys
        values: dict[NestedKey, object] = {
            self.image_keys[name]: image for name, image in zip(self.cameras, images, strict=True)
        }
        if state is not None:
            values[keys.state] = state
        if self.prompts is not None:
            values[keys.instruction] = ids if ids.ndim == 2 else self.prompts(ids)
        elif self.encoding is not None and self.encoding.kind == "fixed":
            values[keys.instruction] = self.encoding.texts[0]
        else:
            values[keys.instruction] = ids
        return values


def wrapped_checkpoint(policy: VLAWrapperBase, spec: PolicySpec, **options: object) -> Checkpoint:
    """``policy`` as the exporter takes it; ``options`` are those of ``WrappedPolicy``. It cannot be saved as model.pt:
    nobody could build it again.

    Raises:
        ValueError: the policy is not the contract's.
    """
    made = WrappedPolicy(policy, spec, **options).eval()
    return Checkpoint(spec, made, {}, {"method": "none"}, architecture="wrapped")


def _flat(key: NestedKey) -> tuple[str, ...]:
    return (key,) if isinstance(key, str) else tuple(part for piece in key for part in _flat(piece))
