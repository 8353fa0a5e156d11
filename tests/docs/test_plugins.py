"""The plug-ins of docs/plugins.md are written to files, registered as a package would be, and run."""

from __future__ import annotations

import importlib
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .markdown import ROOT, blocks, run, write_modules

PAGE = ROOT / "docs" / "plugins.md"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that holds the page's package, as installed: modules, entry points, configs and the policy file."""
    directory = tmp_path_factory.mktemp("rail")
    write_modules(PAGE, directory)
    (toml,) = blocks(PAGE, "toml")
    points = re.sub(r'\[project\.entry-points\."(.+)"\]', r"[\1]", toml.text).replace('"', "")
    info = directory / "my_rail-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-rail\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points)
    run("python make_poses.py", directory, directory)
    return directory


@pytest.fixture
def importable(package: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(package))
    importlib.invalidate_caches()
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_rail"]:
        del sys.modules[name]


@pytest.mark.parametrize(("config", "served"), [("rail.yaml", True), ("driver.yaml", False)])
def test_the_documented_robot_runs_to_its_pose_and_its_log_re_executes(
    package: Path, tmp_path: Path, config: str, served: bool
) -> None:
    done = run(f"vla-run --robot {package / config} --duration 2 --json", tmp_path, package)
    report = json.loads(done.stdout.splitlines()[-1])
    assert (report["exit"], report["cause"]) == ("done", "the duration of 2 s is over")
    assert report["chunks"]["used"] > 2
    assert report["mode_ns"]["running"] > 1e9
    assert (report["host"] is not None) == served
    checked = run(f"vla-replay {report['log']} --check --json", tmp_path, package)
    assert json.loads(checked.stdout.splitlines()[-1])["identical"]


def test_an_unknown_option_of_a_documented_plug_in_is_refused(package: Path, tmp_path: Path) -> None:
    config = tmp_path / "rail.yaml"
    config.write_text((package / "rail.yaml").read_text().replace("rate_hz: 100}}", "speed: 3}}"))
    (tmp_path / "poses.json").write_bytes((package / "poses.json").read_bytes())
    done = run(f"vla-run --robot {config} --duration 1 --no-log", tmp_path, package, expect=2)
    assert "speed" in done.stderr
    assert "rate_hz" in done.stderr


def test_the_documented_camera_is_found_by_name_and_shows_fresh_frames_to_the_observer(importable: Path) -> None:
    from vla_runtime.core.types import PlanRequest, RobotState
    from vla_runtime.plugins.planners.inline import InlinePlanner
    from vla_runtime.plugins.planners.observe import Observer, StateReader
    from vla_runtime.plugins.registry import load_plugin, plugin_options

    plugin = load_plugin("cameras", "grabber")
    camera = plugin("front", "", plugin_options(plugin, {"fps": 100}, "$"))
    try:
        policy = load_plugin("policies", "poses")(importable / "poses.json", 1)
        states = StateReader([entry.name for entry in policy.spec.state], ("lift", "turn"), ())
        planner = InlinePlanner(policy, Observer(policy.spec, {"front": camera}, states, max_age_ns=250_000_000))
        deadline = time.monotonic() + 5
        while camera.latest() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        now_ns = time.monotonic_ns()
        state = RobotState(position=policy._poses[1], velocity=None, stamp_ns=now_ns, seq=0)
        planner.request(PlanRequest(0, now_ns, state, "up"))
        (chunk,) = planner.poll(now_ns)
    finally:
        camera.close()
    assert chunk.actions[-1].tolist() == pytest.approx([0.4, 0.4])
    assert chunk.frames["front"] >= 0
    assert now_ns - chunk.t0_ns < 250_000_000


@pytest.mark.parametrize("kind", ["devices", "robots", "cameras", "policies"])
def test_the_page_registers_a_plug_in_of_each_kind_that_meets_its_protocol(importable: Path, kind: str) -> None:
    from importlib.metadata import entry_points

    from vla_runtime.core import protocols

    (point,) = [point for point in entry_points(group=f"vla_runtime.{kind}") if point.value.startswith("my_rail")]
    protocol = {"devices": "Device", "robots": "Robot", "cameras": "Camera", "policies": "Policy"}[kind]
    wanted = {name for name, value in vars(getattr(protocols, protocol)).items() if callable(value) and name[0] != "_"}
    assert wanted <= set(dir(point.load()))


def test_the_documented_plug_ins_pass_the_conformance_suites(package: Path) -> None:
    done = run("python -m pytest -q -p no:cacheprovider test_my_rail.py", package, package)
    assert re.search(r"^[0-9]+ passed", done.stdout, re.MULTILINE), done.stdout
