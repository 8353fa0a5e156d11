"""Any torchrl VLA policy becomes a policy file, and what a graph cannot hold is refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from tensordict import TensorDict
from torch import nn
from torchrl.data.vla import UniformActionTokenizer, VocabTailActionTokenizer
from torchrl.modules.vla import LeRobotPolicyWrapper, TinyVLA, VLAWrapperBase

from exporters.export import export
from exporters.told import told
from vla_runtime.core.errors import PolicyFileError
from vla_runtime.core.instructions import InstructionEncoding
from vla_runtime.learn.checkpoint import save_checkpoint
from vla_runtime.learn.decoding import decode_tokens
from vla_runtime.learn.policy import tokenizer
from vla_runtime.learn.torchscript_policy import TorchScriptPolicy
from vla_runtime.learn.wrapped import wrapped_checkpoint
from vla_runtime.plugins.policies.onnx import OnnxPolicy

from .conftest import _build

TEXTS = ("go left", "go right", "go home")
TABLE = InstructionEncoding("table", 3, TEXTS)


class Foreign(VLAWrapperBase):
    """Somebody's policy: two cameras under keys of its own, the instruction as ids or tokens, any head."""

    def __init__(self, spec, tokenizer=None, words=3) -> None:
        tokens = {"vocab_size": tokenizer.vocab_size, "output_mode": "both"} if tokenizer else {}
        super().__init__(
            action_dim=4, chunk_size=8, action_head=spec.head, action_tokenizer=tokenizer,
            image_key=("look", "top"), state_key="joints", instruction_key="task_id", **tokens,
        )  # fmt: skip
        self.look = nn.ModuleDict({name: nn.Conv2d(3, 4, 5, stride=4) for name in ("top", "hand")})
        self.word = nn.Embedding(words, 6)
        self.head = nn.Linear(8 + 8 + 6, 32 * (tokenizer.vocab_size if tokenizer else 1))

    def _predict(self, tensordict):
        seen = [look(tensordict.get(("look", name))).mean((-1, -2)) for name, look in self.look.items()]
        word = self.word(tensordict.get("task_id"))
        word = word.mean(-2) if word.ndim == 3 else word
        return self.head(torch.cat([*seen, tensordict.get("joints"), word], -1))


KEYS = {"front": ("look", "top"), "wrist": ("look", "hand")}


def spec_of(head: str = "continuous", instruction=TABLE):
    spec = _build("continuous", {"front": (12, 20), "wrist": (9, 9)}, architecture="visuomotor").spec
    return msgspec.structs.replace(spec, head=head, instruction=instruction)


def vocab_tail(spec):
    return VocabTailActionTokenizer(32)


def uniform(spec):
    return tokenizer(spec, 32)


@pytest.mark.parametrize("make", [uniform, vocab_tail])
def test_a_token_head_with_cameras_of_two_sizes_is_exported_with_its_own_tokenizer(tmp_path: Path, make) -> None:
    torch.manual_seed(0)
    spec = spec_of("tokens")
    checkpoint = wrapped_checkpoint(Foreign(spec, make(spec)), spec, images=KEYS)
    done = export(checkpoint, {"torchscript": tmp_path / "m.ts"})
    assert done["torchscript"].max_abs_error <= 1e-5


def test_the_policy_itself_answers_as_its_file_does_for_each_text(tmp_path: Path) -> None:
    torch.manual_seed(0)
    spec = spec_of()
    theirs = Foreign(spec).eval()
    export(wrapped_checkpoint(theirs, spec, images=KEYS), {"onnx": tmp_path / "m.onnx"})
    policy = OnnxPolicy(tmp_path / "m.onnx")
    random, n = np.random.RandomState(0), spec.normalisation
    images = {"front": (12, 20), "wrist": (9, 9)}
    images = {name: random.randint(0, 256, (*size, 3)).astype(np.uint8) for name, size in images.items()}
    state = random.standard_normal(8).astype(np.float32)
    for number, text in enumerate(TEXTS):
        given = TensorDict({"joints": torch.tensor((state - n.state_mean) / n.state_std).float()[None]}, [1])
        for name, key in KEYS.items():
            given[key] = torch.from_numpy(images[name]).permute(2, 0, 1)[None] / 255.0
        given["task_id"] = torch.tensor([number])
        chunk = theirs(given)["vla_action", "chunk"][0].detach().numpy() * n.action_std + n.action_mean
        assert np.abs(policy.infer(images, state, spec.instruction.encode(text)) - chunk).max() <= 1e-5


