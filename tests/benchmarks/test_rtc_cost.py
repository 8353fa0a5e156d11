"""The cost of continuing a chunk is measured on two files of one policy."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from benchmarks.rtc_cost import measured
from vla_runtime.learn.checkpoint import Checkpoint

from ..learn.flows import SIZES, flow_policy, flow_spec


def test_both_files_are_run_and_agree_where_nothing_is_held() -> None:
    figures = measured(Checkpoint(flow_spec(), flow_policy(), SIZES, architecture="flow"), calls=4)
    assert figures["same_bits_with_nothing_held"] is True
    assert figures["calls"] == 4
    assert figures["ratio"] == pytest.approx(figures["continuing_us"] / figures["naive_us"])
    assert min(figures["continuing_us"], figures["naive_us"]) > 0
