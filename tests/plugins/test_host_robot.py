"""HostRobot and a vla-host in its own process: who may lead, what is taken, and who stops the robot when."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest
import zmq

from vla_runtime.app.load import load_config
from vla_runtime.core.errors import DeviceLost, MalformedMessage, Refusal
from vla_runtime.core.protocols import StopCategory
from vla_runtime.plugins.robots.host import HostRobot
from vla_runtime.wire import robot as wire
from vla_runtime.wire.sockets import open_socket, receive_all, send

CONFIG = load_config("tracker")
PUSH = CONFIG.instruction
HOME = np.zeros(4)


class Host:
    """A vla-host as a process."""

    def __init__(self, directory, *options):
        self.directory = Path(directory)
        self.endpoint = f"ipc://{directory}/robot"
        command = [
            sys.executable,
            "-m",
            "vla_runtime.cli.host",
            "--robot",
            "tracker",
            "--ipc",
            str(directory),
            "--json",
        ]
        self.process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self):
        """Its exit code, its report and what it said."""
        self.process.send_signal(signal.SIGTERM)
        output, said = self.process.communicate(timeout=30)
        return self.process.returncode, json.loads(output.splitlines()[-1]), said


@pytest.fixture
def ipc():
    directory = tempfile.mkdtemp(prefix="vla-test-")
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def host(ipc):
    host = Host(ipc)
    yield host
    if host.process.poll() is None:
        host.process.kill()
        host.process.communicate()


@pytest.fixture
def client(host):
    robot = robot_at(host)
    robot.connect()
    yield robot
    robot.close()


def robot_at(host, joints=CONFIG.joint_names, extras=CONFIG.extras, timeout_s=20.0, alive=lambda: ""):
    options = HostRobot.Options(timeout_s=timeout_s)
    return HostRobot(host.endpoint, joints, extras, CONFIG.period_ns, options, alive)


class Raw:
    """A DEALER that says what it likes."""

    def __init__(self, host):
        self.socket = open_socket(zmq.Context.instance(), zmq.DEALER, connect=host.endpoint)

    def say(self, *parts):
        self.socket.send_multipart([part if isinstance(part, bytes) else wire.encode(part) for part in parts])

    def hear(self, kind, timeout_s=10.0):
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            self.socket.poll(20)
            for data in receive_all(self.socket):
                message = wire.decode_from_host(data)
                if isinstance(message, kind):
                    return message
        raise AssertionError(f"no {kind.__name__} came")


@pytest.fixture
def raw(host):
    raw = Raw(host)
    yield raw
    raw.socket.close()


def next_state(robot, command=None, timeout_s=10.0):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if command is not None:
            robot.write(command, time.monotonic_ns())
        if states := robot.read(time.monotonic_ns()):
            return states[-1]
        time.sleep(0.005)
    raise AssertionError("no state came")


def follow(robot, command, until, timeout_s=10.0):
    """Go on commanding until a state is as wanted."""
    end = time.monotonic() + timeout_s
    while not until(state := next_state(robot, command)):
        assert time.monotonic() < end, state
    return state


def lost(robot, timeout_s=10.0):
    """Why reading fails, once it does."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        try:
            robot.read(time.monotonic_ns())
        except DeviceLost as error:
            return str(error)
        time.sleep(0.005)
    raise AssertionError("the robot was not lost")


def test_connect_reset_read_write_and_report(host, client):
    assert client.dead_man_ns == 30_000_000
    client.reset(0, 5, PUSH)
    first = next_state(client)
    assert first.position.tolist() == [0.0] * 4
    assert (first.task.episode, first.task.step, first.task.done) == (0, 0, False)
    state = follow(client, first.extras, lambda state: state.task.done)
    assert state.task.success
    assert np.array_equal(state.position, first.extras)
    client.close()
    code, report, _ = host.end()
    assert code == 0
    assert (report["episodes"], report["successes"], report["refused_commands"], report["malformed"]) == (1, 1, 0, 0)
    assert report["commands"] >= 4
    assert report["dead_man_ms"] == []


