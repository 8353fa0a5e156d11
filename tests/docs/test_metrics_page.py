"""docs/metrics.md names exactly the numbers that are printed, logged and served."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from vla_runtime.control.metrics import Durations
from vla_runtime.core.types import ActionChunk, Intervention, PlannerStatus, Tick
from vla_runtime.episode.exposition import exposition
from vla_runtime.episode.meter import Meter
from vla_runtime.episode.metrics import Counted, MetricsPayload

from .markdown import ROOT, blocks, run
from .test_json import documented

PAGE = ROOT / "docs" / "metrics.md"
TABLE = [
    [cell.strip().strip("`") for cell in line.strip("|").split("|")]
    for line in PAGE.read_text().splitlines()
    if line.startswith("| ") and "---" not in line
][1:]
PRINTED, LOGGED, SERVED = ({row[column] for row in TABLE} - {""} for column in range(3))


def test_every_number_that_is_logged_is_in_the_table() -> None:
    of_the_record = set(MetricsPayload.__struct_fields__) - {"tick", "now_ns", "second", "run"}
    assert {*Counted.__struct_fields__, *of_the_record} == LOGGED


def test_every_number_of_the_table_is_printed_and_every_duration_that_is_printed_is_in_it() -> None:
    keys = {key.partition(".<")[0] for key in documented("vla-run")}
    spreads = {key.removesuffix(".p999") for key in keys if key.endswith(".p999")}
    assert spreads | keys >= PRINTED
    assert spreads <= PRINTED
    assert len(spreads) == len(Durations.__slots__)


def test_every_number_that_is_served_is_in_the_table_with_its_labels() -> None:
    meter = Meter()
    meter.begin({"config": json.dumps({"name": "arm", "control": {"rate_hz": 100}})})
    refused = ActionChunk(None, 0, 0, 0, 0, "")  # type: ignore[arg-type]
    meter.take([], [(refused, "past: late")], Tick(0, 5, "running", "", "", 0, PlannerStatus(True), 0, 0, None, None,
                                                   (Intervention("step", "base"),), 0, 0))  # fmt: skip
    meter.payload(0)
    found = set()
    for family in text_string_to_metric_families(exposition(meter, 0).decode()):
        labels = [label for label in family.samples[0].labels if label != "le"]
        name = family.name + ("_total" if family.type == "counter" else "")
        found.add(f"{name}{{{','.join(labels)}}}" if labels else name)
    assert found == SERVED


def test_the_code_that_reads_metrics_prints_every_record(tmp_path: Path) -> None:
    report = json.loads(run("vla-run --robot tracker --episodes 1 --json", tmp_path).stdout)
    (tmp_path / report["log"]).rename(tmp_path / "episode.mcap")
    (tmp_path / "read.py").write_text(blocks(PAGE, "python")[0].text)
    lines = run("python read.py", tmp_path).stdout.splitlines()
    assert lines
    assert sum(int(line.split()[1]) for line in lines) == report["ticks"]


def test_the_yaml_of_the_page_is_a_valid_section() -> None:
    import yaml

    from vla_runtime.app.config import MetricsConfig

    (block,) = blocks(PAGE, "yaml")
    config = msgspec.convert(yaml.safe_load(block.text)["metrics"], MetricsConfig)
    assert re.search(rf"http://{config.address}:{config.port}/metrics", PAGE.read_text())


@pytest.mark.parametrize("name", ["_MOST_CLIENTS", "_PATIENCE_S"])
def test_the_limits_of_the_page_are_the_documented_ones(name: str) -> None:
    from vla_runtime.episode import scrape

    text = " ".join(PAGE.read_text().split())
    said = {"_MOST_CLIENTS": "more than {:g} at once", "_PATIENCE_S": "cut off after {:g} s"}
    assert said[name].format(getattr(scrape, name)) in text
