"""From the newest frames and a robot state to a policy's input, and on to a chunk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from vla_runtime.core.protocols import Camera, Policy
from vla_runtime.core.sampling import request_seed
from vla_runtime.core.spec import CameraSpec, PolicySpec
from vla_runtime.core.state import StateInputs, state_at
from vla_runtime.core.types import F32, U8, ActionChunk, Frame, Observation, PlanRequest, RobotState, Shot
from vla_runtime.plugins.planners.continuing import continuation_at, takeover_state
from vla_runtime.plugins.planners.fresh import CameraLimits, FreshCamera, NotReady
from vla_runtime.plugins.planners.match import match

__all__ = ["NotReady", "Observer", "StateReader", "fit", "plan"]

_ANY_SKEW_NS = 1 << 62


class StateReader:
    """Picks the policy's state inputs f32[S] out of a robot state, by name: ``core.state`` for a planner."""

    def __init__(self, names: Sequence[str], joints: Sequence[str], extras: Sequence[str]) -> None:
        self._inputs = StateInputs(names, joints, extras)

    def read(self, state: RobotState) -> F32:
        """f32[S].

        Raises:
            NotReady: the robot does not measure one of them, or has another number of joints or extras.
        """
        try:
            return self._inputs.pick(state)
        except ValueError as error:
            raise NotReady(str(error)) from error


class Observer:
    """Makes observations from ``cameras``, one for each camera of the policy, by name.

    Args:
        max_age_ns: a frame captured longer ago than this is not shown to the policy, where ``limits`` has no entry for
            its camera.
        limits: by camera.
        max_skew_ns: frames whose captures lie farther apart are not shown together; None for no such limit.
    """

    def __init__(
        self,
        spec: PolicySpec,
        cameras: Mapping[str, Camera],
        states: StateReader,
        max_age_ns: int,
        limits: Mapping[str, CameraLimits] | None = None,
        max_skew_ns: int | None = None,
    ) -> None:
        self._rows, self._dt_ns = spec.chunk_length, spec.dt_ns
        self._state_time = spec.state_time
        self._states = states
        self._max_skew_ns = _ANY_SKEW_NS if max_skew_ns is None else max_skew_ns
        limits = limits or {}
        self._cameras = {
            camera.name: FreshCamera(
                camera.name, cameras.get(camera.name), limits.get(camera.name, CameraLimits(max_age_ns))
            )
            for camera in spec.cameras
        }

    @property
    def refused(self) -> dict[str, Counter[str]]:
        """By camera, why it could not serve how many requests."""
        return {name: camera.refused for name, camera in self._cameras.items()}

    def observe(self, request: PlanRequest, now_ns: int) -> Observation:
        """The observation for ``request``, stamped with the oldest capture in it.

        Its state is of the instant that the policy's contract names.

        Raises:
            NotReady: a camera has sent nothing yet, nothing fresh or nothing new, or no frames belong together.
        """
        shots = {name: camera.shots(now_ns) for name, camera in self._cameras.items()}
        frames = self._frames(shots)
        stamp_ns = min((frame.capture_ns for frame in frames.values()), default=request.state.stamp_ns)
        robot = request.state
        if self._state_time == "capture":
            robot = state_at(stamp_ns, request.state, request.history)
        elif self._state_time == "takeover":
            robot = takeover_state(request, self._dt_ns)
        continuation = continuation_at(stamp_ns, request, self._rows, self._dt_ns)
        return Observation(frames, self._states.read(robot), request.instruction, stamp_ns, robot, continuation)

    def _frames(self, shots: dict[str, list[Shot]]) -> dict[str, Frame]:
        """The best matching frames that can be decoded; no other is."""
        while True:
            picked = match(
                {name: [shot.capture_ns for shot in held] for name, held in shots.items()}, self._max_skew_ns
            )
            if picked is None:
                raise NotReady(self._apart(shots))
            chosen = {
                name: next(shot for shot in held if shot.capture_ns == picked[name]) for name, held in shots.items()
            }
            frames = {name: shot.look() for name, shot in chosen.items()}
            for name, frame in frames.items():
                if frame is None:
                    shots[name].remove(chosen[name])
                    if not shots[name]:
                        self._cameras[name].undecodable()
            seen = {name: frame for name, frame in frames.items() if frame is not None}
            if len(seen) == len(frames):
                for name, shot in chosen.items():
                    self._cameras[name].show(shot)
                return seen

    def _apart(self, shots: Mapping[str, Sequence[Shot]]) -> str:
        newest = sorted((held[-1].capture_ns, name) for name, held in shots.items())
        (oldest_ns, late), (newest_ns, early) = newest[0], newest[-1]
        self._cameras[late].refused["skew"] += 1
        return (
            f"cameras {late!r} and {early!r}: their newest frames were captured {(newest_ns - oldest_ns) / 1e6:.0f} ms "
            f"apart, allowed {self._max_skew_ns / 1e6:.0f} ms"
        )


def fit(pixels: U8, camera: CameraSpec) -> U8:
    """``pixels`` as the policy's contract wants them.

    Raises:
        NotReady: another size, and the contract's resize rule is ``none``.
    """
    if pixels.shape == (camera.height, camera.width, 3):
        return pixels
    if camera.resize == "none":
        raise NotReady(
            f"camera {camera.name!r} sends {pixels.shape[0]}x{pixels.shape[1]}, "
            f"the policy takes {camera.height}x{camera.width}"
        )
    import cv2

    resized: U8 = cv2.resize(pixels, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
    return resized


def plan(policy: Policy, observation: Observation, request: PlanRequest, chunk_seq: int) -> ActionChunk:
    """Run ``policy`` once, for ``request``."""
    images = {camera.name: fit(observation.images[camera.name].pixels, camera) for camera in policy.spec.cameras}
    instruction_id = policy.spec.instruction.encode(observation.instruction)
    continuation, more = observation.continuation, {}
    if getattr(policy, "samples", False) or getattr(policy, "continues", False):
        more = {"continuation": continuation, "seed": request_seed(request)}
    held = continuation is not None and getattr(policy, "rtc", "off") != "off"
    actions = policy.infer(images, observation.state, instruction_id, **more)
    return ActionChunk(
        actions=actions,
        t0_ns=observation.stamp_ns,
        dt_ns=policy.spec.dt_ns,
        seq=chunk_seq,
        request_seq=request.seq,
        policy_hash=policy.hash,
        frames={name: frame.seq for name, frame in observation.images.items()},
        state=observation.robot,
        delay=continuation.delay if continuation is not None and held else None,
    )
