"""How late a loop would begin its ticks on this machine, now: the real sleep at the real rate, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from vla_runtime.app.realtime import Collector
from vla_runtime.control.histogram import Histogram
from vla_runtime.control.rate import Rate
from vla_runtime.core.protocols import Clock

__all__ = ["Lateness", "measure_lateness"]

_SECOND_NS = 1_000_000_000


@dataclass(slots=True)
class Lateness:
    """``missed``: deadlines that were over before the loop was back."""

    late: Histogram = field(default_factory=Histogram)
    ticks: int = 0
    missed: int = 0


def measure_lateness(clock: Clock, period_ns: int, seconds: float, say: Callable[[str], None]) -> Lateness:
    """Sleep from deadline to deadline for ``seconds``; ``say`` is told every second how far it is."""
    found = Lateness()
    with Collector().kept_out():
        rate = Rate(period_ns, clock.now())
        end_ns = rate.deadline_ns + round(seconds * _SECOND_NS)
        say_ns = rate.deadline_ns + _SECOND_NS
        while rate.deadline_ns < end_ns:
            clock.sleep_until(rate.next_deadline(clock.now()))
            now_ns = clock.now()
            found.late.add(now_ns - rate.deadline_ns)
            found.ticks += 1
            if now_ns >= say_ns and say_ns < end_ns:
                done = seconds - (end_ns - say_ns) / _SECOND_NS
                say(
                    f"         latency      {done:.0f} of {seconds:g} s, at most {found.late.largest / 1e3:.0f} µs late"
                )
                say_ns += _SECOND_NS
        found.missed = rate.skipped
    return found
