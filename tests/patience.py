"""Robot configs for tests: a busy test machine is not to be taken for a dead peer."""

from __future__ import annotations

from pathlib import Path

import yaml

__all__ = ["patient"]


def patient(source: Path, target: Path, dead_man_ms: float = 300, **control: object) -> Path:
    """Write the robot config ``source`` with long timeouts to ``target``; ``control`` replaces more of its section."""
    config = yaml.safe_load(source.read_text())
    config["policy"]["file"] = str(source.resolve().parent / config["policy"]["file"])
    config["control"] |= {"state_timeout_ms": 2000, **control}
    if "device" in config:
        config["device"]["dead_man_ms"] = dead_man_ms
    target.write_text(yaml.safe_dump(config))
    return target
