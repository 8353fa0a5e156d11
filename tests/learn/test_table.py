"""A table has each step once, whatever a kill has left of it."""

from __future__ import annotations

from pathlib import Path

from vla_runtime.learn.runs.table import Table


def test_steps_after_the_last_one_and_a_line_cut_short_are_removed(tmp_path: Path) -> None:
    path = tmp_path / "progress.csv"
    path.write_text("step,loss\n9,0.5\n10,0.25\n11,0.125\n1")
    table = Table(path, 10)
    table.append(11, {"loss": 0.2})
    table.close()
    assert path.read_text() == "step,loss\n9,0.5\n10,0.25\n11,0.2\n"


def test_a_figure_that_comes_later_gets_a_column(tmp_path: Path) -> None:
    table = Table(tmp_path / "progress.csv", 0)
    table.append(1, {"loss": 0.5})
    table.append(2, {"loss": 0.25, "success": 1.0})
    table.append(3, {"success": 0.5})
    table.sync()
    table.close()
    assert (tmp_path / "progress.csv").read_text() == "step,loss,success\n1,0.5,\n2,0.25,1.0\n3,,0.5\n"


def test_numbers_keep_all_their_digits(tmp_path: Path) -> None:
    table = Table(tmp_path / "progress.csv", 0)
    table.append(1, {"loss": 0.1 + 0.2})
    table.close()
    assert float((tmp_path / "progress.csv").read_text().split(",")[-1]) == 0.1 + 0.2
