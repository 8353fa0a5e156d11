"""A config is loaded as it is meant, or refused with the key, what stands there and what may."""

import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_runtime.app.build import build_robot, device_context, loop_settings, planner_settings
from vla_runtime.app.config import RobotConfig
from vla_runtime.app.host import open_device
from vla_runtime.app.load import config_from, find_robot, load_config, shipped_robots
from vla_runtime.app.run import RunOptions, with_options
from vla_runtime.core.errors import ConfigError

SHIPPED = Path(__file__).resolve().parents[2] / "robot_configs"
ARM = yaml.safe_load((SHIPPED / "arm.yaml").read_text())


def changed(*path, to):
    """arm.yaml as data with one value replaced or added."""
    data = copy.deepcopy(ARM)
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return data


def without(*path):
    data = copy.deepcopy(ARM)
    place = data
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return data


def refusal(data):
    with pytest.raises(ConfigError) as caught:
        config_from(data, SHIPPED)
    return str(caught.value)


@pytest.mark.parametrize("name", ["arm", "toy", "tracker"])
def test_shipped_robots_load_and_have_their_policy(name):
    config = load_config(name)
    assert config.name == name
    assert with_options(config, RunOptions(name)).policy.file == str(
        SHIPPED / "policies" / Path(config.policy.file).name
    )
    assert shipped_robots()[name] == SHIPPED / f"{name}.yaml"


def test_a_name_and_its_path_are_the_same_robot():
    assert load_config("tracker") == load_config(str(SHIPPED / "tracker.yaml"))


def test_a_shipped_name_wins_over_a_file_of_that_name(tmp_path, monkeypatch):
    (tmp_path / "toy").write_text("name: other")
    monkeypatch.chdir(tmp_path)
    assert find_robot("toy") == SHIPPED / "toy.yaml"
    assert load_config("toy").name == "toy"


def test_a_relative_policy_file_is_beside_its_config(tmp_path, monkeypatch):
    text = (SHIPPED / "tracker.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(text)
    monkeypatch.chdir(tmp_path.parent)
    assert load_config(f"{tmp_path.name}/mine.yaml").policy.file == str(tmp_path / "policies" / "toy.onnx")
    (tmp_path / "mine.yaml").write_text(text.replace("policies/toy.onnx", "/elsewhere/toy.onnx"))
    assert load_config(str(tmp_path / "mine.yaml")).policy.file == "/elsewhere/toy.onnx"


@pytest.mark.parametrize(
    ("robot", "expected"),
    [
        ("trakcer", "valid: arm, toy, tracker; did you mean 'tracker'?"),
        ("", "valid: arm, toy, tracker"),
        ("a" * 5000, "valid: arm, toy, tracker"),
        ("nowhere.yaml", "there is no file 'nowhere.yaml'"),
        ("a/b", "there is no file 'a/b'"),
        ("\0", "valid: arm, toy, tracker"),
    ],
)
def test_an_unknown_robot_is_refused_with_the_known_ones(robot, expected):
    with pytest.raises(ConfigError) as caught:
        load_config(robot)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("path", "key", "said"),
    [
        ((), "jionts", "$.jionts: unknown key; valid: cameras, chunks, "),
        (
            ("joints", 3),
            "velocty",
            "$.joints[3].velocty: unknown key; valid: acceleration, align_tolerance, interpolation, jerk, ",
        ),
        (
            ("cameras", 1),
            "hieght",
            "$.cameras[1].hieght: unknown key; valid: clock, encoding, endpoint, fps, frozen_ms, height, ",
        ),
        (("robot",), "kind", "$.robot.kind: unknown key; valid: endpoint, insecure, options, type"),
        (("device",), "dead_man", "$.device.dead_man: unknown key; valid: dead_man_ms, options, type"),
        (
            ("control",),
            "rate",
            "$.control.rate: unknown key; valid: gap_timeout_ms, hold_timeout_ms, rate_hz, settle_ms, state_timeout_ms",
        ),
        (("policy",), "replan", "$.policy.replan: unknown key; valid: answer_timeout_ms, draws, file, "),
        (("log",), "dir", "$.log.dir: unknown key; valid: directory"),
        (("realtime",), "prio", "$.realtime.prio: unknown key; valid: cpus, host_priority, lock_memory, priority, "),
        (("realtime", "cpus"), "camera", "$.realtime.cpus.camera: unknown key; valid: control, host, planner, rec"),
    ],
)
def test_an_unknown_key_is_refused_with_the_known_ones(path, key, said):
    assert said in refusal(changed(*path, key, to=1))


