"""docs/training.md: its commands run, and it names the keys that are printed."""

from __future__ import annotations

import json
from pathlib import Path

from ..docs.markdown import ROOT, blocks, rows, run, section

PAGE = ROOT / "docs" / "training.md"
TYPES = {"string": str, "int": int, "number": float, "bool": bool, "object": dict, "null": type(None)}


def test_the_commands_run_as_they_stand_and_the_report_has_the_documented_keys(tmp_path: Path) -> None:
    (shown,) = [block.text for block in blocks(PAGE, "bash") if block.info == "run"]
    run(shown, tmp_path)
    assert (tmp_path / "track.onnx").is_file()
    done = run("vla-train bc --data demonstrations --out again.pt --steps 2 --batch-size 4 --json", tmp_path)
    report = json.loads(done.stdout)
    documented = {key: kind for key, kind, _ in rows(section(PAGE, "## The report"))}
    assert set(report) == set(documented)
    for key, value in report.items():
        assert type(value) in [TYPES[name] for name in documented[key].split(" or ")], key
