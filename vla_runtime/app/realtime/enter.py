"""The one call that makes a process real-time, as far as it may."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal

from vla_runtime.app.config import RealtimeConfig
from vla_runtime.app.realtime.cores import cores_of, set_cores
from vla_runtime.app.realtime.memory import lock_memory, unlock_memory
from vla_runtime.app.realtime.schedule import (
    hurry_threads,
    io_threads,
    set_fifo,
    set_other,
    set_timer_slack,
    timer_slack_ns,
)

__all__ = ["Asked", "Granted", "asked_by_control", "asked_by_host", "enter_realtime", "leave_realtime"]

_LEAST_SLACK_NS = 1
_LOWEST = 1


@dataclass(frozen=True, slots=True)
class Asked:
    """What one process wants: SCHED_FIFO at ``priority`` (0: not), its memory locked, these ``cpus`` (none: any).

    ``hurry``: its other Python threads at the lowest SCHED_FIFO priority, since they hold the interpreter now and then.
    ``spin_us`` is for the clock: how long to spin before a deadline.
    """

    priority: int = 0
    lock_memory: bool = False
    cpus: tuple[int, ...] = ()
    hurry: bool = False
    spin_us: int = 0


@dataclass(frozen=True, slots=True)
class Granted:
    """What it got. ``denied``: what it did not, each with the reason. ``asked``: whether anything was asked for.

    ``io_priority``: of the threads that carry the messages of the calling thread. ``threads_priority``: of the
    process's other Python threads, 0 where nothing was asked for them.
    """

    asked: bool = False
    policy: Literal["other", "fifo"] = "other"
    priority: int = 0
    io_priority: int = 0
    threads_priority: int = 0
    locked: bool = False
    cpus: tuple[int, ...] = ()
    spin_us: int = 0
    timer_slack_ns: int = 0
    denied: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"cpus": list(self.cpus), "denied": list(self.denied)}

    def as_text(self) -> str:
        """What was granted, in a few words."""
        policy = f"SCHED_FIFO {self.priority}" if self.priority else "no priority"
        locked = "memory locked" if self.locked else "memory not locked"
        return f"{policy}, {locked}, cores {', '.join(map(str, self.cpus))}, spins {self.spin_us} µs"

    @property
    def advice(self) -> str:
        """What is missing and how to grant it, in a line; "" if nothing is."""
        if not self.denied:
            return ""
        return f"runs without {'; '.join(self.denied)}. To grant it: sudo deploy/realtime.sh --apply, then log in again"


def asked_by_control(config: RealtimeConfig | None) -> Asked:
    """What the config wants for the control process."""
    if config is None:
        return Asked()
    return Asked(config.priority, config.lock_memory, config.cpus.control, spin_us=config.spin_us)


def asked_by_host(config: RealtimeConfig | None) -> Asked:
    """What the config wants for the robot's host. It waits in poll() between deadlines, so it does not spin."""
    if config is None:
        return Asked()
    return Asked(config.host_priority, config.lock_memory, config.cpus.host, hurry=config.host_priority > 0)


def enter_realtime(asked: Asked) -> Granted:
    """Make the calling thread real-time, and its process's memory and cores as asked, as far as rights allow.

    Call it last, once every thread and child is there: children keep the ordinary policy, and what is started later
    gets it back. Nothing is raised; what is denied is in the answer.
    """
    if asked == Asked():
        return Granted(cpus=cores_of(), timer_slack_ns=timer_slack_ns())
    denied = []
    if asked.cpus:
        denied.append(set_cores(asked.cpus))
    locking = lock_memory() if asked.lock_memory else ""
    scheduling = set_fifo(asked.priority) if asked.priority else ""
    set_timer_slack(_LEAST_SLACK_NS)
    fifo = asked.priority > 0 and not scheduling
    io_priority = _raise_io(asked.priority) if fifo else 0
    return Granted(
        asked=True,
        policy="fifo" if fifo else "other",
        priority=asked.priority if fifo else 0,
        io_priority=io_priority,
        threads_priority=_LOWEST if fifo and asked.hurry and hurry_threads(_LOWEST) else 0,
        locked=asked.lock_memory and not locking,
        cpus=cores_of(),
        spin_us=asked.spin_us,
        timer_slack_ns=timer_slack_ns(),
        denied=tuple(filter(None, (*denied, scheduling, locking))),
    )


def leave_realtime() -> None:
    """The ordinary policy and timers again, nothing locked. Cores stay."""
    for thread in (0, *io_threads(), *(one.native_id for one in threading.enumerate())):
        with suppress(OSError):  # it has ended meanwhile
            set_other(thread or 0)
    set_timer_slack(0)
    unlock_memory()


def _raise_io(priority: int) -> int:
    """The threads that carry our messages, one above us: what they do is short, and a command waits for it.

    Left at the ordinary policy, they leave a command unsent for 14 ms on a busy machine, and we send it in time for
    nothing. Where the limit is our own priority, they get that.
    """
    given = 0
    for thread in io_threads():
        given = next((each for each in (priority + 1, priority) if not set_fifo(each, thread)), 0)
    return given