def test_a_misspelt_key_is_suggested():
    assert refusal(changed("control", "rate_hertz", to=1)).endswith("did you mean 'rate_hz'?")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ((), None, "$: expected `object`, got `null`"),
        ((), [1], "$: expected `object`, got `array`"),
        ((), "x", "$: expected `object`, got `str`"),
        (("joints",), {}, "$.joints: expected `array`, got `object`"),
        (("joints", 2), "elbow", "$.joints[2]: expected `object`, got `str`"),
        (("joints", 0, "velocity"), "fast", "$.joints[0].velocity: expected `float`, got `str`"),
        (("joints", 0, "velocity"), True, "$.joints[0].velocity: expected `float`, got `bool`"),
        (("joints", 0, "position"), [1], "$.joints[0].position: expected `array` of length 2, got 1"),
        (("joints", 1, "position", 1), "x", "$.joints[1].position[1]: expected `float`, got `str`"),
        (("cameras", 0, "height"), 32.5, "$.cameras[0].height: expected `int`, got `float`"),
        (("cameras", 0, "insecure"), 1, "$.cameras[0].insecure: expected `bool`, got `int`"),
        (("name",), False, "$.name: expected `str`, got `bool`"),
        (("control",), None, "$.control: expected `object`, got `null`"),
        (("robot", "options"), [], "$.robot.options: expected `object`, got `array`"),
        (("policy", "replan_interval"), 2.5, "$.policy.replan_interval: expected `int | null`, got `float`"),
        (("extras",), [3], "$.extras[0]: expected `str`, got `int`"),
        (("joints", 0, "velocity"), 0, "$.joints[0].velocity: expected `float` > 0.0, got 0"),
        (("control", "rate_hz"), 5000, "$.control.rate_hz: expected `float` <= 2000.0, got 5000"),
        (("cameras", 0, "width"), 0, "$.cameras[0].width: expected `int` >= 1, got 0"),
        (("cameras", 0, "width"), 10_000, "$.cameras[0].width: expected `int` <= 8192, got 10000"),
        (("policy", "replan_interval"), 0, "$.policy.replan_interval: expected `int` >= 1, got 0"),
        (("policy", "draws"), 0, "$.policy.draws: expected `int` >= 1, got 0"),
        (("policy", "draws"), 65, "$.policy.draws: expected `int` <= 64, got 65"),
        (("policy", "rtc"), "soft", "$.policy.rtc: "),
        (("policy", "threads"), 10**6, "$.policy.threads: expected `int` <= 256, got 1000000"),
        (("realtime", "priority"), 91, "$.realtime.priority: expected `int` <= 90, got 91"),
        (("realtime", "priority"), -1, "$.realtime.priority: expected `int` >= 0, got -1"),
        (("realtime", "spin_us"), 201, "$.realtime.spin_us: expected `int` <= 200, got 201"),
        (("realtime", "cpus", "host"), [-1], "$.realtime.cpus.host[0]: expected `int` >= 0, got -1"),
        (("control", "settle_ms"), -1, "$.control.settle_ms: expected `float` >= 0.0, got -1"),
        (("name",), "../up", "$.name: expected `str` matching regex"),
        (("name",), "line\n", "$.name: expected `str` matching regex"),
        (("joints", 0, "name"), "", "$.joints[0].name: expected `str` matching regex"),
        (("cameras", 0, "name"), "a" * 65, "$.cameras[0].name: expected `str` of length <= 64"),
        (("joints", 0, "unit"), "deg", "$.joints[0].unit: 'deg' is not possible; valid: m, none, rad"),
        (
            ("cameras", 1, "encoding"),
            "jpg",
            "$.cameras[1].encoding: 'jpg' is not possible; valid: jpeg, raw; did you mean",
        ),
        (("host",), "loca", "$.host: 'loca' is not possible; valid: local, remote; did you mean 'local'?"),
        (("host",), 1, "$.host: "),
        (("control", "rate_hz"), 10**400, "$.control.rate_hz: a whole number too large"),
        (("instruction",), "a\0b", r"$.instruction: 'a\x00b' holds a character that no text can hold"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place_and_what_is_expected(path, value, said):
    assert said in refusal(changed(*path, to=value) if path else value)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (("joints",), "$: object missing required field `joints`"),
        (("instruction",), "$: object missing required field `instruction`"),
        (("joints", 4, "unit"), "$.joints[4]: object missing required field `unit`"),
        (("cameras", 0, "height"), "$.cameras[0]: object missing required field `height`"),
        (("device", "type"), "$.device: object missing required field `type`"),
        (("control", "rate_hz"), "$.control: object missing required field `rate_hz`"),
        (("policy", "file"), "$.policy: object missing required field `file`"),
        (("policy", "step_hz"), "$.policy: object missing required field `step_hz`"),
    ],
)
def test_a_missing_key_is_named(path, said):
    assert refusal(without(*path)) == said


