"""Which frames of several cameras belong together: captured at nearly the same time, and as late as possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["match"]


def match(captures: Mapping[str, Sequence[int]], max_skew_ns: int) -> dict[str, int] | None:
    """The capture of each camera to show, from ``captures``, each rising and not empty; None if no set fits.

    Of all sets whose captures lie within ``max_skew_ns``, the one whose oldest capture is the newest; of each camera
    then the newest that fits. So where the newest frames belong together, it is them.
    """
    if not captures:
        return {}
    for anchor in sorted({capture for found in captures.values() for capture in found}, reverse=True):
        picked = {
            name: max((capture for capture in found if anchor <= capture <= anchor + max_skew_ns), default=None)
            for name, found in captures.items()
        }
        if None not in picked.values():
            return {name: capture for name, capture in picked.items() if capture is not None}
    return None
