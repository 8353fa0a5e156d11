"""torchrl's two affine transforms, with what they lack: NaN and infinity are refused, what is too large is clamped."""

from __future__ import annotations

from collections.abc import Sequence

from tensordict import TensorDictBase
from torch import Tensor
from torchrl.envs.transforms import ActionScaling, ObservationNorm, Transform

from vla_runtime.learn.finite import refuse_not_finite

__all__ = ["ActionNorm", "StateNorm", "clamped"]


def clamped(values: Tensor, limit: Tensor | None) -> Tensor:
    """``values`` [..., D] at most ``limit`` f32[D] away from 0; None is no limit. NaN stays NaN."""
    return values if limit is None else values.clamp(-limit, limit)


class _Sampled(Transform):
    """``forward`` as torchrl's, without its ``dispatch``, which for a small batch takes as long as the arithmetic."""

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        for in_key, out_key in zip(self.in_keys, self.out_keys, strict=True):
            value = tensordict.get(in_key, None)
            if value is not None:
                tensordict.set(out_key, self._apply_transform(value))
            elif not self.missing_tolerance:
                held = ", ".join(str(key) for key in tensordict.keys(True, True))
                raise KeyError(f"{in_key!r} is not in the samples, which hold {held}")
        return tensordict


class StateNorm(_Sampled, ObservationNorm):
    """(x - loc) / scale, clamped: on an env's observations or a replay buffer's sample path.

    Args:
        loc, scale: f32[D].
        limit: f32[D], the largest normalised magnitude, or None.
        names: of the dimensions, for errors.
        further: torchrl's, ``in_keys`` first of all.
    """

    def __init__(
        self, loc: Tensor, scale: Tensor, limit: Tensor | None, names: Sequence[str], **further: object
    ) -> None:
        super().__init__(loc=loc, scale=scale, standard_normal=True, **further)
        self.register_buffer("limit", limit)
        self.names = tuple(names)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        self._refuse(tensordict)
        return super().forward(tensordict)

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        self._refuse(next_tensordict)
        return super()._call(next_tensordict)

    def _apply_transform(self, obs: Tensor) -> Tensor:
        return clamped(super()._apply_transform(obs), self.limit)

    def _refuse(self, tensordict: TensorDictBase) -> None:
        # Not in _apply_transform, which torchrl applies to the bounds of specs too.
        for key in self.in_keys:
            value = tensordict.get(key, None)
            if value is not None:
                refuse_not_finite(value, "the state", self.names)


class ActionNorm(_Sampled, ActionScaling):
    """(x - loc) / scale, clamped, and back: forward on a sample path, inverse on the way into an env.

    On the way back the normalised action is clamped before it is scaled.

    Args:
        loc, scale, limit, names: as in ``StateNorm``.
        further: torchrl's, ``in_keys`` and ``in_keys_inv`` first of all.
    """

    def __init__(
        self, loc: Tensor, scale: Tensor, limit: Tensor | None, names: Sequence[str], **further: object
    ) -> None:
        super().__init__(loc=loc, scale=scale, **further)
        self.register_buffer("limit", limit)
        self.names = tuple(names)

    def _apply_transform(self, action: Tensor) -> Tensor:
        refuse_not_finite(action, "the action", self.names)
        return clamped(super()._apply_transform(action), self.limit)

    def _inv_apply_transform(self, action: Tensor) -> Tensor:
        refuse_not_finite(action, "the normalised action", self.names)
        return super()._inv_apply_transform(clamped(action, self.limit))
