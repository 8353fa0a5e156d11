"""Nothing that is not a number is ever sent."""

from __future__ import annotations

import numpy as np

from vla_runtime.core.types import F64

__all__ = ["FiniteRule"]


class FiniteRule:
    """A joint whose target is NaN or infinite keeps its previous command."""

    name = "finite"

    def apply(self, wanted: F64, previous: F64) -> F64:
        return np.where(np.isfinite(wanted), wanted, previous)
