"""The quantiles that every report shows of a histogram."""

from __future__ import annotations

from vla_runtime.control.histogram import Histogram

__all__ = ["quantiles"]

_SHARES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}


def quantiles(histogram: Histogram, unit_ns: float) -> dict[str, float | None]:
    """``p50``, ``p99``, ``p999`` and ``max`` in multiples of ``unit_ns``; None while nothing was recorded."""
    found = [*histogram.quantiles(list(_SHARES.values())), histogram.largest if histogram.count else None]
    return {
        name: None if value is None else round(value / unit_ns, 3)
        for name, value in zip([*_SHARES, "max"], found, strict=True)
    }