def number_places(kind, path):
    for field in msgspec.structs.fields(kind):
        place = (*path, field.encode_name)
        if field.encode_name in ("joints", "cameras"):
            yield from number_places(field.type.__args__[0], (*place, 0))
        elif "Config" in str(field.type):
            inner = [part for part in getattr(field.type, "__args__", (field.type,)) if part is not type(None)]
            yield from number_places(inner[0], place)
        elif "float" in str(field.type) and field.encode_name != "position":
            yield place


NUMBERS = [*number_places(RobotConfig, ()), ("joints", 0, "position", 0), ("joints", 6, "position", 1)]


def test_the_places_of_numbers_were_found():
    assert {("device", "dead_man_ms"), ("control", "rate_hz"), ("cameras", 0, "fps"), ("joints", 0, "velocity")} <= {
        *NUMBERS
    }
    assert len(NUMBERS) >= 20


@pytest.mark.parametrize("path", NUMBERS, ids=str)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_no_number_may_be_nan_or_infinite(path, value):
    said = refusal(changed(*path, to=value))
    assert said.startswith("$." + str(path[0]))
    assert said.endswith(f"{path[-1]}: {value}, expected a finite number" if isinstance(path[-1], str) else "number")


@pytest.mark.parametrize("value", [{"a": float("nan")}, {"a": [1, {"b": float("inf")}]}])
def test_not_even_in_a_plug_ins_options(value):
    assert refusal(changed("device", "options", to=value)).startswith("$.device.options.a")


@pytest.mark.parametrize("position", [[1.0, -1.0], [0.5, 0.5]])
def test_reversed_limits_are_refused(position):
    said = refusal(changed("joints", 2, "position", to=position))
    assert said == f"$.joints[2].position: joint 'elbow' has position limits {position}, expected low < high"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("joints", 1, "name"), "base", "$.joints: base is named twice"),
        (("cameras", 1, "name"), "front", "$.cameras: front is named twice"),
        (("extras",), ["force", "force"], "$.extras: force is named twice"),
        (("extras",), ["base.velocity"], "$.extras: base.velocity is what a joint measures"),
        (("joints",), [], "$.joints: a robot needs at least one joint"),
        (("instruction",), "  ", "$.instruction: the instruction is empty"),
        (("realtime", "priority"), 31, "$.realtime.host_priority: 30 is below the priority of the control process, 31"),
        (("device",), None, "$.device: host: local needs a device for vla-host to drive"),
    ],
)
def test_a_config_that_contradicts_itself_is_refused(path, value, said):
    assert said in refusal(changed(*path, to=value))


@pytest.mark.parametrize("path", [("robot",), ("cameras", 0)])
def test_an_endpoint_beyond_this_machine_needs_an_explicit_insecure(path):
    data = changed(*path, "endpoint", to="tcp://192.168.1.7:5555")
    where = "$.robot.endpoint" if path == ("robot",) else "$.cameras[0].endpoint"
    said = refusal(data)
    assert said.startswith(f"{where}: 'tcp://192.168.1.7:5555' reaches beyond this machine")
    assert "insecure: true" in said
    place = data["robot"] if path == ("robot",) else data["cameras"][0]
    place["insecure"] = True
    assert config_from(data, SHIPPED)
    place["endpoint"] = "192.168.1.7:5555"
    assert refusal(data).startswith(f"{where}: '192.168.1.7:5555' is no endpoint; expected ipc:///path")


