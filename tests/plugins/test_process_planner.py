"""The planner as a real process: whatever becomes of it, the control process goes on and knows."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest
import zmq

from vla_runtime.app.build import camera_endpoint, planner_settings
from vla_runtime.app.load import load_config
from vla_runtime.core.errors import PolicyFileError
from vla_runtime.core.types import Frame, PlanRequest, RobotState
from vla_runtime.plugins.cameras.zmq import FramePublisher
from vla_runtime.plugins.planners.process import ProcessPlanner
from vla_runtime.plugins.policies.onnx import OnnxPolicy
from vla_runtime.wire import plan as wire
from vla_runtime.wire.clock import ClockService
from vla_runtime.wire.sockets import open_socket, receive_all

CONFIG = load_config("tracker")
TOY = Path(CONFIG.policy.file)
HANG_NS = 1_000_000_000
STATE = RobotState(np.zeros(4), None, 1, 1, np.array([0.1, -0.2, 0.3, 0.0]))


@pytest.fixture
def ipc():
    directory = Path(tempfile.mkdtemp(prefix="vla-test-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def camera(ipc):
    """A camera that publishes until the end."""
    publisher, over = FramePublisher("image", camera_endpoint(CONFIG.cameras[0], ipc), "raw"), threading.Event()

    def publish():
        for seq in range(1_000_000):
            now_ns = time.monotonic_ns()
            publisher.publish(Frame(np.full((16, 16, 3), seq % 256, np.uint8), now_ns, seq), now_ns)
            if over.wait(0.02):
                return

    thread = threading.Thread(target=publish)
    thread.start()
    yield
    over.set()
    thread.join()
    publisher.close()


@pytest.fixture
def planner(ipc):
    planner = ProcessPlanner(planner_settings(CONFIG, ipc), ipc, HANG_NS)
    yield planner
    planner.close()
    assert children() == []


def children():
    """Our planner processes, zombies too."""
    return [child.pid for child in psutil.Process().children() if "planners.child" in " ".join(arguments(child))]


def arguments(process):
    return ["planners.child"] if process.status() == psutil.STATUS_ZOMBIE else process.cmdline()


def eventually(holds, timeout_s=20.0):
    end = time.monotonic() + timeout_s
    while not (found := holds()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def request(seq, instruction=CONFIG.instruction, state=STATE):
    return PlanRequest(seq, time.monotonic_ns(), state, instruction)


def answer(planner, seqs, timeout_s=20.0):
    """Ask with new requests, as a loop does, until a chunk comes."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        seq = next(seqs)
        planner.request(request(seq))
        for _ in range(20):
            for chunk in planner.poll(time.monotonic_ns()):
                if chunk.request_seq == seq:
                    return chunk
            time.sleep(0.005)
    raise AssertionError(f"no chunk came: {planner.status(time.monotonic_ns())}")


def status(planner):
    planner.poll(time.monotonic_ns())
    return planner.status(time.monotonic_ns())


def test_it_hands_over_the_contract_and_answers(planner, camera):
    spec = planner.wait_ready(30)
    policy = OnnxPolicy(TOY)
    assert spec == policy.spec
    assert planner.policy_hash == policy.hash
    before_ns = time.monotonic_ns()
    chunk = answer(planner, iter(range(1000)))
    assert chunk.actions.shape == (spec.chunk_length, 4)
    assert (chunk.dt_ns, chunk.policy_hash) == (spec.dt_ns, policy.hash)
    assert before_ns - CONFIG.policy.frame_timeout_ms * 1e6 < chunk.t0_ns < time.monotonic_ns()
    pixels = np.full((16, 16, 3), chunk.frames["image"] % 256, np.uint8)
    state = np.array([*STATE.position, *STATE.extras], np.float32)
    names = [entry.name for entry in spec.state]
    assert names == [*(f"a{i}.position" for i in range(4)), *(f"target{i}" for i in range(4))]
    expected = policy.infer({"image": pixels}, state, spec.instruction.encode(CONFIG.instruction))
    assert np.array_equal(chunk.actions, expected)
    assert status(planner).up
    assert (planner.restarts, planner.malformed, planner.camera_malformed) == (0, 0, 0)


def test_without_a_frame_it_says_which_camera_is_dark(planner):
    planner.wait_ready(30)
    planner.request(request(1))
    eventually(lambda: status(planner).failure == "camera 'image' has sent no frame")
    assert status(planner).up


