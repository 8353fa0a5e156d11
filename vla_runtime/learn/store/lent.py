"""Memory for batches, used again and again."""

from __future__ import annotations

import weakref

import numpy as np
from numpy.typing import NDArray

__all__ = ["Lent"]


class Lent:
    """Memory that is handed out again when the tensors made of it are gone.

    Args:
        most: how many arrays of one shape and type are kept; further ones are used once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[tuple[object, ...], list[tuple[NDArray, weakref.ref[NDArray]]]] = {}

    def array(self, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
        """Memory of that shape and type, of any content; it is free again when the array that is returned is gone."""
        known = self._known.setdefault((shape, dtype), [])
        free = next((place for place, (_, user) in enumerate(known) if user() is None), None)
        memory = np.empty(shape, dtype) if free is None else known.pop(free)[0]
        # A tensor keeps the array alive that it was made of: this view, not the memory itself.
        view = memory.view()
        if len(known) < self._most:
            known.append((memory, weakref.ref(view)))
        return view
