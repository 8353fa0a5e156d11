"""The mode table, whole, against a second writing of it; and what the machine makes of it."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_runtime.control.cause import Cause, Stop
from vla_runtime.control.machine import ModeMachine
from vla_runtime.control.mode import COMMANDING, FINAL, Event, Mode, next_mode
from vla_runtime.core.protocols import StopCategory

# One column an event, in the order of this line; "." where the mode stays.
COLUMNS = "fault refuse stop hold_timeout settled start aligned starved plan reset"
EXPECTED = """
idle      faulted  stopped  stopped   stopped   .        aligning  .        .        .        .
aligning  faulted  stopped  stopping  stopping  .        .         running  .        .        .
running   faulted  .        stopping  .         .        .         .        holding  .        .
holding   faulted  .        stopping  stopping  .        .         .        .        running  .
stopping  faulted  .        .         .         stopped  .         .        .        .        .
stopped   .        .        .         .         .        .         .        .        .        idle
faulted   .        .        .         .         .        .         .        .        .        idle
"""
TABLE = {
    (row.split()[0], event): row.split()[0] if after == "." else after
    for row in EXPECTED.strip().splitlines()
    for event, after in zip(COLUMNS.split(), row.split()[1:], strict=True)
}
EVENTS = st.lists(st.sampled_from(list(Event)), max_size=30)


def cause(event: Event) -> Cause:
    return Cause("done", event.value)


def test_every_mode_and_every_event_is_in_the_expected_table() -> None:
    assert set(TABLE) == {(mode.value, event.value) for mode, event in product(Mode, Event)}
    assert len(TABLE) == 70


@pytest.mark.parametrize(("mode", "event"), list(product(Mode, Event)))
def test_every_event_in_every_mode_leads_where_it_must(mode: Mode, event: Event) -> None:
    assert next_mode(mode, event).value == TABLE[mode.value, event.value]


def test_events_are_ranked_from_the_gravest() -> None:
    assert [event.value for event in Event] == COLUMNS.split()


def test_commands_are_sent_in_four_modes_and_two_are_final() -> None:
    assert {mode.value for mode in COMMANDING} == {"aligning", "running", "holding", "stopping"}
    assert {mode.value for mode in FINAL} == {"stopped", "faulted"}


@pytest.mark.parametrize("mode", list(Mode))
def test_a_fault_ends_the_run_from_every_mode(mode: Mode) -> None:
    assert next_mode(mode, Event.FAULT) in FINAL


@pytest.mark.parametrize("mode", list(Mode))
def test_a_stop_ends_the_run_from_every_mode_once_it_is_at_rest(mode: Mode) -> None:
    after = next_mode(mode, Event.STOP)
    assert after in FINAL | {Mode.STOPPING}
    assert next_mode(after, Event.SETTLED) in FINAL


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(FINAL)), EVENTS)
def test_only_a_reset_leaves_a_final_mode(mode: Mode, events: list[Event]) -> None:
    for event in events:
        after = next_mode(mode, event)
        assert after is (Mode.IDLE if event is Event.RESET else mode)


@settings(max_examples=200, deadline=None)
@given(EVENTS)
def test_once_stopping_nothing_moves_the_robot_again(events: list[Event]) -> None:
    mode = Mode.STOPPING
    for event in events:
        if event is not Event.RESET:
            mode = next_mode(mode, event)
        assert mode in (Mode.STOPPING, Mode.STOPPED, Mode.FAULTED)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1000), EVENTS), max_size=40))
def test_the_time_spent_in_all_modes_is_the_time_that_has_passed(ticks: list[tuple[int, list[Event]]]) -> None:
    machine = ModeMachine(5)
    now, spent = 5, dict.fromkeys([mode.value for mode in Mode], 0)
    for gap, events in ticks:
        now += gap
        spent[machine.mode.value] += gap
        before = machine.mode
        changed = machine.update(now, [(event, cause(event)) for event in events])
        assert changed is (machine.mode is not before)
        if changed:
            assert machine.entered_ns == now
    assert {mode: machine.spent_ns[mode] for mode in spent} == spent
    assert sum(machine.spent_ns.values()) == now - 5


@settings(max_examples=300, deadline=None)
@given(st.lists(EVENTS, max_size=20))
def test_the_first_event_with_an_effect_wins_and_only_that_one_acts(ticks: list[list[Event]]) -> None:
    machine = ModeMachine(0)
    for now, events in enumerate(ticks):
        before, why = machine.mode, machine.cause
        machine.update(now, [(event, cause(event)) for event in events])
        acting = [event for event in events if TABLE[before.value, event.value] != before.value]
        if not acting:
            assert (machine.mode, machine.cause) == (before, why)
        else:
            assert machine.mode.value == TABLE[before.value, acting[0].value]
            assert machine.cause == (why if acting[0] is Event.SETTLED else cause(acting[0]))


def test_the_cause_of_the_end_is_the_cause_of_the_stop() -> None:
    machine = ModeMachine(0)
    machine.update(1, [(Event.START, Cause("done", "state"))])
    machine.update(2, [(Event.STOP, Cause("interrupted", "SIGINT"))])
    machine.update(3, [(Event.STOP, Cause("done", "again"))])
    assert (machine.mode, machine.cause) == (Mode.STOPPING, Cause("interrupted", "SIGINT"))
    machine.update(4, [(Event.SETTLED, Cause("done", "at rest"))])
    assert (machine.mode, machine.cause) == (Mode.STOPPED, Cause("interrupted", "SIGINT"))
    machine.update(5, [(Event.FAULT, Cause("fault", "late"))])
    assert (machine.mode, machine.cause) == (Mode.STOPPED, Cause("interrupted", "SIGINT"))
    assert machine.over


def test_a_fault_while_stopping_becomes_the_cause() -> None:
    machine = ModeMachine(0)
    machine.update(1, [(Event.START, Cause("done", "state"))])
    machine.update(2, [(Event.STOP, Cause("done", "enough"))])
    machine.update(3, [(Event.FAULT, Cause("fault", "silent"))])
    assert (machine.mode, machine.cause) == (Mode.FAULTED, Cause("fault", "silent"))


@pytest.mark.parametrize("mode", list(Mode))
def test_what_a_mode_permits(mode: Mode) -> None:
    machine = ModeMachine(0)
    machine.mode = mode
    assert machine.moves is (mode.value in {"aligning", "running", "holding", "stopping"})
    assert machine.plans is (mode.value in {"idle", "aligning", "running", "holding"})
    assert machine.follows is (mode.value in {"aligning", "running"})
    assert machine.over is (mode.value in {"stopped", "faulted"})


def test_stop_categories() -> None:
    machine = ModeMachine(0)
    emergency, gentle = Stop("interrupted", "SIGINT twice", emergency=True), Stop("interrupted", "SIGINT")
    for mode, stop, category in [
        (Mode.STOPPED, None, 2),
        (Mode.STOPPED, gentle, 2),
        (Mode.FAULTED, None, 1),
        (Mode.FAULTED, gentle, 1),
        (Mode.FAULTED, emergency, 0),
        (Mode.STOPPED, emergency, 0),
    ]:
        machine.mode = mode
        assert machine.stop_category(stop) is StopCategory(category)


@given(st.sampled_from(["done", "refused", "fault", "interrupted"]), st.text(), st.booleans())
def test_a_stop_survives_its_line_in_the_log(kind, text: str, emergency: bool) -> None:
    stop = Stop(kind, text, emergency)
    assert Stop.parse(str(stop)) == stop


def test_an_empty_line_is_no_stop() -> None:
    assert Stop.parse("") is None
