"""What the policy sees is what its contract names, fresh, of the right size and from the right camera; or nothing."""

from dataclasses import replace
from functools import partial

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_runtime.core.errors import ContractMismatch
from vla_runtime.core.sampling import request_seed
from vla_runtime.core.spec import CameraSpec
from vla_runtime.core.types import CommittedChunk, Shot, StateTrack
from vla_runtime.plugins.planners.continuing import continuation_at
from vla_runtime.plugins.planners.fresh import CameraLimits
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
        plan(policy, seen, request(), 0)
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
    chunk = plan(policy, seen, request(6), 2)
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
        plan(policy, seen, request(), 0)
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
    chunk = plan(Policy(spec=contract), seen, asked, 0)
    assert chunk.state is seen.robot


def shifted(shift_ms: float):
    """A request that is committed to rows rising by 1, on a grid ``shift_ms`` before the images."""
    asked = observer().observe(request(), NOW)
    rows = np.arange(2 * SPEC.chunk_length, dtype=np.float32).repeat(len(ACTIONS)).reshape(-1, len(ACTIONS))
    told = CommittedChunk(rows, asked.stamp_ns - round(shift_ms * MS), SPEC.dt_ns, NOW + 1)
    return replace(request(), committed=told)


@given(st.floats(-1000, 1000))
def test_what_is_committed_is_shown_for_the_time_of_each_row_to_come(shift_ms: float) -> None:
    shown = observer().observe(shifted(shift_ms), NOW).continuation.prev_chunk
    assert shown.shape == (SPEC.chunk_length, len(ACTIONS))
    at = round(shift_ms * MS) / SPEC.dt_ns + np.arange(SPEC.chunk_length)
    assert np.allclose(shown[:, 0], np.clip(at, 0, 2 * SPEC.chunk_length - 1), atol=1e-3)


def test_where_no_plan_is_in_use_there_is_nothing_to_continue() -> None:
    assert observer().observe(request(), NOW).continuation is None
    asked = shifted(0)
    for end_ns in (0, NOW - 1, NOW):
        ended = replace(asked, committed=replace(asked.committed, end_ns=end_ns))
        assert observer().observe(ended, NOW).continuation is None


class Told(Policy):
    """One that keeps what it is told beyond its observation."""

    def __init__(self, **able) -> None:
        super().__init__()
        self.told: list[dict[str, object]] = []
        for name, value in able.items():
            setattr(self, name, value)

    def infer(self, images, state, instruction_id, **more):
        self.told.append(more)
        return super().infer(images, state, instruction_id)


def test_only_a_policy_that_samples_or_continues_is_told_what_it_continues_and_a_seed() -> None:
    asked = shifted(0)
    observation = observer().observe(asked, NOW)
    plain = Told()
    plan(plain, observation, asked, 0)
    assert plain.told == [{}]
    for able in ({"samples": True}, {"continues": True}, {"samples": True, "continues": True}):
        policy = Told(**able)
        plan(policy, observation, asked, 0)
        assert policy.told == [{"continuation": observation.continuation, "seed": request_seed(asked)}]


@pytest.mark.parametrize("rtc", ["off", "prefix", "guidance", "both"])
def test_a_chunk_says_how_many_rows_were_held_if_any_were(rtc: str) -> None:
    asked = replace(shifted(0), takeover_ns=NOW + 30 * MS)
    observation = observer().observe(asked, NOW)
    assert observation.continuation is not None
    assert observation.continuation.delay == 2  # rows 0 and 20 ms, of those at 0, 20 and 40 ms; the last is never held
    assert plan(Told(continues=True, rtc=rtc), observation, asked, 0).delay == (None if rtc == "off" else 2)
    free = observer().observe(request(), NOW)
    assert plan(Told(continues=True, rtc=rtc), free, request(), 0).delay is None


def test_the_seed_of_a_request_is_its_number_and_its_state() -> None:
    asked = request()
    assert request_seed(asked) == request_seed(request())
    seeds = {request_seed(request(seq)) for seq in range(50)}
    others = (request(velocity=(0.5, 0.7)), replace(asked, state=replace(asked.state, position=np.array([0.1, 0.3]))),
              replace(asked, state=replace(asked.state, extras=np.array([8.0, 9.5]))))  # fmt: skip
    assert len(seeds | set(map(request_seed, others))) == 53