def test_a_missing_policy_file_is_refused_with_its_key_or_option(tmp_path):
    config = config_from(changed("policy", "file", to="policies/none.onnx"), SHIPPED)
    with pytest.raises(ConfigError) as caught:
        with_options(config, RunOptions("arm"))
    assert str(caught.value) == f"$.policy.file: there is no policy file '{SHIPPED}/policies/none.onnx'"
    with pytest.raises(ConfigError, match=r"--policy: there is no policy file"):
        with_options(config, RunOptions("arm", policy=str(tmp_path / "none.ts")))
    with pytest.raises(ConfigError, match=r"should end in one of \.onnx, \.ts"):
        with_options(config, RunOptions("arm", policy="policy.pt"))


def test_the_command_line_wins_over_the_config():
    file = str(SHIPPED / "policies" / "toy.onnx")
    options = RunOptions("arm", policy=file, instruction="reach the blue block", log_directory="elsewhere")
    config = with_options(load_config("arm"), options)
    assert (config.policy.file, config.policy.type) == (file, "onnx")
    assert (config.instruction, config.log.directory) == ("reach the blue block", "elsewhere")


NO_CONFIG = {
    "no YAML": b"name: [unclosed",
    "a tab": b"name:\n\t- x",
    "not UTF-8": b"name: \xff\xfe\xfa",
    "bytes": bytes(range(256)),
    "two documents": b"name: a\n---\nname: b",
    "no int": b"!!int x",
    "empty int": b'!!int ""',
    "no bool": b"!!bool x",
    "no timestamp": b"!!timestamp x",
    "no date": b"a: 2001-13-40",
    "no hex": b"a: 0x_",
    "a long int": b"a: " + b"1" * 5000,
    "an unknown alias": b"a: *b",
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep in blocks": b"- " * 200 + b"x",
    "a list as key": b"? [a]\n: 1",
    "a key twice": b"name: a\ninstruction: x\nname: b",
    "a nested key twice": b"control: {rate_hz: 100, rate_hz: 200}",
    "an object": b"!!python/object/apply:os.system [touch executed]",
    "a Python name": b"name: !!python/name:os.system",
    "a module": b"name: !!python/module:os",
    "a tuple": b"joints: !!python/tuple [1]",
}


@pytest.mark.parametrize("text", NO_CONFIG.values(), ids=NO_CONFIG)
def test_what_is_no_yaml_is_refused_with_the_file(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "robot.yaml").write_bytes(text)
    with pytest.raises(ConfigError, match=r"robot\.yaml is not YAML: ."):
        load_config("robot.yaml")
    assert [file.name for file in tmp_path.iterdir()] == ["robot.yaml"]


NO_ROBOT = {
    "empty": (b"", "$: expected `object`, got `null`"),
    "only a comment": (b"# x", "$: expected `object`, got `null`"),
    "a word": (b"arm", "$: expected `object`, got `str`"),
    "a date": (b"name: 2001-01-01", "$.name: a date, expected text"),
    "bytes": (b"name: !!binary aGFsbG8=", "$.name: a bytes, expected text"),
    "a set": (b"joints: !!set {a, b}", "$.joints: a set, expected text"),
    "a number as key": (b"1: 2", "$: key 1 is of type int, expected a string"),
    "a list in itself": (b"extras: &a [*a]", "$: nested deeper than 32 levels"),
    "a million laughs": (
        b"a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (c + 1, c + 1, b",".join([b"*%c" % c] * 10)) for c in range(97, 104)),
        "$: more than 100000 values",
    ),
}


@pytest.mark.parametrize(("text", "said"), NO_ROBOT.values(), ids=NO_ROBOT)
def test_yaml_that_is_no_robot_is_refused_with_the_place(text, said, tmp_path):
    (tmp_path / "robot.yaml").write_bytes(text)
    with pytest.raises(ConfigError) as caught:
        load_config(str(tmp_path / "robot.yaml"))
    assert said in str(caught.value)


def test_a_directory_or_a_secret_is_no_robot(tmp_path):
    (tmp_path / "robot.yaml").mkdir()
    with pytest.raises(ConfigError, match="there is no file"):
        load_config(str(tmp_path / "robot.yaml"))


def loads_or_refuses(data):
    """Everything that is made of a config without touching the outside world is made of one that loads."""
    try:
        config = config_from(data, SHIPPED)
    except ConfigError as error:
        assert str(error).startswith("$")  # noqa: PT017
        return None
    assert isinstance(config, RobotConfig)
    assert config.period_ns > 0
    assert config.step_ns > 0
    loop_settings(config)
    device_context(config)
    planner_settings(config, Path("/run/x"))
    again = msgspec.json.decode(msgspec.json.encode(config))
    assert config_from(again, SHIPPED) == config
    return config


