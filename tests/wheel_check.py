"""The built wheel alone, in an empty environment: torch is absent, and the robot half runs the toy policy.

Run by ``make wheel-check``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from patience import patient

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "wheel-check"


def run(*command: object, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """Run ``command`` away from the checkout; its output is shown if it ends otherwise than expected."""
    done = subprocess.run([str(part) for part in command], cwd=WORK, capture_output=True, text=True, timeout=300)
    if done.returncode != expect:
        line = " ".join(map(str, command))
        sys.exit(f"{line}\nended with {done.returncode}, expected {expect}\n{done.stdout}{done.stderr}")
    return done


def slow(robot: str) -> Path:
    """A config out of the wheel, with long timeouts."""
    (shipped,) = (WORK / "venv").glob(f"lib/python3*/site-packages/vla_runtime/robot_configs/{robot}.yaml")
    return patient(shipped, WORK / f"{robot}.yaml")


def main() -> None:
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", WORK / "dist", ROOT)
    (wheel,) = (WORK / "dist").glob("*.whl")
    run(sys.executable, "-m", "venv", WORK / "venv")
    programs = WORK / "venv" / "bin"
    run(programs / "python", "-m", "pip", "install", "-q", wheel)
    for absent in ("torch", "tensordict", "torchrl", "onnx"):
        run(programs / "python", "-c", f"import {absent}", expect=1)

    named = run(programs / "vla-run", "--robot", "nobody", expect=2)
    assert "valid: arm, toy, tracker" in named.stderr, named.stderr
    tracked = run(
        programs / "vla-run", "--robot", slow("tracker"), "--episodes", 3, "--log", WORK / "episodes", "--json"
    )
    report = json.loads(tracked.stdout.splitlines()[-1])
    assert (report["exit"], report["episodes"], report["successes"]) == ("done", 3, 3), report
    checked = run(programs / "vla-replay", report["log"], "--check", "--json")
    assert json.loads(checked.stdout.splitlines()[-1])["identical"]
    simulated = run(programs / "vla-run", "--robot", slow("arm"), "--episodes", 1, "--no-log", expect=2)
    assert "vla-runtime[sim]" in simulated.stderr, simulated.stderr
    run(programs / "python", "-m", "pip", "install", "-q", f"{wheel}[sim]")
    run(programs / "vla-run", "--robot", slow("arm"), "--episodes", 1, "--duration", 60, "--no-log")
    run(programs / "vla-eval", "--robot", "arm", "--task", "reach", "--episodes", 2)
    for absent in ("torch", "tensordict", "torchrl", "onnx"):
        run(programs / "python", "-c", f"import {absent}", expect=1)
    for command in ("host", "run", "replay", "train", "export", "eval", "demo"):
        run(programs / f"vla-{command}", "--help")
    refused = run(programs / "vla-run", "--robot", "toy", "--episodes", 1, "--no-log", expect=2)
    assert "vla-runtime[train]" in refused.stderr, refused.stderr
    trained = run(programs / "vla-train", "bc", "--env", "toy", "--out", WORK / "model.pt", expect=2)
    assert "vla-runtime[train]" in trained.stderr, trained.stderr
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB, runs without torch, and with the simulated arm")


if __name__ == "__main__":
    main()