@given(st.integers(0, 2000), st.integers(1, 2000), st.integers(0, 500))
def test_a_continuation_binds_the_rows_before_the_takeover_and_none_after_the_plans_end(
    takeover_ms: int, end_ms: int, age_ms: int
) -> None:
    asked = shifted(0)
    asked = replace(asked, committed=replace(asked.committed, end_ns=NOW + end_ms * MS),
                    takeover_ns=NOW + takeover_ms * MS)  # fmt: skip
    found = continuation_at(NOW - age_ms * MS, asked, 10, 20 * MS)
    assert found is not None
    at_ms = 20 * np.arange(10) - age_ms
    assert 0 <= found.delay <= 9
    assert (at_ms[: found.delay - 1] < takeover_ms).all()
    assert (at_ms[max(0, found.delay - 1) :] >= takeover_ms).all() or found.delay == 9
    assert (found.weights[: found.delay] == 1).all()
    assert ((found.weights[found.delay :] > 0) == (at_ms[found.delay :] < end_ms)).all()


def moving(state_time: str, takeover_ms: float, velocity=(0.5, 0.6), end_ms: float = 1000):
    """What is shown of a robot that is committed to rise by 0.1 a step of 20 ms, from 1 at 10 ms before now on."""
    rows = (1 + 0.1 * np.arange(20, dtype=np.float32))[:, None].repeat(2, axis=1)
    told = CommittedChunk(rows, NOW - 10 * MS, 20 * MS, NOW + round(end_ms * MS))
    asked = replace(request(velocity=velocity), committed=told, takeover_ns=NOW + round(takeover_ms * MS))
    seen = observer(msgspec.structs.replace(SPEC, state_time=state_time)).observe(asked, NOW)
    return asked, seen


def test_a_policy_of_the_takeover_is_shown_where_the_joints_are_committed_to_be_by_then() -> None:
    asked, seen = moving("takeover", 100)
    assert seen.robot.position.tolist() == pytest.approx([1.55, 1.55])
    assert seen.robot.velocity.tolist() == pytest.approx([5.0, 5.0], rel=1e-5)
    assert (seen.robot.stamp_ns, seen.robot.seq) == (NOW + 100 * MS, -1)
    assert seen.robot.extras is asked.state.extras
    assert seen.state.tolist() == pytest.approx([1.55, 9.0, 5.0])
    for state_time in ("request", "capture"):
        asked, seen = moving(state_time, 100)
        assert seen.robot is asked.state


def test_a_robot_that_measures_no_velocity_has_none_at_the_takeover() -> None:
    contract = msgspec.structs.replace(SPEC, state_time="takeover", state=SPEC.state[:2])
    asked, _ = moving("takeover", 100)
    asked = replace(asked, state=replace(asked.state, velocity=None))
    seen = Observer(contract, cameras(), StateReader(["turn.position", "target"], JOINTS, EXTRAS), 100 * MS)
    assert seen.observe(asked, NOW).robot.velocity is None


def test_where_no_plan_is_in_use_the_state_of_the_takeover_is_the_newest() -> None:
    asked, seen = moving("takeover", 100, end_ms=0)
    assert seen.robot is asked.state
    asked = request()
    contract = msgspec.structs.replace(SPEC, state_time="takeover")
    assert observer(contract).observe(asked, NOW).robot is asked.state


class Several:
    """A camera that keeps ``ages`` (ms, oldest first), counting which of its frames were decoded.

    A frame whose age is in ``broken`` has no picture."""

    def __init__(self, name: str, *ages: float, shape=(4, 6), broken=(), mark=None, error_ms: float = 0) -> None:
        self.name, self.ages, self.shape, self.broken, self.decoded = name, list(ages), shape, broken, []
        self.mark, self.error_ms = mark, error_ms

    def shots(self) -> list[Shot]:
        def look(index: int, age: float):
            self.decoded.append(age)
            return None if age in self.broken else frame(age, self.shape, seq=index)

        return [
            Shot(NOW - round(age * MS), index, partial(look, index, age), self.mark or index, round(self.error_ms * MS))
            for index, age in enumerate(self.ages)
        ]


def seeing(front: Several, wrist: Several, limits=None, skew_ms: float | None = None) -> Observer:
    reader = StateReader([entry.name for entry in SPEC.state], JOINTS, EXTRAS)
    found = {"front": front, "wrist": wrist}
    return Observer(SPEC, found, reader, 100 * MS, limits, None if skew_ms is None else round(skew_ms * MS))


def ages(seen) -> dict[str, float]:
    return {name: (NOW - shown.capture_ns) / MS for name, shown in seen.images.items()}


def test_every_camera_has_its_own_age_limit() -> None:
    limits = {"front": CameraLimits(30 * MS)}
    front, wrist = Several("front", 29), Several("wrist", 90, shape=(2, 3))
    assert ages(seeing(front, wrist, limits).observe(request(), NOW)) == {"front": 29, "wrist": 90}
    front.ages = [31]
    with pytest.raises(NotReady, match="camera 'front': the newest frame is 31 ms old, allowed 30 ms"):
        seeing(front, wrist, limits).observe(request(), NOW)


