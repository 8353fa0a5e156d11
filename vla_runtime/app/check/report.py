"""What ``vla-run --check`` found: for people line by line as it goes, for scripts as one object at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from vla_runtime.app.check.cameras import Sight
from vla_runtime.app.check.latency import Lateness
from vla_runtime.app.check.machine import Machine, look_at_machine
from vla_runtime.app.quantiles import quantiles
from vla_runtime.app.realtime import Granted
from vla_runtime.control.cause import Cause

__all__ = ["CheckReport", "RobotSeen"]

Level = Literal["ok", "warning", "refused"]


@dataclass(frozen=True, slots=True)
class RobotSeen:
    """``age_ms``: how old its newest state was, at most."""

    states_per_s: float
    age_ms: float


@dataclass
class CheckReport:
    """Filled as the check goes. ``cause`` is set at its end, or by what ended it."""

    say: Callable[[str], None]
    machine: Machine = field(default_factory=look_at_machine)
    policy_name: str | None = None
    policy_hash: str | None = None
    policy_rtc: str | None = None
    robot: RobotSeen | None = None
    cameras: dict[str, Sight] = field(default_factory=dict)
    joints_without_jerk_limit: tuple[str, ...] = ()
    realtime: Granted = field(default_factory=Granted)
    lateness: Lateness = field(default_factory=Lateness)
    warnings: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    cause: Cause | None = None

    def found(self, level: Level, what: str, text: str) -> None:
        """A line about ``what``."""
        kept = {"warning": self.warnings, "refused": self.failures}.get(level)
        if kept is not None:
            kept.append(f"{what}: {text}")
        self.say(f"{level:<8} {what:<12} {text}")

    def end(self) -> Cause:
        """The verdict over what was found."""
        count = len(self.warnings)
        warned = f", with {count} warning{'s' * (count > 1)}" if count else ""
        self.cause = Cause("refused", "; ".join(self.failures)) if self.failures else Cause("done", f"ready{warned}")
        verdict = f"not ready{warned}" if self.failures else self.cause.text
        self.say(f"verdict  {verdict}; nothing has moved")
        return self.cause

    def as_json(self) -> dict[str, Any]:
        """The documented keys (docs/json.md)."""
        machine = {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self.machine).items()
        }
        granted = machine.pop("rights")
        assert self.cause is not None
        return {
            "exit": self.cause.kind,
            "cause": self.cause.text,
            "warnings": self.warnings,
            "failures": self.failures,
            "machine": machine,
            "rights": granted,
            "policy": {"name": self.policy_name, "hash": self.policy_hash, "rtc": self.policy_rtc},
            "robot": {
                "answers": self.robot is not None,
                "states_per_s": self.robot and round(self.robot.states_per_s, 1),
                "state_age_ms": self.robot and round(self.robot.age_ms, 3),
            },
            "cameras": {
                name: {
                    "seen": sight.first_s is not None,
                    "first_s": sight.first_s and round(sight.first_s, 3),
                    "age_ms": sight.age_ms and round(sight.age_ms, 3),
                    "fps": sight.fps and round(sight.fps, 2),
                }
                for name, sight in self.cameras.items()
            },
            "joints_without_jerk_limit": list(self.joints_without_jerk_limit),
            "realtime": self.realtime.as_json(),
            "ticks": self.lateness.ticks,
            "missed": self.lateness.missed,
            "lateness_us": quantiles(self.lateness.late, 1e3),
        }
