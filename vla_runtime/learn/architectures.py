"""The architectures that can be trained, and their heads. Command lines offer them before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vla_runtime.core.spec import Head

__all__ = ["DEFAULT", "HEADS"]

HEADS: Mapping[str, tuple[Head, ...]] = {
    "visuomotor": ("continuous", "tokens"),
    "flow": ("flow",),
    "act": ("continuous",),
    "tiny": ("continuous", "tokens"),
}
"""Architecture to the heads that a contract may name with it; behaviour cloning trains the first."""
DEFAULT = "visuomotor"
