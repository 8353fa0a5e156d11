"""The benchmark of the control loop: its arithmetic on made-up blocks, and one short run of the whole."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.loop.block import Block, pool
from benchmarks.loop.plot import plot
from benchmarks.loop.ratios import compare
from benchmarks.loop.rounds import interleaved

ROOT = Path(__file__).parents[2]
PERIOD = 1000
lateness = st.lists(st.integers(0, 4 * PERIOD), min_size=1, max_size=30)


def block(late: list[int], skipped: int = 0) -> Block:
    return Block(np.array(late), len(late) + skipped, np.zeros(0, dtype=np.int64))


@given(lateness, st.integers(0, 5))
def test_a_deadline_is_met_or_missed(late, skipped):
    met = sum(value < PERIOD for value in late)
    assert block(late, skipped).missed(PERIOD) == len(late) + skipped - met


@given(st.lists(lateness, min_size=1, max_size=4))
def test_pooling_loses_no_sample(blocks):
    pooled = pool([block(late) for late in blocks], PERIOD)
    assert sorted(pooled.late.tolist()) == sorted(value for late in blocks for value in late)
    assert pooled.deadlines == sum(map(len, blocks))


def test_an_arm_is_as_good_as_itself():
    blocks = [block([10, 20, 3000]), block([15, 25, 35], skipped=1)]
    assert all(row == {"ratio": 1.0, "low": 1.0, "high": 1.0} for row in compare(blocks, blocks, PERIOD).values())


def test_twice_as_late_is_a_ratio_of_two():
    ours, other = [block([20, 40, 60])] * 3, [block([10, 20, 30])] * 3
    found = compare(ours, other, PERIOD)
    assert found["p50"] == {"ratio": 2.0, "low": 2.0, "high": 2.0}
    assert found["misses"]["ratio"] == 1.0


def test_misses_of_ours_alone_have_no_ratio():
    assert compare([block([5000])] * 2, [block([1])] * 2, PERIOD)["misses"]["ratio"] is None


def test_every_other_round_runs_backwards():
    order = []
    arms = {name: lambda name=name: order.append(name) or block([1]) for name in "abc"}
    blocks = interleaved(arms, 3, "")
    assert "".join(order) == "abccbaabc"
    assert [len(own) for own in blocks.values()] == [3, 3, 3]


def test_the_plot_has_a_curve_for_each_arm_of_each_panel():
    blocks = {"c": [block([1, 2])], "ours": [block([3, 4])]}
    tree = ElementTree.fromstring(plot({"quiet": blocks, "loaded": blocks}))
    assert len(tree.findall(".//{http://www.w3.org/2000/svg}polyline")) == 4


@pytest.mark.timeout(180)
def test_a_quick_run_leaves_every_figure(tmp_path):
    command = [sys.executable, "-m", "benchmarks.loop", "--quick", "--json", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if shutil.which("cc") is None:
        assert "no C compiler" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == json.loads((tmp_path / "loop.json").read_text())
    assert found["chunks"] > 0
    assert found["log_dropped"] == 0
    assert set(found["quiet"]) == {"c", "ours", "ours_unlogged", "ours_over_c", "logged_over_unlogged"}
    assert set(found["policy"]) == {"c", "ours", "ours_over_c"}
    for load in ("quiet", "policy"):
        for arm in ("c", "ours"):
            figures = found[load][arm]
            assert figures["deadlines"] >= 400
            assert figures["samples"] + figures["skipped"] == figures["deadlines"]
            assert list(figures["late_us"].values()) == sorted(figures["late_us"].values())
        assert set(found[load]["ours"]["tick_us"]) == {"p50", "p99", "p99_9"}
        assert 0 < found[load]["ours"]["to_command_us"]["p50"] <= found[load]["ours"]["tick_us"]["p99_9"]
        assert found[load]["ours"]["collections"] == 0
        assert set(found[load]["ours_over_c"]) == {"p50", "p99", "p99_9", "misses"}
    ElementTree.fromstring((tmp_path / "loop.svg").read_text())
