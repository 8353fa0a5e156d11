"""``vla-export`` as a user and a script meet it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from exporters.cli import main
from vla_runtime.learn.checkpoint import save_checkpoint

from ..blocked import TRAIN_EXTRA, blocking

NO_TORCH = blocking(*TRAIN_EXTRA, "onnx", "onnxruntime") + "from exporters.cli import main\n"


@pytest.fixture
def model(tmp_path: Path, checkpoint) -> Path:
    save_checkpoint(checkpoint, tmp_path / "model.pt")
    return tmp_path / "model.pt"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_help_needs_no_torch() -> None:
    code = f"{NO_TORCH}sys.exit(main(['--help']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "vla-export model.pt --format both --json" in done.stdout


def test_without_torch_it_says_what_to_install(model: Path) -> None:
    code = f"{NO_TORCH}sys.exit(main([{str(model)!r}]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "pip install 'vla-runtime[train]'" in done.stderr


def test_json_is_the_only_line_on_stdout(model: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "exporters.cli", str(model), "--format", "both", "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    report = json.loads(done.stdout)
    folder = model.parent
    assert report["files"] == [str(folder / "model.onnx"), str(folder / "model.ts")]
    assert report["max_abs_error"].keys() == {"onnx", "torchscript"}
    assert max(report["max_abs_error"].values()) <= 1e-5
    assert report["latency_ms"].keys() == {"eager", "onnx", "torchscript"}
    assert min(report["latency_ms"].values()) > 0
    assert names(folder) == ["model.onnx", "model.pt", "model.ts"]
    assert len(done.stderr.splitlines()) == 5, done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "model.onnx"),
        (["--out", "arm.onnx"], "arm.onnx"),
        (["--out", "arm.ts"], "arm.ts"),
        (["--format", "torchscript"], "model.ts"),
    ],
)
def test_the_file_goes_where_it_is_expected(
    model: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: str
) -> None:
    monkeypatch.chdir(model.parent)
    assert main(["model.pt", *arguments]) == 0
    assert names(model.parent) == sorted(["model.pt", expected])


def test_refusals_say_why_and_write_nothing(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = model.parent
    (folder / "junk.pt").write_bytes(b"junk")
    before = names(folder)
    for argv, message in (
        ([str(folder / "missing.pt")], "No such file"),
        ([str(folder / "junk.pt")], "not a checkpoint"),
        ([str(model), "--out", str(folder / "no" / "model.onnx")], "does not exist"),
        ([str(model), "--out", str(model)], "is the checkpoint itself"),
        ([str(model), "--tolerance", "0"], "expected more than 0"),
        ([str(model), "--tolerance", "1e-30"], "differs from the eager policy"),
    ):
        assert main(argv) == 2
        assert message in capsys.readouterr().err
    assert names(folder) == before


def test_an_interrupt_leaves_nothing_behind(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("exporters.gate.max_abs_error", interrupted)
    assert main([str(model)]) == 130
    assert names(model.parent) == ["model.pt"]
