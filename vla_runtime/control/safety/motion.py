"""How commands may change from tick to tick."""

from __future__ import annotations

from typing import Protocol

from vla_runtime.control.safety.rule import Vector

__all__ = ["Motion"]


class Motion(Protocol):
    """Turns targets that may be reached into commands on the way there. One call a tick, each one period on."""

    @property
    def command(self) -> Vector:
        """The last one."""
        ...

    def begin(self, pose: Vector, velocity: Vector | None = None, acceleration: Vector | None = None) -> None:
        """Be at ``pose``, at rest unless ``velocity`` and ``acceleration`` say otherwise."""
        ...

    def follow(self, target: Vector) -> Vector:
        """The next command on the way to ``target``, finite and inside the position limits."""
        ...

    def brake(self) -> Vector:
        """The next command of coming to rest, and staying there."""
        ...

    @property
    def resting(self) -> bool:
        """The last command stands still."""
        ...

    @property
    def arrived(self) -> bool:
        """The last command was its target, or within one tick at full speed of it."""
        ...

    def kept_back(self, target: Vector) -> list[tuple[int, str]]:
        """The joints that the last call kept from ``target``, by more than next to nothing, and the limits it was."""
        ...
