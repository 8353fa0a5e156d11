"""The campaign against the limits, in small."""

import json
from pathlib import Path

from tests.soak.limits import main


def test_a_small_campaign_finds_no_violation_and_goes_everywhere(tmp_path: Path) -> None:
    out = tmp_path / "limits.json"
    assert main(["--ticks", "60000", "--workers", "1", "--out", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert figures["ticks"] >= 60_000
    assert figures["violations"] == {}
    loop = figures["parts"]["loop"]
    assert {name for name in loop if name.startswith("mode ")} >= {
        "mode aligning", "mode running", "mode holding", "mode stopping", "mode stopped",
    }  # fmt: skip
    assert figures["parts"]["chain"]["interventions"] > 1_000
