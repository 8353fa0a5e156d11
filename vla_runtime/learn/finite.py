"""The check that torchrl's transforms and tokenizers lack: NaN and infinity are refused, the dimension named."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from vla_runtime.core.errors import Refusal

__all__ = ["NotFinite", "refuse_not_finite"]


class NotFinite(Refusal, ValueError):
    """Values hold NaN or infinity.

    Args:
        what: the values, for people.
        dimensions: the names of the dimensions that hold them.
    """

    def __init__(self, what: str, dimensions: Sequence[str]) -> None:
        self.dimensions = tuple(dimensions)
        super().__init__(
            f"{what} holds NaN or infinite values in {', '.join(self.dimensions)}, expected finite ones only"
        )


def refuse_not_finite(values: Tensor, what: str, names: Sequence[str] = ()) -> None:
    """Pass ``values`` [..., D] that are finite; ``names`` are those of the D dimensions, ``dimension i`` without.

    Raises:
        NotFinite: a value is NaN or infinite.
    """
    # One pass over them; a sum of finite values is infinite only where it overflows, and then each is looked at.
    if math.isfinite(values.detach().sum()):
        return
    finite = values.isfinite()
    if finite.all():
        return
    by_dimension = finite.reshape(-1, finite.shape[-1] if finite.ndim else 1).all(0).tolist()
    given = names if len(names) == len(by_dimension) else [f"dimension {i}" for i in range(len(by_dimension))]
    raise NotFinite(what, [name for name, ok in zip(given, by_dimension, strict=True) if not ok])
