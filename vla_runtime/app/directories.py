"""Where a ``vla-host`` and a ``vla-run`` that were started apart meet."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from vla_runtime.wire.sockets import private_directory

__all__ = ["runtime_directory"]


def runtime_directory(robot: str) -> Path:
    """One private directory per user and robot, made if need be.

    Raises:
        Refusal: someone else has made it, or it is open to others: they could command the robot.
    """
    base = os.environ.get("XDG_RUNTIME_DIR")
    root = Path(base) / "vla-runtime" if base else Path(tempfile.gettempdir()) / f"vla-runtime-{os.getuid()}"
    return private_directory(private_directory(root) / robot)
