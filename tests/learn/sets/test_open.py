"""Which kind of data set a directory is, and the options that hold for all."""

from __future__ import annotations

from pathlib import Path

import pytest

from vla_runtime.core.errors import ConfigError, LogError
from vla_runtime.learn.sets.open import kind_of, open_set


@pytest.mark.parametrize(
    ("kind", "expected"), [("v2.1", "LeRobot v2.1"), ("v3.0", "LeRobot v3.0"), ("openx", "Open X-Embodiment")]
)
def test_a_kind_is_told_by_its_files(kind: str, expected: str, made: dict[str, Path]) -> None:
    assert kind_of(made[kind]) == expected


def test_what_is_no_data_set_is_refused_with_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"looked for meta/info.json \(LeRobot\), for meta.json with episode.memmap"):
        open_set(tmp_path)
    with pytest.raises(LogError, match="is no directory"):
        open_set(tmp_path / "nothing")


def test_episodes_of_this_runtime_are_recognised_as_such(tmp_path: Path) -> None:
    (tmp_path / "a.mcap").write_bytes(b"")
    with pytest.raises(LogError, match="those are this runtime's own episodes"):
        open_set(tmp_path)


@pytest.mark.parametrize("options", [
    {"chunk_length": 0},
    {"units": "deg"},
    {"size": (0, 10)},
    {"rate_hz": float("nan")},
    {"rate_hz": -1.0},
])  # fmt: skip
def test_an_option_out_of_its_range_is_refused(options: dict[str, object], made: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        open_set(made["v2.1"], **options)