def age_of_a_command_sent_at(client, sent_ns, episodes=30):
    """The age that the host gives to a command stamped ``sent_ns()``; begins anew when the dead man comes first."""
    for episode in range(episodes):
        client.reset(episode, 5, PUSH)
        assert next_state(client).command_age_ns is None
        client.write(HOME, sent_ns())
        try:
            while (age_ns := next_state(client).command_age_ns) is None:
                continue
        except DeviceLost:
            continue
        return age_ns
    raise AssertionError("no command was stepped under")


def test_the_host_says_how_old_the_command_was_that_it_stepped_under(host, client):
    early_ns = 5_000_000
    age_ns = age_of_a_command_sent_at(client, lambda: time.monotonic_ns() - early_ns)
    assert early_ns <= age_ns < 10_000_000_000
    client.close()
    _, report, _ = host.end()
    for name in ("command_age_us", "command_age_at_use_us"):
        assert early_ns / 1e3 * 0.99 <= report[name]["p50"] <= report[name]["max"]
    assert report["command_age_at_use_us"]["max"] >= age_ns / 1e3


def test_a_command_of_the_future_has_no_age(client):
    assert age_of_a_command_sent_at(client, lambda: 2**63) == 0


def test_the_same_seed_is_the_same_episode(client):
    targets = []
    for episode, seed in enumerate((5, 6, 5)):
        client.reset(episode, seed, PUSH)
        targets.append(next_state(client).extras.tolist())
    assert targets[0] == targets[2] != targets[1]


def test_a_second_client_is_refused_while_the_first_leads_and_welcome_after_it(host, client, raw):
    client.reset(0, 0, PUSH)
    follow(client, HOME, lambda state: state.task.step > 0)
    with closing(robot_at(host)) as second, ThreadPoolExecutor(1) as other:
        refused = other.submit(second.connect)
        while not refused.done():
            client.write(HOME, time.monotonic_ns())
            time.sleep(0.01)
        with pytest.raises(Refusal, match="another client leads this robot"):
            refused.result()
    for message in (wire.Command(0, 1, 0, (0.5,) * 4), wire.StopRequest(0), wire.Reset(1, 0, PUSH), wire.Goodbye()):
        raw.say(message)
        assert "you do not lead this robot" in raw.hear(wire.Refused).reason
    client.reset(1, 0, PUSH)  # the refused one changed nothing
    assert next_state(client).position.tolist() == [0.0] * 4
    client.close()
    second = robot_at(host)
    second.connect()
    second.reset(0, 1, PUSH)
    assert next_state(second)
    second.close()


def test_a_client_that_takes_over_begins_with_its_own_episode(host, client, raw):
    """The first one went without a word and without a command; the second asks for the same episode number."""
    client.reset(0, 5, PUSH)
    first = next_state(client).extras
    end = time.monotonic() + 20
    while True:
        raw.say(wire.Hello(wire.PROTOCOL, 1, CONFIG.period_ns))
        if isinstance(raw.hear((wire.Welcome, wire.Refused)), wire.Welcome):
            break
        assert time.monotonic() < end
        time.sleep(0.2)
    assert raw.hear(wire.State).stopped == "another client took over"
    raw.say(wire.Reset(0, 6, PUSH))
    while (state := raw.hear(wire.State)).stopped:
        assert time.monotonic() < end
    assert list(state.extras) != first.tolist()


def test_a_client_that_goes_silent_is_answered_by_the_dead_man(host, client):
    client.reset(0, 0, PUSH)
    follow(client, HOME, lambda state: state.task.step > 0)
    reason = lost(client)
    assert "stopped the robot: no command for" in reason
    assert "dead man at 30.0 ms" in reason
    client.write(HOME, time.monotonic_ns())
    assert "dead man" in lost(client)  # a command alone does not end it
    client.reset(1, 0, PUSH)
    follow(client, HOME, lambda state: state.task.step > 0)
    client.close()
    code, report, said = host.end()
    assert code == 0
    assert len(report["dead_man_ms"]) == 1
    assert report["dead_man_ms"][0] > 30
    assert said.count("dead man: no command for") == 1


def test_goodbye_is_no_alarm(host, client):
    client.reset(0, 0, PUSH)
    follow(client, HOME, lambda state: state.task.step > 0)
    client.close()
    time.sleep(0.2)
    code, report, _ = host.end()
    assert code == 0
    assert report["dead_man_ms"] == []


def test_before_the_first_command_there_is_no_alarm(host, client):
    client.reset(0, 0, PUSH)
    time.sleep(0.2)
    assert next_state(client)
    assert host.end()[1]["dead_man_ms"] == []


