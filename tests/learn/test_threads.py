"""torch's threads: as many as there are cores, and as before afterwards."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from vla_runtime.learn import threads
from vla_runtime.learn.threads import computing_with, physical_cores


def test_hyper_threads_of_one_core_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for cpu, siblings in {0: "0,4", 1: "1,5", 4: "0,4", 5: "1,5"}.items():
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{siblings}\n")
    monkeypatch.setattr(threads, "_CPUS", tmp_path)
    for usable, cores in (({0, 1, 4, 5}, 2), ({0, 4}, 1), ({5}, 1), ({0, 5}, 2), ({0, 1, 9}, 3)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid, usable=usable: usable)
        assert physical_cores() == cores


def fail_with(count: int) -> None:
    with computing_with(count):
        assert torch.get_num_threads() == count
        raise KeyError


def test_the_number_of_threads_is_as_before_whatever_happened() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyError):
        fail_with(3)
    assert torch.get_num_threads() == before
