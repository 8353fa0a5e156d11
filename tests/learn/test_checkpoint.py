"""A checkpoint comes back as it was, and nothing else is taken for one."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch

from vla_runtime.core.errors import PolicyFileError
from vla_runtime.learn import toy
from vla_runtime.learn.atomic import replacing
from vla_runtime.learn.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.keys import ACTION, STATE
from vla_runtime.learn.policy import build_policy
from vla_runtime.learn.visuomotor import VisuomotorPolicy


def make_checkpoint(head: str = "continuous") -> Checkpoint:
    data = toy.collect(8, 6)
    spec = make_spec(toy.facts(), data[STATE], data[ACTION], head)
    return Checkpoint(spec, build_policy(spec, hidden_dim=32, seed=3), {"hidden_dim": 32}, {"method": "bc", "steps": 1})


@pytest.mark.parametrize("head", ["continuous", "tokens"])
def test_a_round_trip_changes_nothing(tmp_path: Path, head: str) -> None:
    before = make_checkpoint(head)
    save_checkpoint(before, tmp_path / "model.pt")
    after = load_checkpoint(tmp_path / "model.pt")
    assert after.spec == before.spec
    assert after.training == before.training
    assert len(after.sha256) == 64
    state = before.policy.state_dict()
    assert after.policy.state_dict().keys() == state.keys()
    for name, value in after.policy.state_dict().items():
        assert torch.equal(value, state[name])
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]


def test_a_visuomotor_policy_comes_back_as_one(tmp_path: Path) -> None:
    spec = make_checkpoint().spec
    sizes = {"channels": 4, "keypoints": 3, "hidden_dim": 16, "text_dim": 5}
    policy = build_policy(spec, "visuomotor", seed=3, **sizes)
    save_checkpoint(Checkpoint(spec, policy, sizes, architecture="visuomotor"), tmp_path / "model.pt")
    after = load_checkpoint(tmp_path / "model.pt")
    assert isinstance(after.policy, VisuomotorPolicy)
    assert (after.architecture, after.policy_kwargs) == ("visuomotor", sizes)
    for a, b in zip(after.policy.parameters(), policy.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_checkpoint_of_version_1_is_a_tiny_one(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    save_checkpoint(make_checkpoint(), path)
    content = torch.load(path, weights_only=True)
    del content["architecture"]
    torch.save(content | {"format_version": 1}, path)
    assert load_checkpoint(path).architecture == "tiny"
    torch.save(content, path)
    with pytest.raises(PolicyFileError, match="field 'architecture' is NoneType"):
        load_checkpoint(path)


def test_equal_checkpoints_are_equal_files(tmp_path: Path) -> None:
    checkpoint = make_checkpoint()
    save_checkpoint(checkpoint, tmp_path / "one.pt")
    save_checkpoint(checkpoint, tmp_path / "two.pt")
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "two.pt").read_bytes()


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("exploded",)


def test_pickled_code_is_refused_and_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"format_version": 1, "bomb": Bomb()}, tmp_path / "torch.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb()))
    for name in ("torch.pt", "plain.pt"):
        with pytest.raises(PolicyFileError, match="not a checkpoint written by vla-train"):
            load_checkpoint(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("junk", [b"", b"junk", b"PK\x03\x04 not a zip"])
def test_junk_is_refused(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "model.pt").write_bytes(junk)
    with pytest.raises(PolicyFileError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "model.pt")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyFileError, match="No such file"):
        load_checkpoint(tmp_path / "model.pt")


def test_another_version_or_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    save_checkpoint(make_checkpoint(), path)
    content = torch.load(path, weights_only=True)
    for change, message in (
        ({"format_version": 3}, "checkpoint version 3, this release reads 1 and 2"),
        ({"architecture": "huge"}, "architecture 'huge' given; valid: act, flow, tiny, visuomotor"),
        ({"architecture": 1}, "field 'architecture' is int, not str"),
        ({"architecture": "visuomotor"}, "do not fit its contract"),
        ({"spec": "{}"}, "contract"),
        ({"state_dict": {}}, "do not fit its contract"),
        ({"policy": {"hidden_dim": 16}}, "do not fit its contract"),
        ({"policy": {"colour": 1}}, "do not fit its contract"),
        ({"training": None}, "field 'training' is NoneType, not dict"),
    ):
        torch.save(content | change, path)
        with pytest.raises(PolicyFileError, match=message):
            load_checkpoint(path)
    torch.save([1, 2], path)
    with pytest.raises(PolicyFileError, match="holds list"):
        load_checkpoint(path)


def test_a_failed_save_keeps_the_older_file(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"older")

    def write_and_fail() -> None:
        with replacing(path) as draft:
            draft.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_fail()
    assert path.read_bytes() == b"older"
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]
    with pytest.raises(PolicyFileError, match="does not exist"):
        save_checkpoint(make_checkpoint(), tmp_path / "missing" / "model.pt")