@pytest.mark.parametrize("category", [*StopCategory])
def test_a_requested_stop_stops_and_says_so(client, category):
    client.reset(0, 0, PUSH)
    client.stop(category)
    assert f"a stop of category {category:d} was requested" in lost(client)


def test_commands_outside_the_limits_or_the_episode_are_refused_and_counted(host, raw):
    raw.say(wire.Hello(wire.PROTOCOL, 1, 1_000_000_000))
    raw.hear(wire.Welcome)
    raw.say(wire.Command(0, 0, 0, (0.5,) * 4))  # before any episode
    raw.say(wire.Reset(7, 0, PUSH))
    refused = [(1.01, 0, 0, 0), (0, 0, 0, -1.01), (0, 0, 0), (0,) * 5, (), (1e308,) * 4]
    for position in refused:
        raw.say(wire.Command(7, 0, 0, position))
    for episode in (6, 8, -1):
        raw.say(wire.Command(episode, 0, 0, (0.5,) * 4))
    nonsense = [float("nan"), float("inf"), -float("inf")]
    for value in nonsense:
        raw.say(wire.Command(7, 0, 0, (value, 0, 0, 0)))
    raw.say(wire.Reset(8, 0, PUSH))
    while (state := raw.hear(wire.State)).episode != 8:
        pass
    assert state.position == (0.0,) * 4
    raw.say(wire.Goodbye())
    raw.socket.close(1000)
    code, report, _ = host.end()
    assert code == 0
    assert report["refused_commands"] == report["commands"] == 1 + len(refused) + 3
    assert report["malformed"] == len(nonsense)
    assert report["steps"] == 0


def test_another_protocol_is_refused_with_both_versions(raw):
    raw.say(wire.Hello(wire.PROTOCOL + 1, 1, CONFIG.period_ns))
    assert raw.hear(wire.Refused).reason == f"protocol {wire.PROTOCOL + 1}, this host speaks {wire.PROTOCOL}"


@pytest.mark.parametrize(
    ("seed", "instruction"), [(-1, PUSH), (2**32, PUSH), (2**63, PUSH)], ids=["negative", "33 bits", "64 bits"]
)
def test_a_seed_that_no_device_takes_is_refused_and_the_host_goes_on(client, seed, instruction):
    with pytest.raises(Refusal, match=f"seed {seed}, expected 0 to 4294967295"):
        client.reset(0, seed, instruction)
    client.reset(0, 0, PUSH)
    assert next_state(client)


def test_a_robot_of_other_joints_or_extras_is_refused_with_both(host):
    for other, said in (
        (
            {"joints": ("a1", "a0")},
            r"config's joints are \['a1', 'a0'\], the robot host's are \['a0', 'a1', 'a2', 'a3'\]",
        ),
        ({"extras": ()}, r"config's extras are \[\], the robot host's are \['target0', "),
    ):
        with closing(robot_at(host, **other)) as robot, pytest.raises(Refusal, match=said):
            robot.connect()


def test_a_host_that_is_not_there_or_has_died_is_said_to_be(ipc):
    class Nobody:
        endpoint = f"ipc://{ipc}/robot"

    for options, said in (
        ({"timeout_s": 0.2}, r"did not answer within 0\.2 s"),
        ({"alive": lambda: "it ended"}, "is gone: it ended"),
    ):
        with closing(robot_at(Nobody, **options)) as robot, pytest.raises(DeviceLost, match=said):
            robot.connect()


def tell_the_time(server, clock, over):
    """Answer what asks for the time, by ``clock``, until ``over()``."""
    while not over():
        server.poll(20)
        for data in receive_all(server):
            message = wire.decode_to_host(data)
            if isinstance(message, wire.Ping):
                server.send(wire.encode(wire.Pong(message.sent_ns, clock())))


def test_a_host_tells_everybody_the_time(host, raw, client):
    before_ns = time.monotonic_ns()
    raw.say(wire.Ping(7))
    pong = raw.hear(wire.Pong)
    assert pong.ping_ns == 7
    assert before_ns <= pong.now_ns <= time.monotonic_ns()
    assert client.clock_offset(time.monotonic_ns()) is None


HOUR = 3_600_000_000_000


