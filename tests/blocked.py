"""Python code that makes packages unimportable, for ``python -c``."""

from __future__ import annotations

__all__ = ["TRAIN_EXTRA", "blocking"]

TRAIN_EXTRA = ("torch", "torchrl", "tensordict")


def blocking(*packages: str) -> str:
    """Statements after which importing any of ``packages`` fails as if it were not installed."""
    return f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
"""