def test_a_stamp_that_may_be_off_counts_as_if_it_were() -> None:
    wrist = Several("wrist", 0, shape=(2, 3))
    seeing(Several("front", 90, error_ms=10), wrist).observe(request(), NOW)
    with pytest.raises(NotReady, match="camera 'front': the newest frame is 101 ms old"):
        seeing(Several("front", 90, error_ms=11), wrist).observe(request(), NOW)


def test_a_frozen_camera_is_named_and_counted() -> None:
    front = Several("front", *range(90, -1, -10), mark=7)
    watching = seeing(front, Several("wrist", 0, shape=(2, 3)), {"front": CameraLimits(100 * MS, 80 * MS)})
    with pytest.raises(NotReady, match="camera 'front' is frozen: the same picture for 90 ms, allowed 80 ms"):
        watching.observe(request(), NOW)
    assert watching.refused == {"front": {"frozen": 1}, "wrist": {}}


def test_a_camera_that_shows_only_its_newest_frame_is_watched_by_its_pixels() -> None:
    shown = cameras()
    reader = StateReader([], JOINTS, EXTRAS)
    watching = Observer(SPEC, shown, reader, 100 * MS, {"front": CameraLimits(100 * MS, 80 * MS)})
    for at_ms in range(0, 81, 10):
        shown["front"].frame = replace(frame(), capture_ns=NOW + at_ms * MS, seq=at_ms)
        watching.observe(request(), NOW + at_ms * MS)
    shown["front"].frame = replace(frame(), capture_ns=NOW + 90 * MS, seq=90)
    with pytest.raises(NotReady, match="camera 'front' is frozen: the same picture for 90 ms"):
        watching.observe(request(), NOW + 90 * MS)
    shown["front"].frame = replace(frame(first=1), capture_ns=NOW + 95 * MS, seq=95)
    watching.observe(request(), NOW + 95 * MS)


def test_the_newest_frames_that_belong_together_are_shown_and_only_they_are_decoded() -> None:
    front, wrist = Several("front", 80, 50, 20), Several("wrist", 75, 55, shape=(2, 3))
    assert ages(seeing(front, wrist, skew_ms=10).observe(request(), NOW)) == {"front": 50, "wrist": 55}
    assert (front.decoded, wrist.decoded) == ([50], [55])


def test_frames_too_far_apart_are_not_shown_together() -> None:
    front, wrist = Several("front", 20, 10), Several("wrist", 75, shape=(2, 3))
    watching = seeing(front, wrist, skew_ms=50)
    with pytest.raises(NotReady, match=r"cameras 'wrist' and 'front': .* 65 ms apart, allowed 50 ms"):
        watching.observe(request(), NOW)
    assert watching.refused == {"front": {}, "wrist": {"skew": 1}}
    assert front.decoded == wrist.decoded == []


def test_a_frame_that_is_too_old_is_not_shown_though_it_would_match() -> None:
    front, wrist = Several("front", 101, 10), Several("wrist", 100, shape=(2, 3))
    with pytest.raises(NotReady, match="90 ms apart"):
        seeing(front, wrist, skew_ms=50).observe(request(), NOW)


def test_a_frame_that_cannot_be_decoded_is_passed_over() -> None:
    front = Several("front", 50, 20, broken={20})
    wrist = Several("wrist", 45, 25, shape=(2, 3))
    assert ages(seeing(front, wrist, skew_ms=10).observe(request(), NOW)) == {"front": 50, "wrist": 45}
    front = Several("front", 50, 20, broken={20, 50})
    with pytest.raises(NotReady, match="camera 'front' has sent no fresh frame that can be decoded"):
        seeing(front, wrist).observe(request(), NOW)


def test_the_pictures_of_a_camera_never_go_back() -> None:
    front, wrist = Several("front", 50, 20), Several("wrist", 45, 15, shape=(2, 3))
    watching = seeing(front, wrist, skew_ms=10)
    assert ages(watching.observe(request(), NOW)) == {"front": 20, "wrist": 15}
    wrist.ages = [45]  # its newer frame is gone, so only an older pair would match
    with pytest.raises(NotReady, match="apart"):
        watching.observe(request(), NOW)


def test_what_is_doubtful_about_a_dark_camera_is_said() -> None:
    shown = cameras(front=None)
    shown["front"].doubt = "its frames are stamped 3600.000 s ahead of this machine's clock"
    with pytest.raises(NotReady, match="camera 'front' has sent no frame that can be used: its frames are stamped"):
        Observer(SPEC, shown, StateReader([], JOINTS, EXTRAS), 100 * MS).observe(request(), NOW)
