"""Episodes in virtual time: the same loop, a device at its own rate, frames as they arrive, the same bytes again."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_runtime.app.build import joint_limits
from vla_runtime.app.delivery import Delivery
from vla_runtime.app.load import load_config
from vla_runtime.app.replay import check_loop, reinfer
from vla_runtime.app.simulate import (
    Latency,
    Scenario,
    expert_for,
    instructions_of,
    open_demonstrator,
    open_policy,
    simulate,
)
from vla_runtime.app.simulate.camera import SimulatedCamera
from vla_runtime.app.simulate.robot import SimulatedRobot
from vla_runtime.control.clock import VirtualClock
from vla_runtime.core.errors import ConfigError, ContractMismatch, LogError, Refusal
from vla_runtime.core.protocols import Camera, DeviceCamera, Robot, StopCategory
from vla_runtime.episode.reader import read_episode

from .virtual import GOALS, MS, SPEC, TEXTS, Cart, Watch, Wish, cart_config, shown_step

CONFIG = cart_config()
GO = Scenario(7, "go left")


def run(scenario: Scenario = GO, device: Cart | None = None, policy: Any = None, config=CONFIG, **more):
    watch = Watch()
    outcome = simulate(config, device or Cart(), policy or Wish(), scenario, watch=[watch], **more)
    return outcome, watch


def robot(device: Cart, cameras=()) -> tuple[SimulatedRobot, VirtualClock]:
    clock = VirtualClock()
    return SimulatedRobot(device, joint_limits(CONFIG), clock, cameras), clock


# The robot


def test_its_parts_meet_the_protocols() -> None:
    assert isinstance(robot(Cart())[0], Robot)
    assert isinstance(SimulatedCamera(Cart().cameras[0], "raw", VirtualClock(), 0, 0), Camera)


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 40), st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=30))
def test_the_device_steps_at_its_own_rate_under_the_newest_command(period, ticks) -> None:
    device = Cart(period * MS)
    simulated, _ = robot(device)
    now, states, written = 0, [], [(-1, None)]
    for index, (gap, writes) in enumerate(ticks):
        now += gap * MS
        states += simulated.read(now)
        if writes:
            simulated.write(np.array([index / 100, 0.0]), now)
            written.append((now, (index / 100, 0.0)))
    assert [at for at, _ in device.log] == [k * period * MS for k in range(1, now // (period * MS) + 1)]
    for at, command in device.log:  # what was written at the instant of a step comes after it
        assert command == [told for when, told in written if when < at][-1]
    assert [state.stamp_ns for state in states] == [0, *(at for at, _ in device.log)]
    assert [state.seq for state in states] == list(range(1, len(states) + 1))


@pytest.mark.parametrize("command", [[1.01, 0.0], [0.0, -0.3], [np.nan, 0.0], [0.0], [0.0, 0.0, 0.0]])
def test_a_command_outside_the_limits_is_refused_and_the_one_before_stays(command) -> None:
    device = Cart()
    simulated, _ = robot(device)
    simulated.write(np.array([0.5, 0.1]), 0)
    simulated.write(np.array(command), 0)
    simulated.read(5 * MS)
    assert device.log == [(5 * MS, (0.5, 0.1))]
    assert simulated.refused_commands == 1


def test_after_a_stop_the_device_steps_without_a_command() -> None:
    device = Cart()
    simulated, _ = robot(device)
    simulated.read(5 * MS)
    simulated.write(np.array([0.5, 0.1]), 5 * MS)
    simulated.read(10 * MS)
    simulated.stop(StopCategory.CONTROLLED)
    simulated.read(20 * MS)
    assert [command for _, command in device.log] == [None, (0.5, 0.1), None, None]
    assert device.stops == [StopCategory.CONTROLLED]


# The cameras


@settings(deadline=None, max_examples=150)
@given(
    period=st.integers(1, 30), fps=st.floats(5, 200), latency=st.integers(0, 90), jitter=st.integers(0, 150),
    drop=st.sampled_from([0.0, 0.3, 0.9]), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_at_each_instant_the_newest_frame_that_has_arrived_is_seen(period, fps, latency, jitter, drop, seed) -> None:
    camera = DeviceCamera("front", 4, 6, fps, latency * MS, jitter * MS, drop)
    device, clock = Cart(period * MS, [camera]), VirtualClock()
    eye = SimulatedCamera(camera, "raw", clock, 0, seed)
    simulated = SimulatedRobot(device, joint_limits(CONFIG), clock, [eye])
    fates = Delivery(camera, seed)
    for now in range(0, 500 * MS, 7 * MS):
        clock.sleep_until(now)
        simulated.read(now)
        arrived = [
            (seq, at) for seq, at in enumerate(device.captured)
            if (arrival := fates.arrival_ns(seq, at)) is not None and arrival <= now
        ]  # fmt: skip
        frame = eye.latest()
        if not arrived:
            assert frame is None
            continue
        assert (frame.seq, frame.capture_ns) == arrived[-1]
        assert shown_step(frame.pixels) * device.period_ns == frame.capture_ns
    deadlines = [k * round(1e9 / fps) for k in range(1 + 500 * MS // round(1e9 / fps))]
    steps = [k * device.period_ns for k in range(1 + now // device.period_ns)]
    due = [next((step for step in steps if step >= deadline), None) for deadline in deadlines]
    assert device.captured == sorted({step for step in due if step is not None})


def test_only_a_picture_that_somebody_looks_at_is_drawn_and_that_once() -> None:
    device, clock = Cart(), VirtualClock()
    eye = SimulatedCamera(device.cameras[0], "raw", clock, 0, 0)
    simulated = SimulatedRobot(device, joint_limits(CONFIG), clock, [eye])
    for now, looks in ((0, 0), (200 * MS, 1), (400 * MS, 0), (800 * MS, 2)):
        clock.sleep_until(now)
        simulated.read(now)
        for _ in range(looks):
            eye.latest()
    assert len(device.captured) == 25
    assert device.drawn == [at // device.period_ns for at in device.captured if at in (200 * MS, 800 * MS)]


@pytest.mark.parametrize("encoding", ["raw", "jpeg"])
def test_pixels_have_gone_through_the_encoding_of_the_wire(encoding) -> None:
    from vla_runtime.core.types import Frame
    from vla_runtime.wire.frames import decode_frame, encode_frame, pixels_of

    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    camera = DeviceCamera("front", 16, 16, 30.0)
    device = Cart(cameras=[camera])
    device.capture = lambda name: lambda: noise  # type: ignore[method-assign]
    eye = SimulatedCamera(camera, encoding, VirtualClock(), 0, 0)
    eye.capture_if_due(device, 0)
    frame = eye.latest()
    assert frame is not None
    over_the_wire = pixels_of(decode_frame(encode_frame("front", Frame(noise, 0, 0), 0, encoding), "front"))
    assert np.array_equal(frame.pixels, over_the_wire)
    assert np.array_equal(pixels_of(decode_frame(frame.wire, "front")), frame.pixels)
    assert np.array_equal(frame.pixels, noise) == (encoding == "raw")


# Episodes


def test_an_episode_ends_with_the_tasks_success_and_the_device_is_stopped() -> None:
    device = Cart(success_at_s=0.5)
    outcome, watch = run(device=device)
    assert (outcome.cause.kind, outcome.cause.text) == ("done", "success")
    assert outcome.success
    assert not outcome.timed_out
    assert device.resets[-1] == (7, "go left")
    assert device.stops == [StopCategory.CONTROLLED]
    first = next(state for state in watch.seen if state.task is not None and state.task.success)
    assert first.stamp_ns == 500 * MS
    assert (outcome.start_ns, outcome.end_ns) == (watch.ticks[0].now_ns, watch.ticks[-1].now_ns)
    assert outcome.refused_commands == 0


def test_every_tick_is_on_its_deadline_and_the_measured_times_are_the_clocks() -> None:
    _, watch = run(Scenario(0, "go left", latency=Latency(30 * MS)))
    assert {(tick.late_ns, tick.compute_ns) for tick in watch.ticks} == {(0, 0)}
    assert {later.now_ns - tick.now_ns for tick, later in pairwise(watch.ticks)} == {10 * MS}


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 200))
def test_a_chunk_comes_its_latency_after_its_request(latency: int) -> None:
    _, watch = run(Scenario(0, "go left", latency=Latency(latency * MS)), cart_slow(), config=patient())
    asked = {request.seq: request.stamp_ns for request in watch.requests}
    assert len(watch.chunks) > 2
    for tick, chunk, refusal in watch.chunks:
        waited = watch.ticks[tick].now_ns - asked[chunk.request_seq]
        assert latency * MS <= waited < (latency + 10) * MS
        assert not refusal


def cart_slow() -> Cart:
    return Cart(success_at_s=1.5)


def patient() -> Any:
    return cart_config(policy={"answer_timeout_ms": 1000}, control={"hold_timeout_ms": 1000})


def test_late_frames_are_waited_for_before_the_first_tick_as_live_cameras_run_before_the_loop() -> None:
    device = Cart(cameras=[DeviceCamera("front", 4, 6, 30.0, latency_ns=83 * MS)])
    outcome, watch = run(device=device)
    assert outcome.success
    assert outcome.start_ns == 85 * MS
    assert [state.stamp_ns for state in watch.seen[:2]] == [85 * MS, 90 * MS]
    assert all(command is None for at, command in device.log if at <= outcome.start_ns)
    tick, chunk, _ = watch.chunks[0]
    assert (tick, chunk.t0_ns, chunk.frames) == (0, 0, {"front": 0})


def test_a_camera_that_shows_nothing_is_waited_for_a_second_and_then_missing() -> None:
    device = Cart(cameras=[DeviceCamera("front", 4, 6, 30.0, drop=1.0)], success_at_s=9)
    outcome, watch = run(device=device)
    assert outcome.start_ns == 1_000 * MS
    assert outcome.cause.kind == "fault"
    assert "camera 'front' has sent no frame" in outcome.cause.text
    assert not outcome.success
    assert watch.chunks == []


def test_an_episode_that_does_not_end_is_ended() -> None:
    outcome, _ = run(Scenario(0, "go left", max_seconds=0.75), Cart(success_at_s=9))
    assert (outcome.cause.kind, outcome.cause.text) == ("done", "not done after 0.75 s")
    assert outcome.timed_out
    assert outcome.end_ns - outcome.start_ns == (750 + 100) * MS


def test_a_success_in_the_last_instant_is_no_timeout() -> None:
    outcome, _ = run(Scenario(0, "go left", max_seconds=0.55), Cart(success_at_s=0.5))
    assert outcome.success
    assert not outcome.timed_out


def test_the_policy_may_be_told_something_else_than_the_device() -> None:
    device, policy = Cart(), Wish()
    _, watch = run(Scenario(3, "go left", told="go right"), device, policy)
    assert device.resets[-1] == (3, "go left")
    assert {text for _, _, text in policy.asked} == {"go right"}
    assert {request.instruction for request in watch.requests} == {"go right"}
    assert watch.seen[-1].position[0] == GOALS["go right"]


@pytest.mark.parametrize("encoding", ["raw", "jpeg"])
def test_in_the_dark_every_image_is_black_and_nothing_is_drawn(encoding: str, tmp_path: Path) -> None:
    device, policy = Cart(), Wish()
    config = cart_config(cameras=[{"name": "front", "height": 4, "width": 6, "encoding": encoding, "fps": 30}])
    run(Scenario(3, "go left", dark=True), device, policy, config, log=tmp_path / "dark.mcap")
    assert len(policy.asked) > 3
    assert not any(images["front"].any() for images, _, _ in policy.asked)
    assert device.drawn == []
    logged = list(read_episode(tmp_path / "dark.mcap").frames("front"))
    assert len(logged) > 3
    assert not any(frame.pixels().any() for frame in logged)


def test_a_camera_of_the_policy_that_the_device_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"looks through front.*the device's: wrist"):
        run(
            device=Cart(cameras=[DeviceCamera("wrist", 4, 6, 30.0)]),
            config=cart_config(cameras=[{"name": "wrist", "height": 4, "width": 6}]),
        )


def test_an_experts_frames_are_drawn_for_the_log_alone(tmp_path: Path) -> None:
    expert = expert_for(CONFIG, "go", TEXTS, 8)
    device = Cart()
    _, watch = run(device=device, policy=expert)
    assert device.drawn == []
    _, logged = run(device=device, policy=expert, log=tmp_path / "a.mcap")
    assert len(device.drawn) == len(logged.chunks) > 3
    assert logged.ticks == watch.ticks


def test_the_expert_reaches_what_it_demonstrates_from_where_the_frame_was_taken() -> None:
    device = Cart()
    outcome, watch = run(device=device, policy=expert_for(CONFIG, "go", TEXTS, 8))
    assert outcome.success
    assert watch.seen[-1].position[0] > 0.3
    for _, chunk, _ in watch.chunks:
        assert chunk.t0_ns in device.captured
        assert chunk.policy_hash == expert_for(CONFIG, "go", TEXTS, 8).hash


# Logs


def test_equal_episodes_give_equal_bytes_and_others_do_not(tmp_path: Path) -> None:
    for name, scenario in (("a", GO), ("b", GO), ("c", Scenario(8, "go left")), ("d", Scenario(7, "go right"))):
        run(scenario, policy=expert_for(CONFIG, "go", TEXTS, 8), log=tmp_path / f"{name}.mcap")
    a, b, c, d = ((tmp_path / f"{name}.mcap").read_bytes() for name in "abcd")
    assert a == b
    assert len({a, c, d}) == 3


def test_the_number_of_episodes_before_it_changes_nothing(tmp_path: Path) -> None:
    config = load_config("tracker")
    for name, seeds in (("fresh", [5]), ("worn", [1, 2, 5])):
        device = open_demonstrator(config)
        (text,) = instructions_of(device, "track")
        policy = open_policy(config, [text])
        for seed in seeds:
            path = tmp_path / f"{name}-{seed}.mcap"
            simulate(config, device, policy, Scenario(seed, text, latency=Latency(20 * MS)), log=path)
    assert (tmp_path / "fresh-5.mcap").read_bytes() == (tmp_path / "worn-5.mcap").read_bytes()


def test_a_log_re_executes_and_re_infers_bit_for_bit(tmp_path: Path) -> None:
    config = load_config("tracker")
    device = open_demonstrator(config)
    texts = instructions_of(device, "track")
    policy = open_policy(config, texts)
    path = tmp_path / "episode.mcap"
    outcome = simulate(config, device, policy, Scenario(11, texts[0], latency=Latency(35 * MS)), log=path)
    assert outcome.success
    assert outcome.log_bytes == path.stat().st_size
    episode = read_episode(path)
    assert not episode.truncated
    assert episode.dropped == 0
    looped = check_loop(episode)
    assert (looped.identical, looped.compared) == (True, outcome.metrics.ticks)
    again = reinfer(episode, policy)
    assert again.identical
    assert again.compared == outcome.metrics.chunks_used
    assert again.details["skipped"] == 0


def test_a_log_says_nothing_of_place_and_time(tmp_path: Path) -> None:
    run(log=tmp_path / "episode.mcap")
    metadata = read_episode(tmp_path / "episode.mcap").metadata
    assert metadata["wall_time"] == ""
    assert metadata["seed"] == "7"
    assert metadata["instruction"] == "go left"
    config = json.loads(metadata["config"])
    assert config["policy"]["file"] == "none.onnx"
    assert config["log"]["directory"] == ""
    assert not [value for value in metadata.values() if "/nowhere" in value or str(tmp_path) in value]


def test_a_camera_that_the_policy_does_not_look_through_is_logged_too_and_changes_nothing(tmp_path: Path) -> None:
    def both() -> Cart:
        return Cart(cameras=[DeviceCamera("front", 4, 6, 30.0), DeviceCamera("view", 8, 8, 10.0)])

    config = cart_config(
        cameras=[
            {"name": "front", "height": 4, "width": 6, "encoding": "raw"},
            {"name": "view", "height": 8, "width": 8, "encoding": "raw"},
        ]
    )
    _, logged = run(device=both(), config=config, log=tmp_path / "episode.mcap")
    _, plain = run(device=both(), config=config)
    assert logged.ticks == plain.ticks
    episode = read_episode(tmp_path / "episode.mcap")
    assert episode.cameras == ("front", "view")
    assert {tuple(chunk.frames) for _, chunk, _ in logged.chunks} == {("front",)}


def test_a_log_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "episode.mcap").write_text("mine")
    with pytest.raises(LogError, match="never overwritten"):
        run(log=tmp_path / "episode.mcap")
    assert (tmp_path / "episode.mcap").read_text() == "mine"


# Parts


def test_a_device_without_tasks_and_a_task_that_it_does_not_know_are_refused_with_what_there_is() -> None:
    with pytest.raises(ConfigError, match="there is no task 'tack'; valid: track; did you mean 'track'"):
        instructions_of(open_demonstrator(load_config("tracker")), "tack")
    config = load_config("tracker")
    options = config.device.options | {"task": "none"}
    idle = msgspec.structs.replace(config, device=msgspec.structs.replace(config.device, options=options), extras=())
    with pytest.raises(ConfigError, match="'tracker', device 'servo_arm', knows no task"):
        open_demonstrator(idle)


def test_a_policy_that_was_not_trained_on_an_instruction_of_the_task_is_refused() -> None:
    config = load_config("tracker")
    with pytest.raises(ContractMismatch, match="juggle"):
        open_policy(config, ["push the T-shaped block onto the target", "juggle"])


def test_the_experts_contract_is_that_of_a_policy_with_all_cameras_and_joint_positions() -> None:
    spec = expert_for(CONFIG, "go", TEXTS, 16).spec
    assert (spec.name, spec.chunk_length, spec.dt_ns) == ("expert-go", 16, 50 * MS)
    assert [(action.name, action.unit) for action in spec.actions] == [("turn", "rad"), ("lift", "m")]
    assert [(entry.name, entry.unit) for entry in spec.state] == [("turn.position", "rad"), ("lift.position", "m")]
    assert [(camera.name, camera.height, camera.width) for camera in spec.cameras] == [("front", 4, 6)]
    assert spec.instruction.texts == TEXTS
    assert [spec.instruction.encode(text) for text in TEXTS] == [0, 1, 2]
    with pytest.raises(Refusal, match="replan_interval"):
        expert_for(cart_config(policy={"replan_interval": 20}), "go", TEXTS, 16)


def test_the_contract_of_these_tests_fits_their_config() -> None:
    from vla_runtime.app.contract import check_contract

    check_contract(SPEC, CONFIG, "go left")