def test_a_policy_that_reads_tokens_gets_them_from_the_robot(tmp_path: Path) -> None:
    torch.manual_seed(0)
    told_by = InstructionEncoding("tokens", 20, TEXTS, 3, 0, ((4, 5), (4, 6), (4, 5, 9)))
    spec = spec_of(instruction=told_by)
    checkpoint = wrapped_checkpoint(Foreign(spec, words=20), spec, images=KEYS, reads_tokens=True)
    export(checkpoint, {"torchscript": tmp_path / "m.ts"})
    assert TorchScriptPolicy(tmp_path / "m.ts").spec.instruction == told_by


def test_torchrls_wrapper_of_a_lerobot_policy_is_exported_for_one_prompt(tmp_path: Path) -> None:
    ours = _build(architecture="act")
    theirs = LeRobotPolicyWrapper(ours.policy.policy, action_dim=4, chunk_size=8, camera_name="image")
    spec = told(ours, "fixed", "go right").spec
    done = export(wrapped_checkpoint(theirs, spec), {"torchscript": tmp_path / "m.ts"})
    assert done["torchscript"].max_abs_error <= 1e-5


@pytest.mark.parametrize("kind", ["onnx", "torchscript"])
def test_a_policy_that_hashes_text_bakes_its_batch_in_and_is_refused(tmp_path: Path, kind: str) -> None:
    spec = told(_build(), "fixed", "go right").spec
    tiny = TinyVLA(action_dim=4, chunk_size=8)
    message = {"onnx": "no .onnx file can be made", "torchscript": "cannot answer a batch of 1"}[kind]
    with pytest.raises(PolicyFileError, match=message):
        export(wrapped_checkpoint(tiny, spec), {kind: tmp_path / "m"})
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_that_leaves_torch_is_refused() -> None:
    spec = spec_of("tokens")
    stats = {"norm_low": -torch.ones(4), "norm_high": torch.ones(4)}
    policy = Foreign(spec, VocabTailActionTokenizer(32, **stats))
    with pytest.raises(ValueError, match="decodes in NumPy"):
        decode_tokens(policy, torch.zeros(1, 8, 4, dtype=torch.long))
    policy.action_tokenizer = None
    with pytest.raises(ValueError, match="no action_tokenizer"):
        decode_tokens(policy, torch.zeros(1, 8, 4, dtype=torch.long))


def test_a_policy_that_is_not_the_contracts_is_refused_and_cannot_be_saved(tmp_path: Path) -> None:
    spec = spec_of()
    policy = Foreign(spec)
    with pytest.raises(ValueError, match="chunk_size is 8, the contract says 9"):
        wrapped_checkpoint(policy, msgspec.structs.replace(spec, chunk_length=9), images=KEYS)
    with pytest.raises(ValueError, match="action_head is 'continuous', the contract says 'tokens'"):
        wrapped_checkpoint(policy, spec_of("tokens"), images=KEYS)
    with pytest.raises(ValueError, match="keys of the cameras"):
        wrapped_checkpoint(policy, spec, images={"front": "a"})
    with pytest.raises(PolicyFileError, match="can be exported, but not saved"):
        save_checkpoint(wrapped_checkpoint(policy, spec, images=KEYS), tmp_path / "m.pt")
    assert isinstance(uniform(spec), UniformActionTokenizer)