def test_a_frame_that_is_too_old_is_not_looked_at(planner, ipc):
    publisher = FramePublisher("image", camera_endpoint(CONFIG.cameras[0], ipc), "raw")
    planner.wait_ready(30)

    def says_so():
        publisher.publish(Frame(np.zeros((16, 16, 3), np.uint8), time.monotonic_ns() - 10**9, 1), 0)
        planner.request(request(1))
        assert planner.poll(time.monotonic_ns()) == []
        return "allowed 250 ms" in status(planner).failure

    eventually(says_so)
    publisher.close()


def test_what_cannot_be_planned_is_said_and_the_child_goes_on(planner, camera):
    planner.wait_ready(30)
    seqs = iter(range(10_000))
    answer(planner, seqs)
    short = RobotState(np.zeros(3), None, 1, 1, STATE.extras)
    no_extras = RobotState(np.zeros(4), None, 1, 1)
    for bad, said in (
        (request(next(seqs), "fly"), "not one the policy was trained on"),
        (request(next(seqs), state=short), "a state of 3 joints and 4 extras"),
        (request(next(seqs), state=no_extras), "a state of 4 joints and 0 extras"),
    ):
        planner.request(bad)
        eventually(lambda said=said: said in status(planner).failure)
        answer(planner, seqs)
        assert status(planner).failure == ""
    assert planner.restarts == 0


def test_a_killed_child_is_replaced_and_answers_again(planner, camera):
    planner.wait_ready(30)
    seqs = iter(range(10_000))
    answer(planner, seqs)
    first = planner.pid
    os.kill(first, signal.SIGKILL)
    eventually(lambda: not status(planner).up)
    assert "killed by SIGKILL" in status(planner).failure
    answer(planner, seqs)
    assert status(planner).restarts == 1
    assert planner.pid != first
    eventually(lambda: status(planner).up and children() == [planner.pid])


def test_a_hung_child_is_killed_and_replaced(planner, camera):
    planner.wait_ready(30)
    seqs = iter(range(10_000))
    answer(planner, seqs)
    hung = planner.pid
    stopped_ns = time.monotonic_ns()
    os.kill(hung, signal.SIGSTOP)
    eventually(lambda: not status(planner).up)
    assert time.monotonic_ns() - stopped_ns > 0.5 * HANG_NS
    assert "was silent for" in status(planner).failure
    answer(planner, seqs)
    assert status(planner).restarts == 1
    eventually(lambda: status(planner).up and children() == [planner.pid])


def test_a_child_that_dies_again_and_again_is_started_at_growing_intervals(planner):
    planner.wait_ready(30)
    pauses = []
    for restart in (1, 2, 3):
        os.kill(planner.pid, signal.SIGKILL)
        eventually(lambda: not status(planner).up)
        died = time.monotonic()
        eventually(lambda restart=restart: status(planner).restarts == restart)
        pauses.append(time.monotonic() - died)
        eventually(lambda: status(planner).up)
    assert pauses[1] > 0.2
    assert pauses[2] > 0.4


def test_a_policy_file_that_changed_under_the_run_is_not_taken_up_by_a_restart(ipc):
    policy = ipc / "policy.onnx"
    shutil.copy(TOY, policy)
    config = msgspec.structs.replace(CONFIG, policy=msgspec.structs.replace(CONFIG.policy, file=str(policy)))
    planner = ProcessPlanner(planner_settings(config, ipc), ipc, HANG_NS)
    try:
        planner.wait_ready(30)
        first = planner.policy_hash
        shutil.copy(TOY.with_name("reach.onnx"), policy)
        psutil.Process(planner.pid).kill()
        eventually(lambda: "found another policy" in status(planner).failure)
        assert not status(planner).up
        assert planner.policy_hash == first
    finally:
        planner.close()
    assert children() == []


def test_a_late_answer_to_an_older_request_names_that_request(planner, camera):
    planner.wait_ready(30)
    answer(planner, iter(range(1000)))
    planner.request(request(5000))
    chunks = []
    eventually(lambda: chunks.extend(planner.poll(time.monotonic_ns())) or 5000 in {c.request_seq for c in chunks})
    assert max(chunk.request_seq for chunk in chunks) == 5000


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no model", "is no ONNX model"),
        (TOY.read_bytes()[:-200], "policy.onnx"),
        (None, "cannot read the policy file"),
    ],
)
def test_a_bad_policy_file_is_refused_with_the_childs_reason(content, said, ipc):
    if content is not None:
        (ipc / "policy.onnx").write_bytes(content)
    settings = msgspec.structs.replace(planner_settings(CONFIG, ipc), policy_file=str(ipc / "policy.onnx"))
    planner = ProcessPlanner(settings, ipc, HANG_NS)
    with pytest.raises(PolicyFileError, match=said):
        planner.wait_ready(30)
    planner.close()
    assert children() == []