def places(data, path=()):
    """The path of every value in ``data``."""
    yield path
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from places(value, (*path, key))


PLACES = [path for path in places(ARM) if path]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates()
    | st.sampled_from(["m", "raw", "local", "tcp://1.2.3.4:5", "ipc:///x", "", 0, -1, 1e308, 5e-324, 10**400, 2**63]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(path=st.sampled_from(PLACES), value=ANYTHING)
def test_anything_anywhere_loads_or_is_refused(path, value):
    loads_or_refuses(changed(*path, to=value))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_config_with_parts_moved_about_loads_or_is_refused(data):
    config = copy.deepcopy(ARM)
    for _ in range(data.draw(st.integers(1, 4))):
        here, there = (data.draw(st.sampled_from([path for path in places(config) if path])) for _ in range(2))
        take, put = config, config
        for key in here:
            take = take[key]
        for key in there[:-1]:
            put = put[key]
        put[there[-1]] = copy.deepcopy(take)
    loads_or_refuses(config)


@settings(max_examples=200, deadline=None)
@given(ANYTHING)
def test_anything_at_all_loads_or_is_refused(value):
    assert loads_or_refuses(value) is None


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_file_loads_or_is_refused(data, tmp_path_factory):
    text = bytearray((SHIPPED / "tracker.yaml").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        text[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=3) | st.sampled_from([b"*", b"&a ", b"!!int ", b"\n", b": ", b"{", b"]", b"- ", b"<<: "])
        )
    path = tmp_path_factory.getbasetemp() / "damaged.yaml"
    path.write_bytes(text)
    try:
        assert isinstance(load_config(str(path)), RobotConfig)
    except ConfigError as error:
        assert str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("kind", "path", "valid"),
    [("devices", ("device", "type"), "servo_arm, sim_arm, toy_vla"), ("robots", ("robot", "type"), "host")],
)
def test_an_unknown_plug_in_is_refused_with_the_known_ones(kind, path, valid):
    config = config_from(changed(*path, to="sevo_arm"), SHIPPED)
    build = {"devices": open_device, "robots": lambda config: build_robot(config, Path("/x"), lambda: "")}[kind]
    with pytest.raises(ConfigError) as caught:
        build(config)
    assert f"$.{'.'.join(path)}: there is no {kind} plug-in 'sevo_arm'; valid: {valid}" in str(caught.value)


def options_refusal(**options):
    config = config_from(changed("device", "options", to=ARM["device"]["options"] | options), SHIPPED)
    with pytest.raises(ConfigError) as caught:
        open_device(config)
    return str(caught.value)


def test_wrong_plug_in_options_are_refused_with_the_place_and_the_valid_ones():
    valid = "cameras, endless, gl, leniency, rate_hz"
    assert options_refusal(speed=1) == f"$.device.options.speed: unknown key; valid: {valid}"
    assert options_refusal(rate_hz="x") == "$.device.options.rate_hz: expected `float`, got `str`"
    assert options_refusal(rate_hz=0) == "$.device.options.rate_hz: expected `float` >= 10.0, got 0"
    assert options_refusal(gl="egll").startswith(
        "$.device.options.gl: 'egll' is not possible; valid: egl, osmesa; did you mean 'egl'?"
    )


def test_the_robots_own_options_are_checked_too():
    config = config_from(changed("robot", "options", to={"timeout": 1}), SHIPPED)
    with pytest.raises(ConfigError, match=r"\$\.robot\.options\.timeout: unknown key; valid: clock, timeout_s; did"):
        build_robot(config, Path("/x"), lambda: "")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("joints",), ARM["joints"][:6], r"\$\.joints: base, .* given, sim_arm has base, .*gripper"),
        (("extras",), ["force"], r"\$\.extras: force given, sim_arm measures no extras"),
    ],
)
def test_a_device_that_is_not_the_configs_is_refused(path, value, said):
    with pytest.raises(ConfigError, match=said):
        open_device(config_from(changed(*path, to=value), SHIPPED))


