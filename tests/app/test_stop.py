"""The switch that ends a run from outside."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from vla_runtime.app.stop import StopSwitch


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Whatever a test does to a signal is undone."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_signal_that_ends_a_program_asks_for_a_controlled_stop(number: signal.Signals) -> None:
    switch = StopSwitch()
    switch.armed = True
    with switch.signals():
        os.kill(os.getpid(), number)
        stop = switch.poll()
    assert stop is not None
    assert (stop.kind, stop.text, stop.emergency) == ("interrupted", number.name, False)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGHUP])
def test_only_a_second_sigint_is_an_emergency(second: signal.Signals) -> None:
    switch = StopSwitch()
    switch.armed = True
    with switch.signals():
        for number in (signal.SIGINT, second):
            os.kill(os.getpid(), number)
        stop = switch.poll()
        assert stop is not None
        assert not stop.emergency
        os.kill(os.getpid(), signal.SIGINT)
        stop = switch.poll()
    assert stop is not None
    assert stop.emergency


def test_a_run_under_nohup_outlives_its_terminal() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    switch = StopSwitch()
    switch.armed = True
    with switch.signals():
        os.kill(os.getpid(), signal.SIGHUP)
        assert switch.poll() is None
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_the_handlers_from_before_are_back_afterwards() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with StopSwitch().signals():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