def test_a_child_that_ends_without_a_word_is_refused(ipc):
    planner = ProcessPlanner(planner_settings(CONFIG, ipc), ipc, HANG_NS)
    os.kill(planner.pid, signal.SIGKILL)
    with pytest.raises(PolicyFileError, match="was killed by SIGKILL before it was ready"):
        planner.wait_ready(30)
    planner.close()


def test_closing_twice_or_while_the_child_starts_leaves_nothing(ipc):
    planner = ProcessPlanner(planner_settings(CONFIG, ipc), ipc, HANG_NS)
    assert children() == [planner.pid]
    planner.close()
    planner.close()
    assert children() == []


def test_garbage_from_a_child_is_counted_and_dropped(planner, camera, ipc):
    planner.wait_ready(30)
    intruder = open_socket(zmq.Context.instance(), zmq.DEALER, connect=f"ipc://{ipc}/planner-1")
    random = np.random.default_rng(0)
    garbage = [b"\xff" + random.bytes(int(random.integers(0, 60))) for _ in range(200)]
    garbage.append(wire.encode(wire.Chunk(1, 2, 3, 4, "h", 2, 3, bytes(23), {})))
    for data in garbage:
        intruder.send(data)
    eventually(lambda: status(planner) and planner.malformed == len(garbage))
    intruder.close()
    answer(planner, iter(range(1000)))
    assert planner.restarts == 0


def test_garbage_from_the_parent_or_a_camera_is_counted_and_dropped_by_the_child(ipc):
    endpoint = f"ipc://{ipc}/planner"
    parent = open_socket(zmq.Context.instance(), zmq.DEALER, bind=endpoint)
    source = open_socket(zmq.Context.instance(), zmq.PUB, bind=camera_endpoint(CONFIG.cameras[0], ipc))
    settings = msgspec.structs.replace(planner_settings(CONFIG, ipc), endpoint=endpoint, parent_pid=os.getpid())
    command = [sys.executable, "-m", "vla_runtime.plugins.planners.child", msgspec.json.encode(settings).decode()]
    child = subprocess.Popen(command)

    def hear(kind):
        def heard():
            parent.poll(20)
            messages = [wire.decode_from_planner(data) for data in receive_all(parent)]
            return [message for message in messages if isinstance(message, kind)]

        return eventually(heard)

    assert hear(wire.Ready)[0].policy_hash
    random = np.random.default_rng(0)
    valid = wire.request_message(request(7))
    garbage = [b"\xff" + random.bytes(int(random.integers(0, 60))) for _ in range(200)]
    garbage += [valid[:cut] for cut in range(len(valid))]
    for data in garbage:
        parent.send(data)
    eventually(lambda: hear(wire.Alive)[-1].malformed == len(garbage))
    eventually(lambda: source.send(b"garbage") or hear(wire.Alive)[-1].malformed > len(garbage))
    parent.send(valid)
    assert hear(wire.NoPlan)[0].request_seq == 7
    assert child.poll() is None
    child.kill()
    child.wait()
    parent.close()
    source.close()


def test_the_child_of_a_killed_parent_goes_too(ipc):
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from vla_runtime.app.build import planner_settings\n"
        "from vla_runtime.app.load import load_config\n"
        "from vla_runtime.plugins.planners.process import ProcessPlanner\n"
        "ipc = Path(sys.argv[1])\n"
        "planner = ProcessPlanner(planner_settings(load_config('tracker'), ipc), ipc, 10**9)\n"
        "planner.wait_ready(30)\n"
        "print(planner.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(ipc)], stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(parent.stdout.readline()))
    os.kill(child.pid, signal.SIGSTOP)  # even one that hangs
    parent.kill()
    parent.communicate()
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_silent_planner_is_down_until_it_is_heard_again(ipc, camera):
    planner = ProcessPlanner(planner_settings(CONFIG, ipc), ipc, 60_000_000_000, 300_000_000)
    try:
        planner.wait_ready(30)
        seqs = iter(range(10_000))
        answer(planner, seqs)
        pid = planner.pid
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda: not status(planner).up)
        assert "the planner has been silent for" in status(planner).failure
        os.kill(pid, signal.SIGCONT)
        eventually(lambda: status(planner).up)
        answer(planner, seqs)
        assert (planner.pid, planner.restarts) == (pid, 0)
    finally:
        planner.close()


