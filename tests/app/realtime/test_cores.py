"""Cores are named as the kernel names them, and must exist where the run is to run on them."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_runtime.app.config import CpusConfig, RealtimeConfig
from vla_runtime.app.realtime import check_cores, online_cores
from vla_runtime.app.realtime.cores import listed, where_to_run
from vla_runtime.core.errors import ConfigError

from .. import live

HERE = sorted(os.sched_getaffinity(0))
MISSING = 4095


@given(st.sets(st.integers(0, 4095), max_size=20))
def test_a_list_of_cores_reads_back(cores: set[int]) -> None:
    assert listed(",".join(map(str, sorted(cores))) + "\n") == tuple(sorted(cores))


@pytest.mark.parametrize(("text", "cores"), [("0-3,6", (0, 1, 2, 3, 6)), ("", ()), ("7\n", (7,)), ("1-1", (1,))])
def test_the_kernels_ranges_are_read(text: str, cores: tuple[int, ...]) -> None:
    assert listed(text) == cores


def test_the_cores_that_we_may_use_are_among_those_there_are() -> None:
    assert set(HERE) <= set(online_cores())


@pytest.mark.parametrize("process", ["control", "planner", "recorder", "host"])
def test_a_core_that_does_not_exist_is_refused_with_those_that_do(process: str) -> None:
    config = RealtimeConfig(cpus=CpusConfig(**{process: (HERE[0], MISSING)}))
    with pytest.raises(ConfigError) as caught:
        check_cores(config)
    valid = ", ".join(map(str, online_cores()))
    assert str(caught.value) == f"$.realtime.cpus.{process}: this machine has no core {MISSING}; valid: {valid}"


def test_cores_that_exist_and_a_config_that_asks_for_nothing_are_accepted() -> None:
    check_cores(RealtimeConfig(cpus=CpusConfig(control=(HERE[0],), host=tuple(HERE))))
    check_cores(None)


def test_a_child_that_is_given_no_cores_runs_where_we_ran_at_the_start() -> None:
    config = RealtimeConfig(cpus=CpusConfig(control=(HERE[-1],), planner=(HERE[0],)))
    assert where_to_run(config, "planner") == (HERE[0],)
    assert where_to_run(config, "recorder") == where_to_run(None, "planner") == tuple(HERE)


@pytest.mark.parametrize("command", ["run", "host"])
def test_both_commands_refuse_a_core_that_does_not_exist(command: str, tmp_path) -> None:
    config = live.patient("tracker", tmp_path)
    config.write_text(config.read_text().replace("realtime: {}", f"realtime: {{cpus: {{host: [{MISSING}]}}}}"))
    program = [sys.executable, "-m", f"vla_runtime.cli.{command}"]
    code, report, _ = live.finish(*program, "--robot", config, "--json")
    assert code == 2
    assert report["cause"].startswith(f"$.realtime.cpus.host: this machine has no core {MISSING}; valid: ")
