"""The quick rows of the fault campaign, once each, in real processes with long timeouts. ``make soak`` runs all."""

from __future__ import annotations

import pytest

from .campaign import Outcome, run_once
from .setting import PATIENT, QUICK
from .table import all_rows

ROWS = [row for row in all_rows(PATIENT) if row.quick]


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """One after the other, sharing runs: alone, each would need a start of its own."""
    return {outcome.name: outcome for outcome in run_once(ROWS, PATIENT, lambda outcome: None)}


@pytest.mark.parametrize("name", [row.name for row in ROWS])
def test_the_run_reaches_the_state_that_the_table_demands(name: str, outcomes: dict[str, Outcome]) -> None:
    assert outcomes[name].problems == ()


def test_every_row_says_what_must_be_reached_and_how_soon() -> None:
    for row in all_rows(QUICK):
        assert row.fault
        assert row.demand.state()
        assert 0 < row.demand.within() < 10
