"""What the policy sees is what its contract names, fresh, of the right size and from the right camera; or nothing."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_runtime.core.errors import ContractMismatch
from vla_runtime.core.spec import CameraSpec
from vla_runtime.core.types import CommittedChunk, StateTrack
from vla_runtime.plugins.planners.observe import NotReady, Observer, StateReader, fit, plan

from .policies import ACTIONS, EXTRAS, FRONT, JOINTS, MS, NOW, SPEC, WRIST, Policy, cameras, frame, picture, request


def observer(spec=SPEC, max_age_ms: float = 100, **frames) -> Observer:
    reader = StateReader([entry.name for entry in spec.state], JOINTS, EXTRAS)
    return Observer(spec, cameras(**frames), reader, round(max_age_ms * MS))


def test_state_inputs_are_picked_by_name_in_the_order_of_the_policy() -> None:
    state = StateReader(["turn.position", "target", "lift.velocity"], JOINTS, EXTRAS).read(request().state)
    assert state.dtype == np.float32
    assert state.tolist() == [np.float32(0.2), 9.0, 0.5]


def test_a_state_input_that_the_robot_does_not_measure_is_named() -> None:
    with pytest.raises(NotReady, match=r"does not measure torque, wrist\.position"):
        StateReader(["torque", "turn.position", "wrist.position"], JOINTS, EXTRAS).read(request().state)


def test_a_robot_without_velocities_cannot_serve_a_policy_that_reads_them() -> None:
    with pytest.raises(NotReady, match="velocities"):
        StateReader(["lift.velocity"], JOINTS, EXTRAS).read(request(velocity=None).state)
    assert StateReader(["lift.position"], JOINTS, EXTRAS).read(request(velocity=None).state) == np.float32(0.1)


def test_every_camera_of_the_policy_is_in_the_observation_under_its_own_name() -> None:
    seen = observer().observe(request(), NOW)
    assert list(seen.images) == ["front", "wrist"]
    assert (seen.images["front"].seq, seen.images["wrist"].seq) == (7, 9)
    assert seen.instruction == "go"


@given(st.lists(st.integers(0, 100), min_size=2, max_size=2), st.integers(0, 5_000))
def test_the_observation_is_as_old_as_its_oldest_frame(ages: list[int], sent_ms: int) -> None:
    frames = {"front": frame(ages[0]), "wrist": frame(ages[1], (2, 3))}
    assert observer(**frames).observe(request(stamp_ns=sent_ms * MS), NOW).stamp_ns == NOW - max(ages) * MS


def test_without_cameras_the_observation_is_as_old_as_the_state() -> None:
    blind = msgspec.structs.replace(SPEC, cameras=())
    assert observer(blind).observe(request(), NOW).stamp_ns == request().state.stamp_ns


@pytest.mark.parametrize("camera", ["front", "wrist"])
def test_a_camera_that_sent_nothing_is_named(camera: str) -> None:
    with pytest.raises(NotReady, match=f"camera '{camera}' has sent no frame"):
        observer(**{camera: None}).observe(request(), NOW)


@pytest.mark.parametrize(("camera", "shape"), [("front", (4, 6)), ("wrist", (2, 3))])
def test_a_frame_older_than_allowed_is_named_with_both_ages(camera: str, shape: tuple[int, int]) -> None:
    observer(**{camera: frame(100, shape)}).observe(request(), NOW)
    with pytest.raises(NotReady, match=f"camera '{camera}': the newest frame is 101 ms old, allowed 100 ms"):
        observer(**{camera: frame(101, shape)}).observe(request(), NOW)


def test_another_camera_never_stands_in_for_a_missing_one() -> None:
    for names in (["wrist"], ["wrist", "top"], ["Front", "wrist"], ["front ", "wrist"], []):
        found = {name: camera for name, camera in cameras(**{name: frame() for name in names}).items() if name in names}
        with pytest.raises(NotReady, match="camera 'front' has sent no frame"):
            Observer(SPEC, found, StateReader([], JOINTS, EXTRAS), 100 * MS).observe(request(), NOW)


def test_frames_go_to_the_policy_by_name_whatever_the_order_of_the_cameras() -> None:
    policy = Policy()
    shown = cameras()
    for order in (["front", "wrist"], ["wrist", "front"]):
        reader = StateReader([entry.name for entry in SPEC.state], JOINTS, EXTRAS)
        seen = Observer(SPEC, {name: shown[name] for name in order}, reader, 0).observe(request(), NOW)
        plan(policy, seen, 0, 0)
    for images, _, _ in policy.asked:
        assert np.array_equal(images["front"], picture(4, 6))
        assert np.array_equal(images["wrist"], picture(2, 3, 100))


def test_a_frame_of_the_right_size_is_handed_on_untouched() -> None:
    assert fit(pixels := picture(4, 6), FRONT) is pixels


@pytest.mark.parametrize("shape", [(6, 4), (8, 12), (4, 5)])
def test_a_frame_of_another_size_is_refused_unless_the_contract_allows_it(shape: tuple[int, int]) -> None:
    with pytest.raises(NotReady, match=rf"camera 'front' sends {shape[0]}x{shape[1]}, the policy takes 4x6"):
        fit(picture(*shape), FRONT)


@pytest.mark.parametrize("shape", [(4, 6), (3, 2), (7, 5), (1, 1)])
def test_the_area_rule_fits_any_size(shape: tuple[int, int]) -> None:
    fitted = fit(picture(*shape), WRIST)
    assert fitted.shape == (2, 3, 3)
    assert fitted.dtype == np.uint8


def test_the_area_rule_averages_what_falls_together_and_keeps_the_channels() -> None:
    pixels = np.zeros((4, 6, 3), dtype=np.uint8)
    pixels[:2, :2] = [[[10, 100, 200], [30, 100, 200]], [[10, 100, 200], [30, 100, 200]]]
    fitted = fit(pixels, CameraSpec("wrist", 2, 3, resize="area"))
    assert fitted[0, 0].tolist() == [20, 100, 200]
    assert fitted[1:].max() == fitted[:, 1:].max() == 0


def test_a_plan_carries_what_is_needed_to_place_and_to_repeat_it() -> None:
    policy = Policy()
    seen = observer(front=frame(30, seq=41)).observe(request(seq=6), NOW)
    chunk = plan(policy, seen, 6, 2)
    assert np.array_equal(chunk.actions, ACTIONS)
    assert (chunk.t0_ns, chunk.dt_ns) == (NOW - 30 * MS, 20 * MS)
    assert (chunk.seq, chunk.request_seq, chunk.policy_hash) == (2, 6, "cafe")
    assert chunk.frames == {"front": 41, "wrist": 9}
    ((_, state, instruction_id),) = policy.asked
    assert state.tolist() == [np.float32(0.2), 9.0, 0.5]
    assert instruction_id == 1


def test_an_untrained_instruction_never_reaches_the_policy() -> None:
    policy = Policy()
    seen = replace(observer().observe(request(), NOW), instruction="fly")
    with pytest.raises(ContractMismatch, match="'fly'"):
        plan(policy, seen, 0, 0)
    assert policy.asked == []


@pytest.mark.parametrize(("state_time", "shown"), [("capture", 0.16), ("request", 0.2)])
def test_the_state_is_of_the_instant_that_the_contract_names(state_time: str, shown: float) -> None:
    """The joint 'turn' went from 0 to 0.2 over the last 100 ms; the oldest image is 20 ms old."""
    asked = request()
    newest = replace(asked.state, stamp_ns=NOW)
    before = StateTrack(np.array([NOW - 100 * MS]), np.array([[0.1, 0.0]]), np.array([[0.5, 0.6]]),
                        np.array([[8.0, 9.0]]))  # fmt: skip
    contract = msgspec.structs.replace(SPEC, state_time=state_time)
    asked = replace(asked, state=newest, history=before)
    seen = observer(contract, front=frame(20), wrist=frame(5, (2, 3))).observe(asked, NOW)
    assert seen.state[0] == np.float32(shown)
    assert seen.robot.position[1] == pytest.approx(shown)
    chunk = plan(Policy(spec=contract), seen, 0, 0)
    assert chunk.state is seen.robot


def shifted(shift_ms: float):
    """A request that is committed to rows rising by 1, on a grid ``shift_ms`` before the images."""
    asked = observer().observe(request(), NOW)
    rows = np.arange(2 * SPEC.chunk_length, dtype=np.float32).repeat(len(ACTIONS)).reshape(-1, len(ACTIONS))
    told = CommittedChunk(rows, asked.stamp_ns - round(shift_ms * MS), SPEC.dt_ns)
    return replace(request(), committed=told)


@given(st.floats(-1000, 1000))
def test_what_is_committed_is_shown_for_the_time_of_each_row_to_come(shift_ms: float) -> None:
    shown = observer().observe(shifted(shift_ms), NOW).prev_chunk
    assert shown.shape == (SPEC.chunk_length, len(ACTIONS))
    at = round(shift_ms * MS) / SPEC.dt_ns + np.arange(SPEC.chunk_length)
    assert np.allclose(shown[:, 0], np.clip(at, 0, 2 * SPEC.chunk_length - 1), atol=1e-3)


def test_before_the_first_command_the_robot_is_committed_to_staying() -> None:
    shown = observer().observe(request(), NOW).prev_chunk
    assert shown.tolist() == [request().state.position.astype(np.float32).tolist()] * SPEC.chunk_length


def test_only_a_policy_that_continues_is_told_what_is_committed() -> None:
    told: list[object] = []

    class Continuing(Policy):
        takes_prev_chunk = True

        def infer(self, images, state, instruction_id, prev_chunk=None):
            told.append(prev_chunk)
            return super().infer(images, state, instruction_id)

    observation = observer().observe(shifted(0), NOW)
    plan(Policy(), observation, 0, 0)
    assert told == []
    plan(Continuing(), observation, 0, 0)
    assert told == [observation.prev_chunk]
