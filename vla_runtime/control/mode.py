"""The mode table: one table, one function, tested exhaustively.

    idle → aligning → running ⇄ holding → stopping → stopped, and faulted, which latches with its cause

An event that a mode does not list leaves it where it is.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["COMMANDING", "FINAL", "FOLLOWING", "Event", "Mode", "next_mode"]


class Mode(str, Enum):
    """What the loop is doing."""

    IDLE = "idle"
    """Waiting for the robot's first state. Nothing is sent."""
    ALIGNING = "aligning"
    """Holding the measured pose, then moving inside the limits to where the policy wants to begin."""
    RUNNING = "running"
    """Following the plan."""
    HOLDING = "holding"
    """No row of a plan covers now: the last command is repeated."""
    STOPPING = "stopping"
    """Coming to rest under control."""
    STOPPED = "stopped"
    """The robot was asked to stop. Only a reset leads on."""
    FAULTED = "faulted"
    """The robot was asked to stop because going on was not safe. Only a reset leads on."""


class Event(str, Enum):
    """What can happen to a mode, in order of rank: of several in one tick the first with an effect wins."""

    FAULT = "fault"
    REFUSE = "refuse"
    STOP = "stop"
    HOLD_TIMEOUT = "hold_timeout"
    SETTLED = "settled"
    START = "start"
    ALIGNED = "aligned"
    STARVED = "starved"
    PLAN = "plan"
    RESET = "reset"


COMMANDING = frozenset({Mode.ALIGNING, Mode.RUNNING, Mode.HOLDING, Mode.STOPPING})
"""Modes in which commands are sent."""

FOLLOWING = frozenset({Mode.ALIGNING, Mode.RUNNING})
"""Modes in which commands follow the plan."""

FINAL = frozenset({Mode.STOPPED, Mode.FAULTED})
"""Modes that end a run."""

_TABLE: dict[Mode, dict[Event, Mode]] = {
    Mode.IDLE: {
        Event.FAULT: Mode.FAULTED,
        Event.REFUSE: Mode.STOPPED,
        Event.STOP: Mode.STOPPED,
        Event.HOLD_TIMEOUT: Mode.STOPPED,
        Event.START: Mode.ALIGNING,
    },
    Mode.ALIGNING: {
        Event.FAULT: Mode.FAULTED,
        Event.REFUSE: Mode.STOPPED,
        Event.STOP: Mode.STOPPING,
        Event.HOLD_TIMEOUT: Mode.STOPPING,
        Event.ALIGNED: Mode.RUNNING,
    },
    Mode.RUNNING: {
        Event.FAULT: Mode.FAULTED,
        Event.STOP: Mode.STOPPING,
        Event.STARVED: Mode.HOLDING,
    },
    Mode.HOLDING: {
        Event.FAULT: Mode.FAULTED,
        Event.STOP: Mode.STOPPING,
        Event.HOLD_TIMEOUT: Mode.STOPPING,
        Event.PLAN: Mode.RUNNING,
    },
    Mode.STOPPING: {
        Event.FAULT: Mode.FAULTED,
        Event.SETTLED: Mode.STOPPED,
    },
    Mode.STOPPED: {Event.RESET: Mode.IDLE},
    Mode.FAULTED: {Event.RESET: Mode.IDLE},
}


def next_mode(mode: Mode, event: Event) -> Mode:
    """The mode after ``event``; the same one where the table lists nothing."""
    return _TABLE[mode].get(event, mode)
