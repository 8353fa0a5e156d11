"""How the kernel schedules the calling thread."""

from __future__ import annotations

import ctypes
import os
import threading
from contextlib import suppress
from pathlib import Path

from vla_runtime.app.realtime.rights import rights

__all__ = ["hurry_threads", "io_threads", "set_fifo", "set_other", "set_timer_slack", "timer_slack_ns"]

_PR_SET_TIMERSLACK, _PR_GET_TIMERSLACK = 29, 30


def set_fifo(priority: int, thread: int = 0) -> str:
    """SCHED_FIFO for ``thread`` (0: the calling one), inherited by none that it starts; "" when done, else why not."""
    try:
        os.sched_setscheduler(thread, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except OSError as error:
        allowed = rights().rtprio
        if priority > allowed:
            return f"SCHED_FIFO {priority}: the highest priority allowed is {allowed} (RLIMIT_RTPRIO)"
        return f"SCHED_FIFO {priority}: {error.strerror}; a control group may have no real-time share"
    return ""


def hurry_threads(priority: int) -> bool:
    """SCHED_FIFO for the other Python threads of this process; True if there are any and all have it.

    Whatever our own priority, we wait for the interpreter until the thread that holds it has run on: no process of
    ordinary policy may keep it from that. Niceness is not enough, commands still came up to 50 ms late now and then.
    """
    others = [thread.native_id for thread in threading.enumerate() if thread is not threading.current_thread()]
    denied = [reason for other in others if other is not None and (reason := set_fifo(priority, other))]
    return bool(others) and not denied


def set_other(thread: int = 0) -> None:
    """The ordinary policy again."""
    os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def io_threads() -> list[int]:
    """The threads of this process in which ZMQ sends and receives what must not come late.

    A command is on its way only when such a thread has run: see ``wire.sockets.bulk_context`` for those left out.
    """
    found = []
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it has ended meanwhile
            if (thread / "comm").read_text().startswith("ZMQbg/IO/"):
                found.append(int(thread.name))
    return sorted(found)


def set_timer_slack(slack_ns: int) -> None:
    """By how much the kernel may delay the calling thread's timers to serve several at once; 0 for its default.

    Needs no rights. A SCHED_FIFO thread has none anyway.
    """
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(slack_ns), 0, 0, 0)


def timer_slack_ns() -> int:
    """What ``set_timer_slack`` has set."""
    return int(ctypes.CDLL(None).prctl(_PR_GET_TIMERSLACK, 0, 0, 0, 0))
