"""What a data set does not say of itself, or what of it is wanted."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from vla_runtime.core.errors import ConfigError
from vla_runtime.core.spec import Unit

__all__ = ["SetOptions"]

_UNITS: tuple[Unit, ...] = ("rad", "m", "none")


class SetOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a data set is read.

    Args:
        chunk_length: rows of a chunk.
        units: of all actions and state inputs. Data sets do not say; numbers are not converted.
        size: (height, width) that images are shrunk or stretched to, by area interpolation. None leaves them.
        cameras: the names of those that are read. None: all that give RGB.
        rate_hz: steps a second, where the data set does not say.
        action, state: features, in order, instead of the usual ones.
        instruction: where the data set holds none.

    Raises:
        ConfigError: a value is out of its range.
    """

    chunk_length: int = 16
    units: Unit = "none"
    size: tuple[int, int] | None = None
    cameras: Sequence[str] | None = None
    rate_hz: float | None = None
    action: Sequence[str] | None = None
    state: Sequence[str] | None = None
    instruction: str | None = None

    def __post_init__(self) -> None:
        if self.chunk_length < 1:
            raise ConfigError(f"chunk_length is {self.chunk_length}, expected at least 1")
        if self.units not in _UNITS:
            raise ConfigError(f"units are {self.units!r}, expected one of {', '.join(_UNITS)}")
        if self.size is not None and not (len(self.size) == 2 and min(self.size) >= 1):
            raise ConfigError(f"size is {self.size}, expected (height, width) in pixels")
        if self.rate_hz is not None and not 0 < self.rate_hz < float("inf"):
            raise ConfigError(f"rate_hz is {self.rate_hz}, expected more than 0")
