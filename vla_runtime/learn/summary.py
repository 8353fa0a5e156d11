"""What a normalisation is made from: a few numbers for each dimension of the states or actions in the data."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vla_runtime.core.spec import ScalingMode
from vla_runtime.learn.finite import refuse_not_finite

__all__ = ["STD_FLOOR", "Summary"]

STD_FLOOR = 1e-2
"""Smallest std, both absolute and as a fraction of the range: a nearly constant dimension must not be blown up."""


@dataclass(frozen=True, eq=False)
class Summary:
    """Of the dimensions ``names``, f64[D] each. ``std`` is the population's, ``q01`` and ``q99`` are percentiles."""

    names: tuple[str, ...]
    mean: Tensor
    std: Tensor
    low: Tensor
    high: Tensor
    q01: Tensor
    q99: Tensor

    @classmethod
    def of(cls, values: Tensor, names: tuple[str, ...], what: str) -> Summary:
        """Of ``values`` f32[..., D]; ``what`` they are, for people.

        Raises:
            ValueError: ``values`` is empty or has another number of dimensions than ``names``.
            NotFinite: a value is NaN or infinite; torchrl's transforms would pass it on.
        """
        rows = values.reshape(-1, values.shape[-1]).double()
        if rows.shape[-1] != len(names):
            raise ValueError(f"{what} has {rows.shape[-1]} dimensions, expected {len(names)}: {', '.join(names)}")
        if not len(rows):
            raise ValueError(f"{what} has no rows, expected at least one")
        refuse_not_finite(rows, what, names)
        # NumPy's: torch.quantile refuses more than 16 million values.
        q01, q99 = torch.from_numpy(np.quantile(rows.numpy(), (0.01, 0.99), axis=0))
        return cls(names, rows.mean(0), rows.std(0, correction=0), rows.amin(0), rows.amax(0), q01, q99)

    @classmethod
    def stated(
        cls,
        names: Sequence[str],
        *,
        mean: Sequence[float],
        std: Sequence[float],
        low: Sequence[float],
        high: Sequence[float],
        q01: Sequence[float],
        q99: Sequence[float],
    ) -> Summary:
        """From numbers that were computed elsewhere, as over data that do not fit into memory.

        Raises:
            ValueError: another count than there are names.
            NotFinite: a number is NaN or infinite.
        """
        rows = {"mean": mean, "std": std, "low": low, "high": high, "q01": q01, "q99": q99}
        for what, row in rows.items():
            if len(row) != len(names):
                raise ValueError(f"{what} has {len(row)} values, expected {len(names)}: {', '.join(names)}")
        vectors = {
            what: torch.tensor([float(value) for value in row], dtype=torch.float64) for what, row in rows.items()
        }
        for what, vector in vectors.items():
            refuse_not_finite(vector, what, names)
        return cls(tuple(names), **vectors)

    def affine(self, mode: ScalingMode = "mean_std", keep: Collection[str] = ()) -> tuple[Tensor, Tensor]:
        """f32[D] each, what to subtract and what to divide by, which is never less than the floor.

        ``mean_std`` gives mean 0 and standard deviation 1, ``min_max`` -1 to 1, ``quantiles`` -1 to 1 for all but the
        lowest and the highest hundredth. Dimensions named in ``keep`` get 0 and 1: they are left as they are.
        """
        loc, scale = {
            "mean_std": (self.mean, self.std),
            "min_max": ((self.low + self.high) / 2, (self.high - self.low) / 2),
            "quantiles": ((self.q01 + self.q99) / 2, (self.q99 - self.q01) / 2),
        }[mode]
        scale = scale.maximum((STD_FLOOR * (self.high - self.low)).clamp_min(STD_FLOOR))
        kept = torch.tensor([name in keep for name in self.names])
        return loc.masked_fill(kept, 0.0).float(), scale.masked_fill(kept, 1.0).float()
