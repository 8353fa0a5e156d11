"""What a host counted."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from vla_runtime.app.quantiles import quantiles
from vla_runtime.app.realtime.enter import Granted
from vla_runtime.control.histogram import Histogram

__all__ = ["CameraReport", "HostReport"]


@dataclass
class CameraReport:
    """What became of one camera's frames. Those that are captured and nothing else were on their way at the end."""

    captured: int = 0
    published: int = 0
    lost: int = 0
    skipped: int = 0
    failed: int = 0


@dataclass
class HostReport:
    """What a host counted. ``dead_man_ms``: command age at each stop by the dead man.

    ``command_age``: from sending to being taken; ``command_age_at_use``: at each device step under a command.
    """

    episodes: int = 0
    successes: int = 0
    steps: int = 0
    commands: int = 0
    refused_commands: int = 0
    malformed: int = 0
    overruns: int = 0
    dead_man_ms: list[float] = field(default_factory=list)
    command_age: Histogram = field(default_factory=Histogram)
    command_age_at_use: Histogram = field(default_factory=Histogram)
    cameras: dict[str, CameraReport] = field(default_factory=dict)
    realtime: Granted = field(default_factory=Granted)

    def as_json(self) -> dict[str, object]:
        """Plain values; ages in microseconds."""
        return {
            "episodes": self.episodes,
            "successes": self.successes,
            "steps": self.steps,
            "commands": self.commands,
            "refused_commands": self.refused_commands,
            "malformed": self.malformed,
            "overruns": self.overruns,
            "dead_man_ms": self.dead_man_ms,
            "command_age_us": quantiles(self.command_age, 1e3),
            "command_age_at_use_us": quantiles(self.command_age_at_use, 1e3),
            "cameras": {name: asdict(camera) for name, camera in self.cameras.items()},
            "realtime": self.realtime.as_json(),
        }