def test_who_has_not_listened_does_not_take_the_planner_for_silent(ipc, camera):
    planner = ProcessPlanner(planner_settings(CONFIG, ipc), ipc, 60_000_000_000, 500_000_000)
    try:
        planner.wait_ready(30)
        seqs = iter(range(10_000))
        answer(planner, seqs)
        planner.request(request(next(seqs)))
        time.sleep(1)  # as a control process that was stopped
        assert planner.status(time.monotonic_ns()).up
        assert len(planner.poll(time.monotonic_ns())) == 1
    finally:
        planner.close()


def test_a_frozen_camera_is_named_and_counted_over_restarts(planner, ipc):
    """Fresh stamps, new numbers, and always the same picture."""
    publisher = FramePublisher("image", camera_endpoint(CONFIG.cameras[0], ipc), "raw")
    planner.wait_ready(30)
    seqs = iter(range(1_000_000))

    def refused():
        publisher.publish(Frame(np.zeros((16, 16, 3), np.uint8), time.monotonic_ns(), next(seqs)), 0)
        planner.request(request(1))
        return "camera 'image' is frozen: the same picture for" in status(planner).failure

    eventually(refused)
    first = eventually(lambda: status(planner) and planner.camera_counts.get("image", {}).get("frozen"))
    os.kill(planner.pid, signal.SIGKILL)
    eventually(lambda: not status(planner).up)
    eventually(refused)
    eventually(lambda: refused() and planner.camera_counts["image"]["frozen"] > first)
    publisher.close()


def test_where_no_planner_can_be_started_the_loop_is_told_and_goes_on_until_one_can(ipc, planner):
    planner.wait_ready(30)
    away = ipc.with_name(ipc.name + "-away")
    ipc.rename(away)
    try:
        os.kill(planner.pid, signal.SIGKILL)
        failed = eventually(lambda: (found := status(planner)).failure.find("cannot be started") >= 0 and found)
        assert not failed.up
        assert failed.restarts == 0
        assert planner.poll(time.monotonic_ns()) == []
        planner.request(request(0))
    finally:
        away.rename(ipc)
    eventually(lambda: status(planner).up)
    assert status(planner).restarts == 1


def test_where_memory_runs_out_the_planner_goes_first(planner):
    planner.wait_ready(30)
    badness = {pid: int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in (planner.pid, os.getpid())}
    assert badness[planner.pid] == 1000
    assert badness[os.getpid()] < 1000


def test_a_camera_of_another_machine_is_seen_in_our_time(ipc):
    """Its clock is an hour ahead and runs 150 ppm fast; a clock service there says so."""
    start_ns = time.monotonic_ns()

    def theirs():
        now_ns = time.monotonic_ns()
        return now_ns + 3_600_000_000_000 + round(150e-6 * (now_ns - start_ns))

    camera = msgspec.structs.replace(CONFIG.cameras[0], clock=f"ipc://{ipc}/clock")
    config = msgspec.structs.replace(CONFIG, cameras=(camera,))
    service = ClockService(camera.clock, theirs)
    publisher = FramePublisher("image", camera_endpoint(camera, ipc), "raw")
    planner = ProcessPlanner(planner_settings(config, ipc), ipc, HANG_NS)
    try:
        planner.wait_ready(30)
        seqs, random = iter(range(1_000_000)), np.random.default_rng(0)

        def answered():
            picture = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            publisher.publish(Frame(picture, theirs(), seq := next(seqs)), theirs())
            planner.request(request(seq))
            time.sleep(0.01)
            return planner.poll(time.monotonic_ns())

        before_ns = time.monotonic_ns()
        chunk = eventually(answered)[0]
        offset = eventually(lambda: status(planner) and planner.clocks.get("image"))
        assert before_ns - 1_000_000_000 < chunk.t0_ns <= time.monotonic_ns()
        assert abs(offset.ns - (theirs() - time.monotonic_ns())) < 1_000_000_000
    finally:
        planner.close()
        publisher.close()
        service.close()
