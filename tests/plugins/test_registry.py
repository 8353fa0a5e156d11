"""Plug-ins are found by name; what is not there is said with what is, or with what brings it."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from vla_runtime.core.errors import ConfigError
from vla_runtime.core.sampling import Sampling
from vla_runtime.plugins import registry
from vla_runtime.plugins.registry import load_plugin, open_policy, plugin_options

from ..blocked import TRAIN_EXTRA, blocking

WITHOUT_TORCH = blocking(*TRAIN_EXTRA)


@pytest.mark.parametrize(
    ("kind", "name"), [("cameras", "zmq"), ("robots", "host"), ("policies", "onnx"), ("devices", "servo_arm")]
)
def test_ours_are_found_by_name(kind, name):
    assert isinstance(load_plugin(kind, name), type)


@pytest.mark.parametrize(
    ("kind", "valid"),
    [
        ("cameras", "zmq"),
        ("robots", "host"),
        ("policies", "onnx, torchscript; did you mean 'onnx'?"),
        ("devices", "servo_arm, sim_arm, toy_vla"),
    ],
)
def test_an_unknown_name_is_refused_with_its_place_and_the_known_ones(kind, valid):
    with pytest.raises(ConfigError) as caught:
        load_plugin(kind, "onxx", "$.x.type")
    assert str(caught.value) == f"$.x.type: there is no {kind} plug-in 'onxx'; valid: {valid}"


class Point:
    """An entry point of somebody else's."""

    name = "theirs"

    @staticmethod
    def load():
        return dict


def test_anyones_are_found_through_entry_points(monkeypatch):
    asked = []
    monkeypatch.setattr(registry, "entry_points", lambda group: asked.append(group) or [Point])
    assert load_plugin("cameras", "theirs") is dict
    assert asked == ["vla_runtime.cameras"]
    with pytest.raises(ConfigError, match="valid: theirs, zmq"):
        load_plugin("cameras", "other")


def test_only_a_policy_that_takes_sampling_is_given_it(monkeypatch):
    given = []

    class Plain:
        def __init__(self, path, threads):
            given.append((path, threads))

    class Sampled:
        def __init__(self, path, threads, sampling):
            given.append((path, threads, sampling))

    file = Path("policy")
    asked = Sampling("guidance", 4)
    monkeypatch.setattr(registry, "load_plugin", lambda kind, name, path: {"plain": Plain, "sampled": Sampled}[name])
    open_policy("plain", file, 2, Sampling())
    open_policy("plain", file, 2, Sampling("off"))
    open_policy("sampled", file, 2, asked)
    assert given == [(file, 2), (file, 2), (file, 2, asked)]
    for sampling in (asked, Sampling("guidance"), Sampling(draws=4)):
        with pytest.raises(ConfigError, match=r"\$\.policy: rtc .* draws given, policies of type 'plain' know neither"):
            open_policy("plain", file, 2, sampling)


@pytest.mark.parametrize(("kind", "name"), [("policies", "torchscript"), ("devices", "toy_vla")])
def test_without_torch_the_extra_that_brings_it_is_named(kind, name):
    code = WITHOUT_TORCH + (
        "from vla_runtime.core.errors import MissingExtra\n"
        "from vla_runtime.plugins.registry import load_plugin\n"
        f"try:\n    load_plugin({kind!r}, {name!r})\nexcept MissingExtra as error:\n    print(error)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    expected = f"{kind} plug-in {name!r} needs a package that is not installed: pip install 'vla-runtime[train]'"
    assert ended.stdout.strip() == expected


def test_without_torch_vla_host_refuses_the_toy_in_one_line():
    code = WITHOUT_TORCH + "from vla_runtime.cli.host import main\nsys.exit(main(['--robot', 'toy']))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("vla-host: devices plug-in 'toy_vla' needs a package")
    assert "pip install 'vla-runtime[train]'" in ended.stderr


class Plugin:
    class Options(msgspec.Struct, forbid_unknown_fields=True):
        gain: float
        name: str = "x"


def test_options_become_the_plug_ins_own_type():
    assert plugin_options(Plugin, {"gain": 2}, "$.o") == Plugin.Options(2.0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"gian": 1}, "$.o.gian: unknown key; valid: gain, name; did you mean 'gain'?"),
        ({"gain": "x"}, "$.o.gain: expected `float`, got `str`"),
        ({"gain": float("nan")}, "$.o.gain: nan, expected a finite number"),
        ({}, "$.o: object missing required field `gain`"),
        ([], "$.o: expected `object`, got `array`"),
        ({1: 2}, "$.o: key 1 is of type int, expected a string"),
    ],
)
def test_wrong_options_are_refused_with_their_place(options, said):
    with pytest.raises(ConfigError) as caught:
        plugin_options(Plugin, options, "$.o")
    assert str(caught.value) == said
