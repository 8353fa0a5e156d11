"""Action tokenizers: torchrl's, with what they let through refused, and a decode that survives tracing.

Both decode in plain torch operations on registered buffers, so ``torch.jit.trace`` and ``torch.onnx.export`` follow
the tokens, and the bins travel in the state dict. Both are ``ActionTokenizerBase``: torchrl's
``ActionTokenizerTransform`` and policies take them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchrl.data.vla import UniformActionTokenizer, VocabTailActionTokenizer

from vla_runtime.core.errors import choices
from vla_runtime.learn.finite import refuse_not_finite

__all__ = ["UniformTokenizer", "VocabTailTokenizer"]


class UniformTokenizer(UniformActionTokenizer):
    """``num_bins`` bins of equal width over ``low`` to ``high`` for each dimension; a token is its bin's centre.

    Args:
        num_bins: bins of a dimension.
        low, high: f32[A] or one number for all.

    Raises:
        NotFinite: ``low`` or ``high`` is not finite.
        ValueError: ``high`` is not above ``low``, or there is no bin.
    """

    def __init__(self, num_bins: int, *, low: Tensor | float, high: Tensor | float) -> None:
        for what, bound in (("the bins' low", low), ("the bins' high", high)):
            refuse_not_finite(torch.as_tensor(bound), what)
        # Copies: torchrl's buffers are the caller's own tensors, which loading a state dict then overwrites.
        super().__init__(num_bins, low=torch.as_tensor(low).clone(), high=torch.as_tensor(high).clone())

    def encode(self, actions: Tensor) -> Tensor:
        """f[..., A] to i64[..., A] in 0..num_bins - 1; values outside the bins get the nearest one.

        Raises:
            NotFinite: a value is NaN or infinite.
        """
        refuse_not_finite(actions, "the action to encode")
        # Before the cast to integers: what is too large for one would come out as the lowest token.
        inside = ((actions - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
        return (inside * self.num_bins).floor().long().clamp(max=self.num_bins - 1)

    def decode(self, tokens: Tensor) -> Tensor:
        """i64[..., A] to f32[..., A], the centres of the bins; tokens outside the vocabulary count as its ends."""
        return super().decode(tokens.clamp(0, self.num_bins - 1))


class VocabTailTokenizer(VocabTailActionTokenizer):
    """Tokens in the tail of a language model's vocabulary (Kim et al., OpenVLA, 2024), as torchrl has them.

    torchrl decodes with NumPy where it is given statistics, which a trace records as a constant. Here its answers
    for all tokens are computed once: decoding is a look-up, equal to torchrl's to the last bit. As there, ``encode``
    knows nothing of ``gripper_binarize`` and ``gripper_invert``, which change decoded values only.

    Args:
        num_bins: edges of the bins over -1 to 1, so there are ``num_bins - 1`` centres.
        further: torchrl's: ``full_vocab_size``, ``norm_low`` and ``norm_high`` f[A], ``norm_mask`` bool[A],
            ``gripper_binarize``, ``gripper_binarize_threshold``, ``gripper_invert``.

    Raises:
        NotFinite: statistics are not finite.
        ValueError: a low above its high, or shapes that differ.
    """

    def __init__(self, num_bins: int = 256, **further: object) -> None:
        super().__init__(num_bins, **{name: _own(value) for name, value in further.items()})
        if self.norm_low is not None:
            _check_range(self.norm_low, self.norm_high, self.norm_mask)
        width = self._width = 1 if self.norm_low is None else self.norm_low.numel()
        first = self.vocab_size - 1
        tokens = torch.arange(first, first - (num_bins - 1), -1).unsqueeze(-1).expand(-1, width)
        # f32[num_bins - 1, A], or [num_bins - 1, 1] without statistics: the value of each bin.
        self.register_buffer("centres", super().decode(tokens).clone())

    @classmethod
    def from_norm_stats(
        cls, norm_stats: Mapping[str, Mapping[str, Mapping]], unnorm_key: str, **further: object
    ) -> VocabTailTokenizer:
        """From an OpenVLA checkpoint's ``norm_stats``: data set to ``{"action": {"q01", "q99", "mask"}}``.

        Raises:
            ValueError: the data set is not in it.
        """
        if unnorm_key not in norm_stats:
            raise ValueError(f"statistics of {unnorm_key!r} wanted; {choices(unnorm_key, norm_stats)}")
        stats = norm_stats[unnorm_key]["action"]
        low, high = (torch.as_tensor(stats[name], dtype=torch.float64) for name in ("q01", "q99"))
        return cls(norm_low=low, norm_high=high, norm_mask=stats.get("mask"), **further)

    def encode(self, actions: Tensor) -> Tensor:
        """f[..., A] to i64[..., A]; values outside the bins get the nearest one.

        Raises:
            NotFinite: a value is NaN or infinite.
        """
        refuse_not_finite(actions, "the action to encode")
        return super().encode(actions)

    def decode(self, tokens: Tensor) -> Tensor:
        """i64[..., A] to f32[..., A]; tokens outside the tail count as its ends.

        Raises:
            ValueError: another number of dimensions than the statistics have.
        """
        width = self._width
        if width > 1 and not torch.jit.is_tracing() and tokens.shape[-1] != width:
            raise ValueError(f"tokens of {tokens.shape[-1]} dimensions given, expected {width}")
        index = (self.vocab_size - 1 - tokens).clamp(0, self.num_bins - 2)
        return self.centres.flatten()[index * width + torch.arange(width, device=tokens.device)]


def _own(value: object) -> object:
    return value.clone() if isinstance(value, Tensor) else value


def _check_range(low: Tensor, high: Tensor, mask: Tensor) -> None:
    shapes: Sequence[tuple[int, ...]] = [tuple(part.shape) for part in (low, high, mask)]
    if len(set(shapes)) != 1 or len(shapes[0]) != 1:
        raise ValueError(f"norm_low, norm_high and norm_mask have the shapes {shapes}, expected three times [A]")
    refuse_not_finite(low, "norm_low")
    refuse_not_finite(high, "norm_high")
    if not (high >= low).all():
        raise ValueError(f"norm_high {high.tolist()} is below norm_low {low.tolist()} in a dimension")
