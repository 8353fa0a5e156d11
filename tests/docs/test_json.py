"""docs/json.md names exactly the keys that the commands print."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vla_runtime.cli.common import print_json

from ..learn.sets.made_lerobot import write_v30
from .markdown import ROOT, environment, patiently, rows, run, section

PAGE = ROOT / "docs" / "json.md"
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "int": (int,),
    "number": (int, float),
    "bool": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def documented(command: str) -> dict[str, str]:
    """Key, with dots between levels, to type."""
    return {key: kind for key, kind, _ in rows(section(PAGE, f"## {command}"))}


def leaves(value: Any, keys: dict[str, str], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of the report with its key; objects are opened unless the page lists them as a whole.

    Arrays are opened where the page lists what is in them, as ``key[]``.
    """
    if isinstance(value, dict) and path not in keys and not listed_whole(path, keys):
        for key, inner in value.items():
            yield from leaves(inner, keys, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(key.startswith(f"{path}[]") for key in keys):
        for inner in value:
            yield from leaves(inner, keys, f"{path}[]")
    else:
        yield path, value


def listed_whole(path: str, keys: dict[str, str]) -> bool:
    """Whether the page lists ``path``, one of whose parts is a name of the run's, as an object."""
    return any(kind == "object" and pattern(key).fullmatch(path) for key, kind in keys.items())


def pattern(key: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"<\w+>", "[^.]+", re.escape(key)))


def compare(command: str, report: dict[str, Any]) -> None:
    keys = documented(command)
    patterns = {key: pattern(key) for key in keys}
    seen = set()
    for path, value in leaves(report, keys):
        found = [key for key in keys if key == path] or [key for key in keys if patterns[key].fullmatch(path)]
        assert found, f"{command} prints {path}, which docs/json.md does not name"
        seen |= set(found)
        kinds = tuple(kind for name in keys[found[0]].split(" or ") for kind in TYPES[name])
        assert type(value) in kinds, f"{path} is {value!r}, documented as {keys[found[0]]}"
    missing = {key for key in keys if "<" not in key} - seen
    assert not missing, f"docs/json.md names {missing}, which {command} does not print"


def last_line(output: str) -> dict[str, Any]:
    """The report: the last line, and the only one on standard output."""
    (line,) = output.splitlines()
    found: dict[str, Any] = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    return found


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("json")


@pytest.fixture(scope="module")
def episode(work: Path) -> dict[str, Any]:
    """The report of one episode on the toy environment."""
    return last_line(run("vla-run --robot toy --episodes 1 --json", work).stdout)


def test_vla_run_prints_the_documented_keys(episode: dict[str, Any]) -> None:
    compare("vla-run", episode)
    assert episode["exit"] == "done"
    assert set(episode["malformed"]) == {"robot", "planner", "cameras"}


def test_vla_run_prints_the_same_keys_when_it_refuses(work: Path) -> None:
    done = run("vla-run --robot arm --policy $P --no-log --json".replace("$P", str(toy_policy())), work, expect=2)
    report = last_line(done.stdout)
    compare("vla-run", report)
    assert report["exit"] == "refused"
    assert report["start_to_first_command_ms"] is None


def test_vla_run_prints_the_same_keys_when_there_is_no_such_robot(work: Path) -> None:
    done = run("vla-run --robot nobody --json", work, expect=2)
    compare("vla-run", last_line(done.stdout))
    assert "nobody" in done.stderr


def test_vla_run_check_prints_the_documented_keys_and_the_same_when_it_refuses(work: Path) -> None:
    report = last_line(run("vla-run --robot tracker --check --check-seconds 0.3 --json", work).stdout)
    compare("vla-run --check", report)
    assert (report["exit"], report["failures"]) == ("done", [])
    refused = last_line(run("vla-run --robot nobody --check --json", work, expect=2).stdout)
    compare("vla-run --check", refused)
    assert (refused["exit"], refused["ticks"], refused["robot"]["answers"]) == ("refused", 0, False)


@pytest.mark.parametrize("command", [
    "vla-host --robot nobody",
    "vla-replay nothing.mcap",
    "vla-export nothing.pt",
    "vla-train bc --env toy --out a/b.pt",
    "vla-train collect --robot tracker --task sleep --episodes 1 --out a",
    "vla-train recipe --robot tracker --task sleep --out a",
    "vla-train grpo --robot arm --task reach",
    "vla-train store --data nothing --out a",
    "vla-train inspect nothing",
    "vla-eval --robot tracker --task sleep",
    "vla-demo --robot nobody",
])  # fmt: skip
def test_a_refused_command_tells_scripts_why(work: Path, command: str) -> None:
    done = run(f"{command} --json", work, expect=2)
    report = last_line(done.stdout)
    assert report.keys() == {"exit", "cause"}
    assert report["exit"] == "refused"
    assert report["cause"] in done.stderr


def test_what_json_cannot_hold_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": float("inf"), "b": [float("nan"), 1.5], "c": {"d": -float("inf")}})
    assert last_line(capsys.readouterr().out) == {"a": None, "b": [None, 1.5], "c": {"d": None}}


def test_vla_host_prints_the_documented_keys_inside_the_report_of_vla_run(episode: dict[str, Any]) -> None:
    compare("vla-host", episode["host"])


