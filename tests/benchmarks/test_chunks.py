"""The campaign over chunk executors: its trials' laws, its files, one small run of the whole, and the report."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.chunks import campaign
from benchmarks.chunks.__main__ import main
from benchmarks.chunks.campaign import cells_of, run
from benchmarks.chunks.cells import Cell, Store, jobs_of
from benchmarks.chunks.executors import EXECUTORS, Executor, executor, merged, robot_config
from benchmarks.chunks.figures import figures
from benchmarks.chunks.paired import difference
from benchmarks.chunks.plot import plot
from benchmarks.chunks.restart import Restart
from benchmarks.chunks.tables import page
from benchmarks.chunks.trials import Trial, trial
from benchmarks.chunks.version import _meaning, code_version, sources
from benchmarks.chunks.work import Job
from benchmarks.chunks.world import PERIOD_NS, ROWS, STEP_NS, STEPS, Target
from vla_runtime.app.evaluate.summary import summary
from vla_runtime.app.load import load_config
from vla_runtime.app.simulate import Latency
from vla_runtime.core.types import ActionChunk, PlannerStatus

from ..app import live

ROOT = Path(__file__).parents[2]
LATEST, RESTART = executor("latest"), executor("restart")
SVG = "{http://www.w3.org/2000/svg}"


def quiet(line: str) -> None: ...


# Executors


def test_executors_are_told_apart_by_name_and_strategies_take_no_policys_options() -> None:
    assert len({one.name for one in EXECUTORS}) == len(EXECUTORS)
    assert all(set(one.changes) <= {"chunks"} for one in EXECUTORS if one.strategy)


def test_an_executor_changes_its_sections_alone() -> None:
    plain, changed = robot_config(LATEST), load_config("arm")
    kept = [name for name in plain.__struct_fields__ if name not in ("policy", "log", "joints", "chunks")]
    assert all(getattr(plain, name) == getattr(changed, name) for name in kept)
    assert plain.policy.file.endswith("track.onnx")
    data = {"a": {"x": 1, "y": 2}, "b": {"z": 3}}
    assert merged(data, {"a": {"y": 5}}, {"c": {"w": 6}}) == {"a": {"x": 1, "y": 5}, "b": {"z": 3}, "c": {"w": 6}}
    assert data == {"a": {"x": 1, "y": 2}, "b": {"z": 3}}


def test_what_this_version_cannot_run_is_left_out_and_said() -> None:
    said: list[str] = []
    strange = [Executor("odd", "nothing.onnx"), Executor("new", "track.onnx", {"policy": {"tomorrow": 1}})]
    assert campaign.available(strange, said.append) == []
    assert "left out: odd" in said[0]
    assert "nothing.onnx" in said[0]
    assert "left out: new" in said[1]
    assert "tomorrow" in said[1]


def test_a_restarted_chunk_begins_when_it_arrives() -> None:
    chunk = ActionChunk(np.zeros((2, 1), np.float32), 5, 10, 0, 0, "hash")

    class Planner:
        def poll(self, now_ns: int) -> list[ActionChunk]:
            return [chunk]

        def status(self, now_ns: int) -> PlannerStatus:
            return PlannerStatus(True, 3)

    restarted = Restart(Planner())  # type: ignore[arg-type]
    assert [(one.t0_ns, one.seq) for one in restarted.poll(77)] == [(77, 0)]
    assert restarted.status(77).restarts == 3


# Trials


@given(st.integers(0, 2**32 - 1))
def test_the_target_steps_at_random_instants_with_time_enough_between(seed: int) -> None:
    target = Target(seed)
    assert len(target.instants_ns) == STEPS
    assert target.instants_ns[0] >= 1e9
    assert np.diff([*target.instants_ns, round(target.end_s * 1e9)]).min() >= 3e9 - 1
    for index, instant in enumerate(target.instants_ns):
        assert (target(instant - 1), target(instant)) == (index % 2, 1 - index % 2)


@pytest.mark.parametrize("delay", [0, 1, 4])
def test_with_capture_times_a_command_is_true_to_time_whatever_the_delay(delay: int) -> None:
    found = trial("clock", LATEST, Latency(delay * STEP_NS, "jittered"), 3)
    assert len(found.errors) > 900
    assert max(found.errors) < 1e-3
    assert (found.starved_ticks, found.chunks_refused) == (0, 0)


@pytest.mark.parametrize("delay", [1, 4])
def test_without_capture_times_a_command_is_late_by_the_delay(delay: int) -> None:
    found = trial("clock", RESTART, Latency(delay * STEP_NS), 3)
    assert found.errors == pytest.approx([delay * STEP_NS / PERIOD_NS] * len(found.errors), abs=1e-3)


@pytest.mark.parametrize("delay", [0, 3])
def test_a_step_is_answered_after_the_delay_and_within_a_replan_interval_more(delay: int) -> None:
    found = trial("react", LATEST, Latency(delay * STEP_NS), 5)
    assert len(found.reactions_s) == STEPS
    assert found.unsettled == 0
    wait_s = max(0.1, delay * STEP_NS * 1e-9)
    assert all(
        delay * STEP_NS * 1e-9 < reaction < delay * STEP_NS * 1e-9 + wait_s + 0.02 for reaction in found.reactions_s
    )


def test_a_trial_is_a_function_of_its_arguments() -> None:
    for kind in ("react", "clock"):
        again = [trial(kind, LATEST, Latency(2 * STEP_NS, "bursty"), seed) for seed in (1, 2, 1)]  # type: ignore[arg-type]
        assert again[0] == again[2]
        assert again[0] != again[1]


def encoded(**changes: object) -> bytes:
    made = Trial(seed=0, reactions_s=[], unsettled=0, errors=[], starved_ticks=1, chunks_refused=2)
    return msgspec.json.encode(msgspec.structs.replace(made, **changes))


def test_a_step_that_was_overtaken_took_longer_than_any_other() -> None:
    found = figures("react", [encoded(reactions_s=[0.1, None]), encoded(reactions_s=[0.3, 0.2], unsettled=4)])
    assert (found["trials"], found["overtaken"], found["unsettled"]) == (4, 1, 4)
    assert (found["median_s"], found["p95_s"]) == (0.3, None)
    assert (found["episodes"], found["starved_ticks"], found["chunks_refused"]) == (2, 2, 4)


def test_errors_are_of_all_episodes_together() -> None:
    found = figures("clock", [encoded(errors=[1.0, 2.0]), encoded(errors=[3.0])])
    assert (found["ticks"], found["median_periods"], found["max_periods"]) == (3, 2.0, 3.0)
    assert figures("clock", [encoded()])["max_periods"] is None


# Files


CELL = Cell("react", "latest", "constant", 1, 1, 7)


@pytest.mark.parametrize("other", [
    replace(CELL, kind="clock"), replace(CELL, executor="blend"), replace(CELL, pattern="bursty"),
    replace(CELL, delay=2), replace(CELL, episodes=2), replace(CELL, seed=8),
])  # fmt: skip
def test_another_cell_has_another_file(tmp_path: Path, other: Cell) -> None:
    store = Store(tmp_path)
    assert store.path(other, LATEST) != store.path(CELL, LATEST)


def test_a_file_is_named_by_all_that_its_figures_depend_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = replace(CELL, kind="track")
    names = {Store(tmp_path).path(cell, LATEST).name}
    names.add(Store(tmp_path).path(cell, replace(LATEST, restart=True)).name)
    names.add(Store(tmp_path).path(cell, replace(LATEST, policy="reach.onnx")).name)
    names.add(Store(tmp_path).path(cell, replace(LATEST, changes={"policy": {"replan_interval": 3}})).name)
    monkeypatch.setattr("benchmarks.chunks.cells.libraries", lambda: {"numpy": "9"})
    names.add(Store(tmp_path).path(cell, LATEST).name)
    monkeypatch.setattr("benchmarks.chunks.cells.code_version", lambda: "new")
    names.add(Store(tmp_path).path(cell, LATEST).name)
    assert len(names) == 6


def test_the_code_version_is_what_the_code_does_not_how_it_is_explained() -> None:
    code = b'"""Doc."""\ndef f(x):\n    """Says."""\n    return x + 1  # why\n'
    assert _meaning(code) == _meaning(b"def f(x):\n\n    return (x + 1)\n")
    assert _meaning(code) != _meaning(code.replace(b"1", b"2"))
    assert code_version() == code_version()


def test_all_code_that_an_episode_runs_is_in_the_code_version() -> None:
    jobs = [Job("track", "latest", "bursty", 0, 1_000_000, 0), Job("clock", "restart", "constant", 0, 1, 0)]
    program = (
        "import inspect, sys\nfrom benchmarks.chunks.work import open_work\n"
        "ran = set()\n"
        "def note(frame, event, argument):\n"
        "    if event == 'call' and frame.f_code.co_flags & inspect.CO_OPTIMIZED:\n"
        "        ran.add(frame.f_code.co_filename)\n"
        "sys.setprofile(note)\n"
        "with open_work(b'') as work:\n"
        f"    for job in {[msgspec.json.encode(job) for job in jobs]!r}:\n        work(job)\n"
        "sys.setprofile(None)\n"
        "print('\\n'.join(ran))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    ran = {path for line in done.stdout.splitlines() if (path := Path(line)).is_relative_to(ROOT)}
    ran = {path for path in ran if "site-packages" not in path.parts}  # an environment inside the tree
    hashed = {path.resolve() for path in sources()}
    assert len(ran & hashed) > 50
    # What the table of executors says is in the name of the file by itself.
    assert {path.name for path in ran - hashed} <= {"executors.py"}


# The campaign


def test_without_delay_there_is_one_pattern_and_trials_are_for_strategies() -> None:
    table = [LATEST, replace(LATEST, name="file", strategy=False)]
    cells = cells_of(("react", "track"), table, ("constant", "jittered"), (0, 2), {"react": 1, "track": 5}, 0)
    assert [(c.kind, c.pattern, c.delay, c.executor) for c in cells] == [
        ("react", "constant", 0, "latest"), ("react", "constant", 2, "latest"), ("react", "jittered", 2, "latest"),
        ("track", "constant", 0, "latest"), ("track", "constant", 0, "file"), ("track", "constant", 2, "latest"),
        ("track", "constant", 2, "file"), ("track", "jittered", 2, "latest"), ("track", "jittered", 2, "file"),
    ]  # fmt: skip
    assert {job.seed for job in jobs_of(cells[3])} == set(range(5))


CLOCKS = [Cell("clock", name, "constant", delay, 2, 0) for delay in (0, 1) for name in ("latest", "restart")]


def test_a_campaign_does_only_what_is_missing_and_the_same_again(tmp_path: Path) -> None:
    said: list[str] = []
    store = Store(tmp_path)
    run(CLOCKS, store, 1, said.append)
    assert said[0] == "4 cells, 0 of them there already"
    assert said[-1].startswith("4 of 4 cells, 0 min left; clock-restart-constant-1: p95 5 periods")
    bytes_of = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(bytes_of) == 4
    (lost,) = tmp_path.glob("clock-latest-constant-1-*")
    lost.unlink()
    said.clear()
    run(CLOCKS, store, 1, said.append)
    assert [line.partition(",")[0] for line in said] == ["4 cells", "4 of 4 cells"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == bytes_of


def test_an_interrupted_campaign_leaves_whole_cells_and_goes_on(tmp_path: Path) -> None:
    def interrupt(line: str) -> None:
        if line.startswith("2 of 4"):
            raise KeyboardInterrupt

    store = Store(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(CLOCKS, store, 1, interrupt)
    assert len(store.current(EXECUTORS)) == len(list(tmp_path.iterdir())) == 2
    said: list[str] = []
    run(CLOCKS, store, 1, said.append)
    assert said[0] == "4 cells, 2 of them there already"
    assert set(store.current(EXECUTORS)) == set(CLOCKS)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_workers_and_leaves_whole_cells(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    command = [sys.executable, "-m", "benchmarks.chunks", "--parts", "react", "--executors", "latest,restart",
               "--trials", STEPS, "--workers", 2, "--out", tmp_path]  # fmt: skip
    with live.started(*command) as process:
        live.wait_for(lambda: len(list(tmp_path.glob("*.json"))) > 2, "the first cells", timeout=60)
        family = [relative.pid for relative in psutil.Process(process.pid).children(recursive=True)]
        assert len(family) == 2
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert live.all_gone(family)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json"}
    assert all(found["trials"] == STEPS for found in Store(tmp_path).current(EXECUTORS[:2]).values())


def test_what_is_stale_is_not_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = replace(CLOCKS[0], episodes=1), CLOCKS[0]
    store = Store(tmp_path)
    for cell, value in ((small, 1), (large, 2), (small, 3)):
        store.write(cell, LATEST, {"value": value})
    assert store.current([LATEST]) == {large: {"value": 2}}
    assert store.current([replace(LATEST, changes={"chunks": {"strategy": "x"}}), RESTART]) == {}
    assert store.versions() == {store.code: 2}
    monkeypatch.setattr("benchmarks.chunks.cells.code_version", lambda: "new")
    later = Store(tmp_path)
    assert later.current([LATEST]) == {}
    assert later.of_code(store.code) == {large: {"value": 2}}


def test_two_episodes_of_the_arm_become_tables_and_a_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, docs = tmp_path / "out", tmp_path / "docs"
    docs.mkdir()
    argv = ["--executors", "latest,restart", "--delays", "6", "--patterns", "constant,bursty", "--rollouts", "2",
            "--parts", "track,clock", "--workers", "1", "--out", str(out), "--docs", str(docs)]  # fmt: skip
    assert main(argv) == 0
    assert "8 of 8 cells" in capsys.readouterr().out
    found = {cell.name: own for cell, own in Store(out).current([LATEST, RESTART]).items()}
    latest, restart = (found[f"track-{name}-constant-6"] for name in ("latest", "restart"))
    assert latest["episodes"] == restart["episodes"] == len(latest["succeeded"]) == 2
    assert latest["handover"]["rad"]["mean"] > 0
    assert restart["chunks_used"] > 0
    assert latest["ticks"] > 1300
    assert main([*argv, "--report"]) == 0
    text = (docs / "chunks-results.md").read_text()
    assert len(re.findall(r"^\| (?:latest|restart) \| 6 \|", text, re.MULTILINE)) == 4
    ElementTree.fromstring((docs / "chunks.svg").read_text())
    assert main([*argv, "--report", "--code", "of-old"]) == 2
    assert f"{Store(out).code} (8 cells)" in capsys.readouterr().err


# The report


outcomes = st.lists(st.tuples(st.sampled_from("01"), st.sampled_from("01")), min_size=1, max_size=300)


@given(outcomes)
def test_a_paired_difference_is_that_of_the_rates_and_turns_with_its_sides(pairs) -> None:
    own, other = ("".join(side) for side in zip(*pairs, strict=True))
    share, low, high = difference(own, other)
    assert share == pytest.approx((own.count("1") - other.count("1")) / len(pairs))
    assert -1 <= low <= share <= high <= 1
    assert difference(other, own) == pytest.approx((-share, -high, -low))


def test_a_paired_interval_is_that_of_the_formula_worked_out_by_hand() -> None:
    """16 and 9 discordant of 86: (16.5 - 9.5) / 88 and 1.96 √(26 - 7² / 88) / 88."""
    own, other = "1" * 69 + "0" * 17, "1" * 53 + "0" * 16 + "1" * 9 + "0" * 8
    assert difference(own, other) == pytest.approx((7 / 86, 0.0795 - 0.1123, 0.0795 + 0.1123), abs=2e-4)


def result_like(success: float) -> dict[str, object]:
    from ..app.test_evaluate import result

    found = summary([result(seed, success=seed < 100 * success) for seed in range(100)])
    succeeded = "".join("01"[seed < 100 * success] for seed in range(100))
    return {name: value for name, value in found.items() if name != "results"} | {"succeeded": succeeded}


@pytest.fixture(scope="module")
def made_up() -> dict[Cell, dict[str, object]]:
    names, patterns = ("latest", "restart", "flow-prefix"), ("constant", "jittered", "bursty")
    found: dict[Cell, dict[str, object]] = {}
    for pattern in patterns:
        for delay in range(9):
            for name in names:
                if delay or pattern == "constant":
                    found[Cell("track", name, pattern, delay, 100, 0)] = result_like(1 - delay / 16)  # type: ignore[arg-type]
            react = {"median_s": 0.1 * delay, "p95_s": None}
            found[Cell("react", "latest", pattern, delay, 5, 0)] = react  # type: ignore[arg-type]
            clock = {"p95_periods": 5.0 * delay, "max_periods": 6.0 * delay}
            found[Cell("clock", "restart", pattern, delay, 5, 0)] = clock  # type: ignore[arg-type]
    return found


def test_the_page_has_every_cell_and_fits(made_up) -> None:
    text = page(made_up, [one.name for one in EXECUTORS], "cafe")
    track = [cell for cell in made_up if cell.kind == "track"]
    assert len(re.findall(r"^\| [a-z0-9-]+ \| \d \| \d\.\d{3} \(", text, re.MULTILINE)) == len(track) == 75
    assert "| latest | 0, - | 100, - |" in text
    assert len(re.findall(r"\+0\.000 \(-0\.0\d to \+0\.0\d\)", text)) == 25  # restart against latest
    assert "| restart | 0.00, 0.00 | 5.00, 6.00 |" in text
    assert not [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")]
    widths = {line.count("|") for line in re.findall(r"^\| (?:latest|executor) \| (?:\d|delay).*$", text, re.MULTILINE)}
    assert len(widths) <= 3


def test_the_plot_has_a_line_for_each_executor_in_each_panel_inside_the_frame(made_up) -> None:
    tree = ElementTree.fromstring(plot(made_up, [one.name for one in EXECUTORS]))
    lines = tree.findall(f".//{SVG}polyline")
    assert len(lines) == 3 * 2 * 3
    assert all(len(line.attrib["points"].split()) == 9 for line in lines)
    _, _, width, height = map(float, tree.attrib["viewBox"].split())
    for line in lines:
        for x, y in (map(float, point.split(",")) for point in line.attrib["points"].split()):
            assert 0 < x < width
            assert 0 < y < height
    texts = tree.findall(f".//{SVG}text")
    assert all(0 < float(text.attrib["x"]) < width and 0 < float(text.attrib["y"]) < height for text in texts)


# Options


@pytest.mark.parametrize(("argv", "message"), [
    (["--executors", "newest"], "'newest' given, expected of restart, latest"),
    (["--delays", "0,x"], "expected whole numbers"),
    (["--delays", "-1"], "expected 0 or more"),
    (["--rollouts", "0"], "expected at least 1"),
    (["--patterns", "calm"], "expected of constant, jittered, bursty"),
])  # fmt: skip
def test_options_that_make_no_sense_are_refused(argv, message, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main([f"{argv[0]}={argv[1]}"])
    assert refused.value.code == 2
    assert message in capsys.readouterr().err


def test_chunks_of_trials_are_as_long_as_the_arms() -> None:
    spec = json.loads(_contract(Path(robot_config(LATEST).policy.file)))
    assert (spec["chunk_length"], spec["dt_ns"]) == (ROWS, STEP_NS)


def _contract(path: Path) -> str:
    import onnxruntime

    from vla_runtime.core.spec import METADATA_KEY

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return session.get_modelmeta().custom_metadata_map[METADATA_KEY]