class Foreign:
    """A host on another machine, as far as clocks go: ahead of ours by ``ahead_ns``, and 150 ppm faster."""

    def __init__(self, ipc, ahead_ns):
        self.endpoint, self.ahead_ns, self.start_ns = f"ipc://{ipc}/robot", ahead_ns, time.monotonic_ns()
        self.server = open_socket(zmq.Context.instance(), zmq.DEALER, bind=self.endpoint)
        self.commands = []

    def now(self):
        now_ns = time.monotonic_ns()
        return now_ns + self.ahead_ns + round(150e-6 * (now_ns - self.start_ns))

    def serve(self, over):
        seq = 0
        while not over():
            self.server.poll(1)
            for data in receive_all(self.server):
                match wire.decode_to_host(data):
                    case wire.Hello():
                        self.tell(wire.Welcome(("a",), (), (), 20_000_000))
                    case wire.Ping(sent_ns):
                        self.tell(wire.Pong(sent_ns, self.now()))
                    case wire.Command() as command:
                        self.commands.append((self.now(), command))
            seq += 1
            self.tell(wire.State(0, seq, self.now(), (0.5,), None, (), None, ""))
        self.server.close()

    def tell(self, message):
        send(self.server, wire.encode(message))


@pytest.mark.parametrize("ahead_ns", [HOUR, -min(HOUR, time.monotonic_ns() // 2)])
def test_the_states_of_another_machine_are_stamped_by_our_clock(ipc, ahead_ns):
    foreign, over = Foreign(ipc, ahead_ns), threading.Event()
    with ThreadPoolExecutor() as pool:
        serving = pool.submit(foreign.serve, over.is_set)
        try:
            options = HostRobot.Options(timeout_s=20, clock="remote")
            with closing(HostRobot(foreign.endpoint, ("a",), (), 10_000_000, options)) as robot:
                robot.reset(0, 0, "")
                end = time.monotonic() + 1.5  # long enough to ask again
                while time.monotonic() < end:
                    now_ns = time.monotonic_ns()
                    for state in robot.read(now_ns):
                        assert now_ns - 5_000_000_000 < state.stamp_ns <= now_ns
                    offset = robot.clock_offset(now_ns)
                    assert abs(offset.ns - (foreign.now() - time.monotonic_ns())) <= offset.error_ns + 1_000_000
                    robot.write(np.zeros(1), now_ns)
                    time.sleep(0.005)
            assert foreign.commands
            for came_ns, command in foreign.commands:
                assert -1_000_000_000 < came_ns - command.sent_ns < 5_000_000_000
        finally:
            over.set()
            serving.result()


def test_a_host_whose_clock_is_said_to_be_ours_and_is_not_is_refused(ipc):
    foreign, over = Foreign(ipc, HOUR), threading.Event()
    with ThreadPoolExecutor() as pool:
        serving = pool.submit(foreign.serve, over.is_set)
        try:
            with (
                closing(HostRobot(foreign.endpoint, ("a",), (), 10_000_000, HostRobot.Options(timeout_s=20))) as robot,
                pytest.raises(Refusal, match=r"clock is 3[56]\d\d\.\d+ s ahead of this machine's.*clock: remote"),
            ):
                robot.connect()
        finally:
            over.set()
            serving.result()


def test_states_of_another_size_and_garbage_are_dropped_and_counted(ipc):
    endpoint = f"ipc://{ipc}/robot"
    server = open_socket(zmq.Context.instance(), zmq.DEALER, bind=endpoint)
    robot = HostRobot(endpoint, ("a",), (), 10_000_000, HostRobot.Options(timeout_s=20))
    good = {"episode": 0, "seq": 1, "stamp_ns": 5, "position": (0.5,), "velocity": (0.0,), "extras": ()}
    bad = [{"position": (0.5, 0.5)}, {"position": ()}, {"velocity": (0.0, 1.0)}, {"extras": (1.0,)}]
    answers = [wire.encode(wire.State(**(good | other), task=None, stopped="")) for other in (*bad, {})]
    server.send(wire.encode(wire.Welcome(("a",), (), (), 20_000_000)))
    with ThreadPoolExecutor() as pool:
        connecting = pool.submit(robot.connect)
        tell_the_time(server, lambda: time.monotonic_ns(), connecting.done)
        connecting.result()
    for data in (b"", b"garbage", *answers):
        server.send(data)
    robot.reset(0, 0, "")
    assert [state.position.tolist() for state in robot.read(0)] == [[0.5]]
    assert robot.malformed == 2 + len(bad)
    for data in (b"garbage", *answers):
        server.send(data)
    assert next_state(robot).position.tolist() == [0.5]
    assert robot.malformed == 2 + 2 * len(bad) + 1
    robot.close()
    server.close()


def test_nothing_sent_to_it_brings_the_host_down(host, client, raw):
    random = np.random.default_rng(0)
    valid = [wire.encode(message) for message in (
        wire.Hello(1, 2, 3), wire.Command(0, 1, 2, (0.1,) * 4), wire.Reset(0, 1, "x"), wire.StopRequest(1),
        wire.Goodbye(),
    )]  # fmt: skip
    garbage = [(random.bytes(int(random.integers(0, 80))),) for _ in range(300)]
    garbage += [(message[:cut],) for message in valid for cut in range(len(message))]
    garbage += [(b"", valid[0]), (valid[0], valid[0]), (b"a", b"b", b"c"), (b"", b"")]
    garbage += [(msgspec.msgpack.encode(["Hello", 1, 2, period]),) for period in (0, -1, 2**62, 1_000_000_001)]
    garbage += [(b"\x92\xa7Goodbye" + b"\x91" * 50_000 + b"\xc0",)]
    for parts in garbage:
        if len(parts) == 1 and not refuses(parts[0]):
            continue
        raw.say(*parts)
    sent = sum(len(parts) > 1 or refuses(parts[0]) for parts in garbage)
    assert sent > 400
    client.reset(0, 0, PUSH)
    follow(client, HOME, lambda state: state.task.step > 0)
    client.close()
    time.sleep(0.1)
    code, report, _ = host.end()
    assert code == 0
    assert report["malformed"] == sent


def refuses(data):
    try:
        message = wire.decode_to_host(data)
    except MalformedMessage:
        return True
    return isinstance(message, wire.Hello) and not 0 < message.period_ns <= 1_000_000_000


def test_a_stop_of_no_category_is_malformed(host, raw):
    raw.say(wire.Hello(wire.PROTOCOL, 1, CONFIG.period_ns))
    raw.hear(wire.Welcome)
    for category in (3, -1, 2**60):
        raw.say(wire.StopRequest(category))
    raw.say(wire.Reset(0, 0, PUSH))
    while raw.hear(wire.State).stopped:
        pass
    assert host.end()[1]["malformed"] == 3


def test_sigterm_ends_it_with_a_report_and_tells_the_client(host, client):
    client.reset(0, 0, PUSH)
    assert next_state(client)
    code, report, _ = host.end()
    assert code == 0
    assert set(report) >= {"episodes", "successes", "commands", "refused_commands", "malformed", "dead_man_ms"}
    assert "the host is shutting down" in lost(client)


def test_a_second_host_does_not_take_the_robot_from_the_first(host, client):
    second = Host(host.directory)
    _, said = second.process.communicate(timeout=30)
    assert second.process.returncode == 2
    assert f"{host.endpoint} is in use: is another vla-host or vla-run with this robot running?" in said
    client.reset(0, 0, PUSH)
    assert next_state(client)


def test_a_host_that_was_killed_can_be_started_again(host, client):
    host.process.kill()
    host.process.communicate()
    again = Host(host.directory)
    robot = robot_at(again)
    robot.connect()
    robot.close()
    assert again.end()[0] == 0


def test_a_host_whose_parent_is_dead_ends_by_itself(ipc):
    dead = subprocess.Popen(["true"])
    dead.wait()
    host = Host(ipc, "--parent", str(dead.pid))
    output, _ = host.process.communicate(timeout=30)
    assert host.process.returncode == 0
    assert json.loads(output.splitlines()[-1])["commands"] == 0


def test_a_host_whose_parent_lives_goes_on(ipc):
    host = Host(ipc, "--parent", str(os.getpid()))
    robot = robot_at(host)
    robot.connect()
    time.sleep(1.0)
    robot.reset(0, 0, PUSH)
    assert next_state(robot)
    robot.close()
    assert psutil.Process(host.process.pid).is_running()
    assert host.end()[0] == 0
