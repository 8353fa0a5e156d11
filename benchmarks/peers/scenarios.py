"""What all contestants go through."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SCENARIOS", "Scenario"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """The control rate, and how long an inference takes, give or take."""

    name: str
    rate_hz: float
    delay_ms: float
    jitter_ms: float

    def __str__(self) -> str:
        return f"{self.rate_hz:g} Hz, an inference takes {self.delay_ms:g} ± {self.jitter_ms:g} ms"


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("usual", 50.0, 80.0, 20.0),
        Scenario("quick", 50.0, 10.0, 2.0),
        Scenario("fast", 100.0, 80.0, 20.0),
    )
}
