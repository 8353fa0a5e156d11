"""From the log of a run's commands to its figures. Nothing here knows who sent them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.peers.drivers import fake

__all__ = ["Log", "figures", "first_ns", "read", "timing", "tracking", "window"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
_SETTLE_NS = 1_000_000_000
_BORDER_TICKS = 4
_BLEND_S = 0.3
_ENDS = 5
_LEAST_WAY = 0.005
_LAGS_S = np.arange(-0.1, 1.5, 0.005)


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """``stamps`` i64[N] ns and ``commands`` f64[N, 6]; ``calls`` i64[M, 2], when inferences began and ended."""

    stamps: I64
    commands: F64
    calls: I64
    epoch_ns: int

    @property
    def seconds(self) -> F64:
        """The stamps on the clock of the true motion."""
        return (self.stamps - self.epoch_ns) * 1e-9


def read(commands: Path, calls: Path) -> Log:
    """The two files that a driver leaves."""
    with np.load(commands) as found:
        stamps, values, epoch_ns = found["stamps"], found["commands"], int(found["epoch_ns"])
    raw = calls.read_bytes() if calls.exists() else b""
    ended = np.array(list(fake.CALL.iter_unpack(raw[: len(raw) // fake.CALL.size * fake.CALL.size])), dtype=np.int64)
    return Log(stamps, values, ended.reshape(-1, 2), epoch_ns)


def first_ns(log: Log) -> int:
    """The first command that came from a plan; the first of all where there are no plans."""
    planned = log.stamps if not len(log.calls) else log.stamps[log.stamps >= log.calls[0, 1]]
    if not len(planned):
        raise ValueError("no command came from a plan")
    return int(planned[0])


def window(log: Log, seconds: float) -> Log:
    """``seconds`` of ``log``, from a second after its first planned command."""
    begin = first_ns(log) + _SETTLE_NS
    end = begin + round(seconds * 1e9)
    kept = (log.stamps >= begin) & (log.stamps < end)
    calls = log.calls[(log.calls[:, 1] >= begin) & (log.calls[:, 1] < end)]
    if kept.sum() < 2 * _BORDER_TICKS:
        raise ValueError(f"{kept.sum()} commands in {seconds:g} s are too few to judge")
    return Log(log.stamps[kept], log.commands[kept], calls, log.epoch_ns)


def figures(log: Log, period_s: float) -> dict[str, Any]:
    """The figures of one window; times in ms, angles in mrad. docs/peers.md says what each means."""
    return timing(log, period_s) | tracking(log, period_s)


def timing(log: Log, period_s: float) -> dict[str, Any]:
    """How regular the commands are, and how they go on where a new chunk comes in."""
    gaps_ms = np.diff(log.stamps) / 1e6
    period_ms = period_s * 1e3
    due = (log.stamps[-1] - log.stamps[0]) / 1e6 / period_ms
    missed = np.maximum(np.rint(gaps_ms / period_ms) - 1, 0).sum()
    repeats = (np.diff(log.commands, axis=0) == 0).all(axis=1).sum()
    borders = _borders(log)
    return {
        "commands": len(log.stamps),
        "chunks": len(log.calls),
        "behind_ms": _behind(log.stamps / 1e6, period_ms),
        "drift_ms": float((gaps_ms - np.rint(gaps_ms / period_ms) * period_ms).sum()),
        "period_ms": _spread(gaps_ms),
        "off_period_ms": _spread(np.abs(gaps_ms - period_ms)),
        "starved_ticks": int(missed + repeats),
        "starved_share": float((missed + repeats) / due),
        "stall_ms": _middle_and_most(_at(borders, np.maximum(gaps_ms - period_ms, 0), -1)),
        "seam_mrad": _middle_and_most(_at(borders, _seams(log.commands, period_s), -2) * 1e3),
        "opinion_share": _middle_and_most(opinion_shares(log.commands[:, 5], borders, period_s)),
    }


def tracking(log: Log, period_s: float) -> dict[str, float]:
    """How far behind the true motion the arm is, if each command is held until the next: the lag that explains most of
    the error, the error that it leaves, and the error as it is. And how late the plan's own clock is, at each command.

    Holding takes half a period by itself: that much is taken off the lag.
    """
    t = np.arange(log.seconds[0], log.seconds[-1], 0.001)
    held = log.commands[np.searchsorted(log.seconds, t, side="right") - 1, 1:5]

    def error(lag_s: float, every: int = 1) -> float:
        return float(np.sqrt(((held[::every] - fake.truth(t[::every] - lag_s)[:, 1:]) ** 2).mean()))

    near = min(_LAGS_S, key=lambda lag_s: error(lag_s, 7))
    best = float(min(near + np.arange(-0.006, 0.006, 0.0002), key=error))
    late_ms = (log.seconds - log.commands[:, 0]) * 1e3
    return {
        "lag_ms": (best - period_s / 2) * 1e3,
        "rms_after_lag_mrad": error(best) * 1e3,
        "rms_mrad": error(0.0) * 1e3,
        "clock_late_ms": float(np.median(late_ms)),
        "clock_spread_ms": float(np.quantile(late_ms, 0.99) - np.quantile(late_ms, 0.01)),
    }


def _behind(stamps_ms: F64, period_ms: float) -> float:
    """How far the last commands are behind the rate's own clock, the first being on it; medians of five each."""
    late_ms = stamps_ms - np.arange(len(stamps_ms)) * period_ms
    return float(np.median(late_ms[-_ENDS:]) - np.median(late_ms[:_ENDS]))


def opinion_shares(opinion: F64, borders: I64, period_s: float) -> F64:
    """Of the way from one plan's opinion to the next, the share that is gone in a single tick: 1 is a jump.

    The way is how far the commands move in the 0.3 s from a border on; ways of under 5 mrad are not judged.
    """
    ticks = round(_BLEND_S / period_s)
    shares = []
    for border in borders:
        way = opinion[border - 1 : border + ticks]
        if np.ptp(way) > _LEAST_WAY:
            shares.append(np.abs(np.diff(way)).max() / np.ptp(way))
    return np.array(shares or [0.0])


def _seams(commands: F64, period_s: float) -> F64:
    """f64[N - 2]: how far |c(k) - 2 c(k-1) + c(k-2)| exceeds the most that the true motion has, the worst joint's."""
    own = fake.SWING * (2 * np.pi * fake.HERTZ * period_s) ** 2
    return np.maximum(np.abs(np.diff(commands[:, 1:5], n=2, axis=0)) - own, 0).max(axis=1)


def _borders(log: Log) -> I64:
    """The first command after each inference: where a new chunk comes in, whoever executes it."""
    found = np.searchsorted(log.stamps, log.calls[:, 1])
    return np.unique(found[(found >= 2) & (found < len(log.stamps) - _BORDER_TICKS)])


def _at(borders: I64, values: F64, shift: int) -> F64:
    """The largest of ``values`` in the few ticks from each border on; ``values[k + shift]`` belongs to command k."""
    if not len(borders):
        return np.zeros(1)
    return np.array([values[border + shift : border + shift + _BORDER_TICKS].max() for border in borders])


def _spread(values: F64) -> dict[str, float]:
    p50, p99, p99_9 = np.quantile(values, [0.5, 0.99, 0.999])
    return {"p50": float(p50), "p99": float(p99), "p99_9": float(p99_9)}


def _middle_and_most(values: F64) -> dict[str, float]:
    return {"p50": float(np.median(values)), "max": float(values.max())}
