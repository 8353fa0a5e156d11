"""Python code in one thread that does not keep the interpreter from another for long."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["yielding"]

_YIELD_S = 1e-4
"""Python's own 5 ms would be a whole step of a 200 Hz device."""


@contextmanager
def yielding() -> Iterator[None]:
    """Within, a thread that runs Python code gives way to one that waits after 0.1 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_YIELD_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