def test_vla_host_prints_the_documented_keys_and_ends_with_0_on_a_signal(work: Path) -> None:
    host = subprocess.Popen(
        patiently(f"vla-host --robot tracker --ipc {work / 'ipc'} --json", work).split(),
        cwd=work,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        run(f"vla-run --robot tracker --episodes 1 --no-log --ipc {work / 'ipc'}", work)
    finally:
        host.send_signal(signal.SIGINT)
        output, _ = host.communicate(timeout=20)
    assert host.returncode == 0
    compare("vla-host", last_line(output))


def test_vla_replay_prints_the_documented_keys(work: Path, episode: dict[str, Any]) -> None:
    command = f"vla-replay {episode['log']} --check --env toy --policy {toy_policy()} --json"
    report = last_line(run(command, work).stdout)
    compare("vla-replay", report)
    assert set(report["findings"]) == {"check", "env", "policy"}


def test_vla_replay_that_only_recovers_has_no_finding(work: Path, episode: dict[str, Any]) -> None:
    report = last_line(run(f"vla-replay {episode['log']} --recover whole-{time.time_ns()}.mcap --json", work).stdout)
    assert report["findings"] == {}


def test_vla_train_and_vla_export_print_the_documented_keys(work: Path) -> None:
    trained = run("vla-train bc --env toy --steps 5 --episodes 2 --out model.pt --json", work)
    compare("vla-train", last_line(trained.stdout))
    exported = last_line(run("vla-export model.pt --format both --json", work).stdout)
    compare("vla-export", exported)
    assert set(exported["max_abs_error"]) == {"onnx", "torchscript"}
    compare(
        "vla-export --verify", last_line(run("vla-export --verify model.ts --checkpoint model.pt --json", work).stdout)
    )
    (work / "junk.onnx").write_bytes(b"junk")
    compare("vla-export --verify", last_line(run("vla-export --verify junk.onnx --json", work, expect=2).stdout))


def test_vla_eval_prints_the_documented_keys(work: Path) -> None:
    command = "vla-eval --robot tracker --task track --episodes 2 --latency-ms 0,40 --log evaluated --json"
    report = last_line(run(command, work).stdout)
    compare("vla-eval", report)
    assert [found["latency_ms"] for found in report["latencies"]] == [0, 40]


def test_vla_eval_prints_the_documented_keys_where_the_limits_intervene_and_chunks_are_refused(work: Path) -> None:
    (work / "config").mkdir()
    text = (ROOT / "robot_configs" / "tracker.yaml").read_text()
    (work / "config" / "slow.yaml").write_text(text.replace("velocity: 100", "velocity: 0.5"))
    command = "vla-eval --robot config/slow.yaml --task track --expert --episodes 2 --latency-ms 900 --json"
    report = last_line(run(command, work).stdout)
    compare("vla-eval", report)
    (found,) = report["latencies"]
    assert found["refusals"] == {"past": found["results"][0]["refusals"]["past"] * 2}


def test_vla_train_collect_prints_the_documented_keys(work: Path) -> None:
    report = last_line(run("vla-train collect --robot tracker --task track --episodes 3 --out c --json", work).stdout)
    compare("vla-train collect", report)
    assert sorted(path.name for path in (work / "c").iterdir()) == [f"track-00000{seed}.mcap" for seed in range(3)]


def test_vla_train_grpo_prints_the_documented_keys(work: Path) -> None:
    sizes = "--iterations 1 --groups 4 --group-size 4 --episodes 4 --threads 1"
    compare("vla-train grpo", last_line(run(f"vla-train grpo --env toy {sizes} --out g.pt --json", work).stdout))
    more = f"{sizes} --init g.pt --run g --json"
    compare("vla-train grpo", last_line(run(f"vla-train grpo --env toy {more}", work).stdout))


def test_vla_train_store_prints_the_documented_keys(work: Path) -> None:
    run("vla-train collect --robot tracker --task track --episodes 2 --out d --json", work)
    report = last_line(run("vla-train store --data d --out d.store --json", work).stdout)
    compare("vla-train store", report)
    assert (report["episodes"], report["frames"]) == (2, report["samples"])


def test_vla_train_recipe_prints_the_documented_keys(work: Path) -> None:
    sizes = "--episodes 24 --steps 10 --evaluate 2"
    report = last_line(run(f"vla-train recipe --robot tracker --task track --out r {sizes} --json", work).stdout)
    compare("vla-train recipe", report)
    compare("vla-train collect", report["stages"]["collect"]["report"])
    compare("vla-export", report["stages"]["export"]["report"])


def test_vla_train_inspect_prints_the_documented_keys(work: Path) -> None:
    write_v30(work / "blocks")
    report = last_line(run("vla-train inspect blocks --read --json", work).stdout)
    compare("vla-train inspect", report)
    assert (report["kind"], report["episodes"], report["read"]) == ("LeRobot v3.0", 3, 3)


def test_vla_demo_prints_the_documented_keys(work: Path) -> None:
    report = last_line(run("vla-demo --robot tracker --out d --json", work).stdout)
    compare("vla-demo", report)
    (of_run,) = report["runs"].values()
    assert of_run.pop("identical")
    compare("vla-run", of_run)


def test_the_documented_exit_codes_are_the_programs_own() -> None:
    from vla_runtime.cli.common import EXIT_CODES

    codes = [row.split("|")[1].strip() for row in section(PAGE, "## Exit codes").splitlines() if row[:3] == "| 0" or
             re.match(r"\| \d", row)]  # fmt: skip
    assert {int(code) for code in codes} == {*EXIT_CODES.values(), 1}


def toy_policy() -> Path:
    return ROOT / "robot_configs" / "policies" / "toy.onnx"
