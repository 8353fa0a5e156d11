"""docs/policy-file.md and docs/log.md describe the files as they are, and their code reads them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import numpy as np
import pytest

from vla_runtime.core.golden import golden_images, golden_state
from vla_runtime.core.spec import PolicySpec
from vla_runtime.episode.jsonschema import PAYLOADS
from vla_runtime.episode.reader import read_episode
from vla_runtime.plugins.planners.golden import check_golden
from vla_runtime.plugins.policies.onnx import OnnxPolicy

from .markdown import ROOT, blocks, rows, run, section, write_modules

POLICY, LOG = ROOT / "docs" / "policy-file.md", ROOT / "docs" / "log.md"
TOY = ROOT / "robot_configs" / "policies" / "toy.onnx"


@pytest.fixture(scope="module")
def episode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("log")
    done = run("vla-run --robot tracker --episodes 1 --json", directory)
    return (directory / json.loads(done.stdout)["log"]).rename(directory / "episode.mcap")


def test_the_contracts_fields_are_the_documented_ones() -> None:
    def fields(kind: type) -> list[str]:
        return [field.name for field in msgspec.structs.fields(kind)]

    table = rows(section(POLICY, "## Fields of the contract"))
    assert [row[0] for row in table] == fields(PolicySpec)
    from vla_runtime.core import spec

    nested = {
        "actions": spec.ActionSpec,
        "state": spec.StateSpec,
        "cameras": spec.CameraSpec,
        "instruction": spec.InstructionEncoding,
        "normalisation": spec.Normalisation,
        "golden": spec.GoldenSample,
    }
    for name, kind, _ in table:
        listed = re.search(r"\{(.+)\}", kind)
        assert (listed.group(1).split(", ") if listed else None) == (fields(nested[name]) if name in nested else None)


def test_the_code_that_reads_a_contract_prints_it(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").symlink_to(TOY)
    (tmp_path / "read.py").write_text(blocks(POLICY, "python")[0].text)
    printed = run("python read.py", tmp_path).stdout
    assert PolicySpec.from_json(printed).name == "toy"


def test_the_golden_inputs_follow_the_documented_formula() -> None:
    policy = OnnxPolicy(TOY)
    spec = policy.spec
    for c, camera in enumerate(spec.cameras):
        count = camera.height * camera.width * 3
        expected = [(31 * n + 17 * n // 7 + 53 * c) % 256 for n in range(count)]
        assert golden_images(spec)[camera.name].ravel().tolist() == expected
    mean, std = spec.normalisation.state_mean, spec.normalisation.state_std
    expected_state = np.float32([m + s * np.sin(1 + i) for i, (m, s) in enumerate(zip(mean, std, strict=True))])
    assert golden_state(spec).tolist() == expected_state.tolist()


def test_the_shipped_policy_has_the_documented_tensors() -> None:
    documented = [row[0] for row in rows(section(POLICY, "## Inputs and output"))]
    import onnxruntime

    session = onnxruntime.InferenceSession(str(TOY), providers=["CPUExecutionProvider"])
    found = [entry.name for entry in (*session.get_inputs(), *session.get_outputs())]
    assert [re.sub(r"image\..+", "image.<camera>", name) for name in found] == documented


def test_a_contract_added_as_documented_makes_a_file_that_passes_its_golden_sample_and_runs(tmp_path: Path) -> None:
    import onnx

    spec = OnnxPolicy(TOY).spec
    bare = onnx.load(str(TOY))
    del bare.metadata_props[:]
    onnx.save(bare, str(tmp_path / "bare.onnx"))
    write_modules(POLICY, tmp_path)
    (tmp_path / "spec.json").write_bytes(msgspec.structs.replace(spec, golden=None).to_json())
    call = "add_contract('bare.onnx', PolicySpec.from_json(open('spec.json').read()), 'mine.onnx')"
    run(f'python -c "from add_contract import *; {call}"', tmp_path, tmp_path)
    assert check_golden(OnnxPolicy(tmp_path / "mine.onnx")) < 1e-6
    run("vla-run --robot tracker --policy mine.onnx --episodes 1 --no-log", tmp_path)


def test_the_code_that_reads_a_log_prints_every_record(episode: Path) -> None:
    found = read_episode(episode)
    states = sum(map(len, found.states_by_tick.values()))
    frames = len(list(found.frames("image")))
    assert min(states, frames) > 0
    for block, lines in zip(blocks(LOG, "python"), (len(found.ticks), states + frames), strict=True):
        (episode.parent / "read.py").write_text(block.text)
        assert len(run("python read.py", episode.parent).stdout.splitlines()) == lines


def test_the_topics_and_their_fields_are_the_documented_ones(episode: Path) -> None:
    table = rows(section(LOG, "## Topics"))
    listed = {topic: set(re.findall(r"`(\w+)`", fields)) for topic, _, fields in table if topic != "/camera/<name>"}
    assert set(listed) == set(PAYLOADS)
    from mcap.reader import make_reader

    with episode.open("rb") as file:
        for _, channel, message in make_reader(file).iter_messages():
            if not channel.topic.startswith("/camera/"):
                assert set(json.loads(message.data)) == listed[channel.topic], channel.topic


def test_the_metadata_keys_are_the_documented_ones(episode: Path) -> None:
    found = read_episode(episode)
    text = section(LOG, "## Metadata")
    assert {row[0] for row in rows(text)} == set(found.metadata)
    end = text.partition("`vla_runtime_end`")[2]
    assert set(re.findall(r"`(\w+)`", end)) == set(found.ended)
