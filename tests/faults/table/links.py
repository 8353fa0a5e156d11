"""The link between the run and the robot's host."""

from __future__ import annotations

import math
from collections.abc import Callable

from vla_runtime.wire import robot as wire

from ..demands import DeadMan, Ends, Row, RunsOn
from ..relay import Fate, dropped, late, untouched
from ..run import Run
from ..setting import Setting, Times

__all__ = ["rows"]


def _fates(to_host: Fate = untouched, to_run: Fate = untouched) -> Callable[[Run], None]:
    def act(run: Run) -> None:
        assert run.robot is not None
        run.robot.to_host, run.robot.to_run = to_host, to_run

    return act


def _not_finite(data: bytes) -> list[tuple[float, bytes]]:
    message = wire.decode_from_host(data)
    if not isinstance(message, wire.State):
        return [(0.0, data)]
    position = (math.nan, *message.position[1:])
    fields = {name: getattr(message, name) for name in message.__struct_fields__} | {"position": position}
    return [(0.0, wire.encode(wire.State(**fields)))]


def rows(times: Times) -> list[Row]:
    apart = Setting()
    margin = times.margin
    stale = times.state + times.period + margin
    struck = times.dead_man + times.device_period + margin
    restore = _fates()

    def fault(name: str, text: str, to_host: Fate, to_run: Fate, demand: RunsOn | Ends | DeadMan,
              quick: bool = False) -> Row:  # fmt: skip
        return Row(name, "robot link", text, _fates(to_host, to_run), demand, apart, restore, quick)

    faulted = Ends("faulted", 3, r"state is \d+ ms old", stale, times.brake, 1)
    return [
        fault("state-late", "states come late, yet inside their age limit", untouched, late(0.4 * times.state),
              RunsOn(times.dead_man)),
        fault("commands-late", "commands come late, yet before the dead man strikes", late(0.4 * times.dead_man),
              untouched, RunsOn(times.dead_man + 0.4 * times.dead_man)),
        fault("commands-twice", "every command comes twice, once late",
              lambda data: [(0.0, data), (0.015, data)], untouched, RunsOn(times.dead_man)),
        fault("state-too-late", "states come later than their age limit", untouched, late(times.state + 0.1), faulted,
              quick=True),
        fault("state-lost", "one-way loss: no state comes, commands arrive", untouched, dropped, faulted),
        fault("commands-lost", "one-way loss: states come, no command arrives", dropped, untouched,
              DeadMan(struck, times.brake, 3, "no command for"), quick=True),
        fault("link-lost", "the link is lost both ways, then comes back", dropped, dropped,
              DeadMan(struck, times.brake, 3, r"state is \d+ ms old")),
        fault("state-garbage", "states that cannot be decoded", untouched, lambda data: [(0.0, data[:-3])], faulted),
        fault("state-nan", "states with a position that is NaN", untouched, _not_finite, faulted),
    ]  # fmt: skip
