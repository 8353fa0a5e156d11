"""The runs: contestants in turns, there and back again, so that what the machine does meanwhile hits all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.contestants import Contestant
from benchmarks.peers.drivers.fake import Setting
from benchmarks.peers.launch import Failed, launch
from benchmarks.peers.metrics import figures, first_ns, read, window
from benchmarks.peers.scenarios import Scenario

__all__ = ["costs", "medians", "meet", "turns"]

_SETTLE_S = 1.5
_START_LIMIT_S = 90.0

Run = dict[str, Any]


def turns(names: Sequence[str], repeats: int) -> Iterator[tuple[int, str]]:
    """(repeat, name); every other repeat runs backwards."""
    for repeat in range(repeats):
        yield from ((repeat, name) for name in (names if repeat % 2 == 0 else list(reversed(names))))


def meet(contestants: Sequence[Contestant], scenario: Scenario, policy: Path, seconds: float, repeats: int,
         folder: Path, say: Callable[[str], None]) -> list[Run]:  # fmt: skip
    """One record a run: contestant, scenario, repeat, and its figures or the error that ended it."""
    found: list[Run] = []
    known = {contestant.name: contestant for contestant in contestants}
    broken: set[str] = set()
    for repeat, name in turns(list(known), repeats):
        if name in broken:
            continue
        setting = Setting(scenario.rate_hz, seconds + _SETTLE_S, str(policy), scenario.delay_ms, scenario.jitter_ms,
                          repeat, str(folder / "commands.npz"), str(folder / "calls"))  # fmt: skip
        run: Run = {"contestant": name, "scenario": scenario.name, "repeat": repeat}
        try:
            run |= _run(known[name], setting, seconds, folder)
            say(f"{scenario.name} {repeat + 1}/{repeats} {name}: behind {run['behind_ms']:.1f} ms, "
                f"lag {run['lag_ms']:.1f} ms, seam {run['seam_mrad']['p50']:.1f} mrad")  # fmt: skip
        except (Failed, ValueError, OSError) as error:
            broken.add(name)
            run["error"] = str(error)
            say(f"{scenario.name} {repeat + 1}/{repeats} {name} failed: {error}")
        found.append(run)
    return found


def _run(contestant: Contestant, setting: Setting, seconds: float, folder: Path) -> Run:
    _clear(folder)
    done = launch(*_start(contestant, setting, folder), setting.seconds + _START_LIMIT_S)
    log = read(Path(setting.commands), Path(setting.calls))
    start_s = (first_ns(log) - done.started_ns) / 1e9
    return {"start_s": start_s, "pss_mb": done.pss_mb} | figures(window(log, seconds), setting.period_s)


def costs(contestants: Sequence[Contestant], policy: Path, repeats: int, folder: Path,
          say: Callable[[str], None]) -> dict[str, Run]:  # fmt: skip
    """What a step of each costs, the median of ``repeats`` processes in turns; and the versions that each runs."""
    found: dict[str, list[Run]] = {contestant.name: [] for contestant in contestants}
    known = {contestant.name: contestant for contestant in contestants}
    failed: dict[str, Run] = {}
    setting = Setting(50.0, 0.0, str(policy), 0.0, 0.0, 0, "", "", cost_only=True)
    for _, name in turns(list(known), repeats):
        try:
            _clear(folder)
            found[name].append(json.loads(launch(*_start(known[name], setting, folder), _START_LIMIT_S).last_line))
        except (Failed, ValueError, OSError) as error:
            failed[name] = {"error": str(error)}
            say(f"cost of {name} failed: {error}")
    for name, reports in found.items():
        if reports and name not in failed:
            say(f"cost of {name}: {np.median([one['step_us']['p50'] for one in reports]):.2f} µs a step")
    return failed | {name: medians(reports) for name, reports in found.items() if reports and name not in failed}


def medians(runs: Sequence[Run]) -> Run:
    """Each figure's median over ``runs``; what is no number is the first run's."""
    found: Run = {}
    for key, value in runs[0].items():
        own = [run[key] for run in runs]
        if isinstance(value, dict):
            found[key] = medians(own)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found[key] = float(np.median(own))
        else:
            found[key] = value
    return found


def _start(contestant: Contestant, setting: Setting, folder: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    start = contestant.start(setting, folder)
    return start.command, dict(start.environment)


def _clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
