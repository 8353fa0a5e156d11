"""Token policies and those with LeRobot's interface, exported and run: on the tracker and on the simulated arm."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from exporters.cli import main as vla_export
from vla_runtime.app.evaluate import FIRST_SEED, EvaluateOptions, evaluate
from vla_runtime.app.load import load_config
from vla_runtime.app.simulate import instructions_of, open_demonstrator
from vla_runtime.cli.train import main as vla_train
from vla_runtime.learn.checkpoint import Checkpoint, save_checkpoint
from vla_runtime.learn.policy import build_policy
from vla_runtime.learn.scaling import Scaling
from vla_runtime.plugins.policies.onnx import OnnxPolicy

from . import live

POLICIES = Path(__file__).parents[2] / "robot_configs" / "policies"


@pytest.fixture(scope="module")
def act(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ``act`` policy, trained for a few steps on the tracker's demonstrations, that is told by tokens."""
    folder = tmp_path_factory.mktemp("act")
    where = ["--robot", "tracker", "--task", "track", "--episodes", "6", "--workers", "1"]
    assert vla_train(["collect", *where, "--out", str(folder / "episodes")]) == 0
    sizes = ["--steps", "60", "--batch-size", "32", "--lr", "0.003", "--threads", "1", "--quiet"]
    train = ["bc", "--data", str(folder / "episodes"), "--architecture", "act", "--out", str(folder / "act.pt")]
    assert vla_train([*train, *sizes]) == 0
    assert vla_export([str(folder / "act.pt"), "--prompt", "tokens"]) == 0
    return folder / "act.onnx"


def test_a_lerobot_style_policy_trained_here_runs_and_its_log_re_executes(act: Path, tmp_path: Path) -> None:
    assert OnnxPolicy(act).spec.instruction.kind == "tokens"
    robot = live.patient("tracker", tmp_path)
    run = (*live.RUN, "--robot", robot, "--policy", act, "--episodes", 1, "--log", tmp_path, "--json")
    code, report, errors = live.finish(*run)
    assert code == 0, errors
    assert report["episodes"] == 1
    code, found, errors = live.finish(*live.REPLAY, report["log"], "--check", "--policy", act, "--json")
    assert code == 0, errors
    assert found["identical"]


def test_an_instruction_without_tokens_is_refused_before_anything_moves(act: Path, tmp_path: Path) -> None:
    run = (*live.RUN, "--robot", "tracker", "--policy", act, "--instruction", "dance", "--log", tmp_path, "--json")
    code, report, _ = live.finish(*run)
    assert (code, report["exit"]) == (2, "refused")
    assert "'dance' is not one the policy was trained on" in report["cause"]


def leaning(architecture: str, head: str, **sizes: int) -> Checkpoint:
    """An untrained policy for the arm's ``reach`` that stays near the pose in which the first episode begins."""
    with closing(open_demonstrator(load_config("arm"))) as device:
        device.reset(FIRST_SEED, instructions_of(device, "reach")[0])
        pose = torch.from_numpy(device.measure()[0]).float()
    with closing(OnnxPolicy(POLICIES / "reach.onnx")) as shipped:
        spec = msgspec.structs.replace(shipped.spec, head=head, golden=None)
    policy = build_policy(spec, architecture, seed=0, **sizes).eval()
    scaling = Scaling.from_spec(spec)
    there = (pose - scaling.action_mean) / scaling.action_std
    with torch.no_grad():
        if head == "tokens":
            tokens = policy.action_tokenizer.encode(there)[:, None]
            apart = torch.arange(policy.vocab_size) - tokens
            policy.head.weight.mul_(4.0)  # so that what it sees decides between the bins around the pose
            policy.head.bias.copy_((-0.05 * apart**2).expand(spec.chunk_length, -1, -1).flatten())
        else:
            policy.policy.head.weight.mul_(0.1)
            policy.policy.head.bias.copy_(there)
    return Checkpoint(spec, policy, sizes, {"method": "none"}, architecture=architecture)


@pytest.mark.parametrize(
    ("architecture", "head", "prompt"), [("tiny", "tokens", "table"), ("act", "continuous", "tokens")]
)
def test_the_simulated_arm_does_what_the_file_says(tmp_path: Path, architecture: str, head: str, prompt: str) -> None:
    sizes = {"hidden_dim": 16} | ({"width": 16, "layers": 1} if architecture == "act" else {"num_bins": 64})
    save_checkpoint(leaning(architecture, head, **sizes), tmp_path / "model.pt")
    assert vla_export([str(tmp_path / "model.pt"), "--prompt", prompt]) == 0
    file = tmp_path / "model.onnx"
    options = EvaluateOptions("arm", "reach", 1, policy=str(file), workers=1, max_seconds=2.0)
    (result,) = evaluate(options, lambda line: None).results
    assert result.end in ("success", "failure", "timeout"), result.cause
    assert result.chunks_used >= 10
    assert result.refusals == {}
    assert np.isfinite(list(result.acceleration.values())).all()
