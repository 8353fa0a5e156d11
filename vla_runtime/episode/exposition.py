"""A run's counts in Prometheus's text format (version 0.0.4). docs/metrics.md has the table.

Durations are histograms, in seconds, so that any scrape interval and any quantile can be asked of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vla_runtime.control.histogram import Histogram
from vla_runtime.control.mode import Mode
from vla_runtime.episode.meter import Meter

__all__ = ["CONTENT_TYPE", "exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_NS = 1e-9
_DECADES, _MANTISSAS = range(4, 10), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
_BOUNDS_NS = (*(round(mantissa * 10**decade) for decade in _DECADES for mantissa in _MANTISSAS), 10**10)
"""10 µs to 10 s."""

_DURATIONS = {
    "lateness": ("vla_lateness_seconds", "How late ticks began, after their deadline."),
    "tick": ("vla_tick_seconds", "From a tick's beginning to its command being handed over."),
    "capture_to_chunk": ("vla_capture_to_chunk_seconds", "From a chunk's oldest image to the tick that accepted it."),
    "chunk_to_use": ("vla_chunk_to_use_seconds", "From a chunk's sending to the first command that followed it."),
    "command_age": ("vla_command_age_seconds", "Age of the command that the robot's device stepped under."),
    "state_age": ("vla_state_age_seconds", "Age of the newest state in each tick."),
    "plan_age": ("vla_plan_age_seconds", "Age of the oldest image behind the followed plan in each tick."),
}

_Labels = Mapping[str, str]


def exposition(meter: Meter, log_dropped: int) -> bytes:
    """All metrics of ``meter.run``."""
    run = meter.run
    mode_s = {name: ns * _NS for name, ns in run.mode_ns.items()}
    lines = [
        *_metric("vla_run_info", "gauge", "What runs; always 1.", [(meter.info, 1)]),
        *_metric("vla_episode", "gauge", "Number of the episode in this run, from 0; -1 before it.",
                 [({}, meter.episode)]),
        *_metric("vla_mode", "gauge", "1 for the mode that the loop is in, 0 for the others.",
                 [({"mode": mode.value}, int(mode.value == meter.mode)) for mode in Mode]),
        *_metric("vla_mode_seconds_total", "counter", "Time spent in each mode.",
                 [({"mode": mode.value}, mode_s.get(mode.value, 0.0)) for mode in Mode]),
        *_metric("vla_ticks_total", "counter", "Passes of the control loop.", [({}, run.ticks)]),
        *_metric("vla_overruns_total", "counter", "Ticks that outlasted their period.", [({}, run.overruns)]),
        *_metric("vla_starved_ticks_total", "counter", "Ticks that no row of a plan covered.",
                 [({}, run.starved_ticks)]),
        *_metric("vla_chunks_used_total", "counter", "Chunks accepted.", [({}, run.chunks_used)]),
        *_metric("vla_chunks_refused_total", "counter", "Chunks refused, by reason.",
                 [({"reason": reason}, count) for reason, count in sorted(run.chunks_refused.items())]),
        *_metric("vla_interventions_total", "counter", "Commands that a safety rule changed for a joint.",
                 [({"rule": who.rule, "joint": who.joint}, count)
                  for who, count in sorted(run.interventions.items(), key=lambda item: (item[0].rule, item[0].joint))]),
        *_metric("vla_planner_restarts_total", "counter", "Planner processes started after the first.",
                 [({}, meter.planner_restarts)]),
        *_metric("vla_log_dropped_total", "counter", "Records that are not in the logs.", [({}, log_dropped)]),
    ]  # fmt: skip
    for name, histogram in run.durations.named():
        lines += _histogram(*_DURATIONS[name], histogram)
    return ("\n".join(lines) + "\n").encode()


def _metric(name: str, kind: str, about: str, samples: Iterable[tuple[_Labels, float]]) -> list[str]:
    head = [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
    return head + [f"{name}{_braced(labels)} {value!r}" for labels, value in samples]


def _histogram(name: str, about: str, histogram: Histogram) -> list[str]:
    count = histogram.count
    samples = [
        f'{name}_bucket{{le="{bound * _NS:.10g}"}} {below}'
        for bound, below in zip(_BOUNDS_NS, histogram.cumulative(_BOUNDS_NS), strict=True)
    ]
    samples += [f'{name}_bucket{{le="+Inf"}} {count}', f"{name}_sum {histogram.total() * _NS!r}"]
    return [f"# HELP {name} {about}", f"# TYPE {name} histogram", *samples, f"{name}_count {count}"]


def _braced(labels: _Labels) -> str:
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
