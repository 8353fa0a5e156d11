"""Signals to each process of a run."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import psutil

from ..demands import DeadMan, Ends, Holds, Row, RunsOn, Trial
from ..evidence import Evidence
from ..run import Run
from ..setting import CHUNK_S, Setting, Times

__all__ = ["rows"]


def _send(process: str, *numbers: int) -> Callable[[Run], None]:
    def act(run: Run) -> None:
        found: psutil.Process = getattr(run, process)
        for number in numbers:
            found.send_signal(number)

    return act


def _pauses(process: str, seconds: float) -> Callable[[Run], None]:
    def act(run: Run) -> None:
        found: psutil.Process = getattr(run, process)
        found.suspend()
        time.sleep(seconds)
        found.resume()

    return act


def _pulses(process: str, number: int) -> Callable[[Run], None]:
    def act(run: Run) -> None:
        found: psutil.Process = getattr(run, process)
        found.send_signal(number)
        time.sleep(0.05)  # two that wait together are one
        found.send_signal(number)

    return act


def _whole_log(trial: Trial, evidence: Evidence) -> str:
    whole = evidence.episode is not None and not evidence.episode.truncated
    return "" if whole else "the log lacks its end"


def rows(times: Times) -> list[Row]:
    local = Setting(apart=False)
    margin = times.margin
    tick = 2 * times.period + margin
    stopped = times.settle + times.brake + tick
    restarted = times.planner_start + margin
    gap = times.dead_man
    struck = times.dead_man + times.device_period + margin

    def row(name: str, text: str, inject: Callable[[Run], None], demand: object, **more: object) -> Row:
        return Row(name, "processes", text, inject, demand, more.pop("setting", local), **more)  # type: ignore[arg-type]

    interrupted = Ends("stopped", 130, "SIGINT", stopped, times.brake, 2)
    terminated = Ends("stopped", 130, "SIGTERM", stopped, times.brake, 2)
    return [
        row("planner-sigint", "SIGINT to the planner", _send("planner", signal.SIGINT), RunsOn(gap)),
        row("recorder-sigint", "SIGINT and SIGTERM to the recorder",
            _send("recorder", signal.SIGINT, signal.SIGTERM), RunsOn(gap)),
        row("host-sigint", "SIGINT to the host that `vla-run` started", _send("host", signal.SIGINT), RunsOn(gap)),
        row("planner-pause", "the planner stands still for 0.2 s", _pauses("planner", 0.2), RunsOn(gap)),
        row("control-pause-short", "`vla-run` stands still for less than the dead man's time",
            _pauses("control", 0.4 * times.dead_man), RunsOn(times.dead_man)),
        row("planner-sigkill", "SIGKILL to the planner", _send("planner", signal.SIGKILL),
            Holds(tick, restarted, times.brake, "planner.*SIGKILL"), quick=True, fresh=True),
        row("planner-sigterm", "SIGTERM to the planner", _send("planner", signal.SIGTERM),
            Holds(tick, restarted + 0.25, times.brake, "planner")),
        row("planner-sigstop", "SIGSTOP to the planner, for good", _send("planner", signal.SIGSTOP),
            Holds(min(CHUNK_S, times.heartbeat) + margin, times.hang + restarted, times.brake), quick=True, fresh=True),
        row("control-sigint", "SIGINT to `vla-run`", _send("control", signal.SIGINT), interrupted, fresh=True),
        row("control-ctrl-c", "Ctrl-C in the terminal: SIGINT to every process",
            lambda run: run.signal_group(signal.SIGINT), interrupted, quick=True, also=_whole_log),
        row("terminal-closed", "the terminal is closed: SIGHUP to every process",
            lambda run: run.signal_group(signal.SIGHUP),
            Ends("stopped", 130, "SIGHUP", stopped, times.brake, 2), quick=True, also=_whole_log),
        row("control-sigterm", "SIGTERM to `vla-run`", _send("control", signal.SIGTERM), terminated),
        row("control-sigterm-twice", "SIGTERM to `vla-run`, twice", _pulses("control", signal.SIGTERM), terminated),
        row("control-sigint-twice", "SIGINT to `vla-run`, twice", _pulses("control", signal.SIGINT),
            Ends("faulted", 130, "SIGINT", tick + 0.05, times.brake, 0), quick=True),
        row("control-sigkill", "SIGKILL to `vla-run`", _send("control", signal.SIGKILL),
            DeadMan(struck, times.brake), quick=True),
        row("control-sigkill-host-apart", "SIGKILL to `vla-run`, the host started by itself",
            _send("control", signal.SIGKILL), DeadMan(struck, times.brake), setting=Setting()),
        row("control-sigstop", "`vla-run` stands still for 1 s (SIGSTOP)", _send("control", signal.SIGSTOP),
            DeadMan(struck, times.brake, 3, "no command for|stood still", lasts_s=0.75),
            restore=_send("control", signal.SIGCONT), quick=True),
        row("host-sigterm", "SIGTERM to the host", _send("host", signal.SIGTERM),
            Ends("faulted", 3, "shutting down", tick + times.brake, times.brake, 2)),
        row("host-sighup", "SIGHUP to a host that was started by itself", _send("host", signal.SIGHUP),
            Ends("faulted", 3, "shutting down", tick + times.brake, times.brake, 2), setting=Setting()),
        row("host-sigkill", "SIGKILL to the host", _send("host", signal.SIGKILL),
            Ends("faulted", 3, "host was killed by SIGKILL", tick + 0.02, times.brake, None)),
        row("host-sigkill-apart", "SIGKILL to a host that was started by itself", _send("host", signal.SIGKILL),
            Ends("faulted", 3, "state is", times.state + tick, times.brake, None), setting=Setting()),
        row("host-sigstop", "SIGSTOP to the host", _send("host", signal.SIGSTOP),
            Ends("faulted", 3, "state is", times.state + tick, times.brake, None, ended_s=15.0)),
    ]  # fmt: skip