def missing_keys(kind, shown, path="$"):
    for field in msgspec.structs.fields(kind):
        where = f"{path}.{field.encode_name}"
        if field.encode_name not in shown:
            yield where
            continue
        value = shown[field.encode_name]
        for part in (field.type, *getattr(field.type, "__args__", ())):
            if isinstance(part, type) and issubclass(part, msgspec.Struct):
                yield from missing_keys(part, value[0] if isinstance(value, list) else value, where)


def test_the_template_shows_every_key_there_is():
    template = (SHIPPED / "arm.yaml").read_text()
    assert [*missing_keys(RobotConfig, yaml.safe_load(template))] == []


def test_what_the_template_calls_a_default_is_the_default():
    config = config_from(ARM, SHIPPED)
    least = {key: ARM[key] for key in ("name", "instruction", "joints", "control", "policy")} | {
        "cameras": [{"name": "front", "height": 96, "width": 96}]
    }
    bare = config_from(least, SHIPPED)
    # A simulated camera at rest repeats its picture; what is said of a real one's default is checked here.
    assert msgspec.structs.replace(config.cameras[0], frozen_ms=500.0) == bare.cameras[0]
    assert config.log == bare.log
    assert msgspec.structs.replace(config.robot, options={}) == bare.robot
    control = config_from(least | {"control": {"rate_hz": 100}}, SHIPPED).control
    assert config.control == control
    assert config_from(least | {"realtime": {}}, SHIPPED).realtime == config.realtime
    assert bare.realtime is None
    policy = {"file": ARM["policy"]["file"], "step_hz": 20, "replan_interval": 2}
    assert config.policy == config_from(least | {"policy": policy}, SHIPPED).policy


def test_a_log_directory_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "taken").write_text("a file")
    ended = subprocess.run(
        [sys.executable, "-m", "vla_runtime.cli.run", "--robot", "tracker", "--log", "taken", "--json"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert json.loads(ended.stdout)["cause"] == "log directory: cannot make 'taken': File exists"


def test_both_commands_refuse_a_bad_config_in_one_line(tmp_path):
    (tmp_path / "robot.yaml").write_text(yaml.safe_dump(changed("joints", 0, "unit", to="deg")))
    for command in ("run", "host"):
        ended = subprocess.run(
            [sys.executable, "-m", f"vla_runtime.cli.{command}", "--robot", "robot.yaml", "--json"],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert ended.returncode == 2
        assert ended.stderr == f"vla-{command}: $.joints[0].unit: 'deg' is not possible; valid: m, none, rad\n"
        report = json.loads(ended.stdout)
        assert (report["exit"], f"vla-{command}: {report['cause']}\n") == ("refused", ended.stderr)


@pytest.mark.parametrize(
    ("camera", "said"),
    [
        ({"clock": "local"}, ""),
        ({"clock": "robot"}, ""),
        ({"clock": "ipc:///tmp/clock"}, ""),
        ({"clock": "tcp://10.0.0.2:5560", "insecure": True}, ""),
        ({"clock": "tcp://10.0.0.2:5560"}, "beyond this machine"),
        ({"clock": "remote"}, "'remote' given, expected local, robot or the endpoint of a clock service"),
        (
            {"clock": "robot", "type": "mine"},
            "'robot' given, expected local: a camera of type 'mine' stamps its frames",
        ),
    ],
)
def test_the_clock_of_a_camera_is_ours_the_robots_or_one_that_can_be_asked(camera, said):
    config = ARM | {"cameras": [ARM["cameras"][0] | camera]}
    if said:
        with pytest.raises(ConfigError, match=rf"\$\.cameras\[0\]\.clock.*{re.escape(said)}"):
            config_from(config, SHIPPED)
    else:
        assert config_from(config, SHIPPED).cameras[0].clock == camera["clock"]


@pytest.mark.parametrize(("age_ms", "interval", "fits"), [(0, 2, True), (101, 2, True), (100, 2, False), (60, 1, True)])
def test_a_plan_that_is_too_old_before_the_next_takes_over_is_refused(age_ms, interval, fits):
    policy = ARM["policy"] | {"max_plan_age_ms": age_ms, "replan_interval": interval}
    if fits:
        assert config_from(ARM | {"policy": policy}, SHIPPED).policy.max_plan_age_ms == age_ms
    else:
        with pytest.raises(ConfigError, match=r"\$\.policy\.max_plan_age_ms.*more than the 100 ms"):
            config_from(ARM | {"policy": policy}, SHIPPED)
