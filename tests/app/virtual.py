"""A device that remembers everything, a policy that wants one pose, and their config, for episodes in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vla_runtime.app.config import RobotConfig
from vla_runtime.app.load import config_from
from vla_runtime.core.instructions import InstructionEncoding
from vla_runtime.core.protocols import DeviceCamera
from vla_runtime.core.spec import ActionSpec, CameraSpec, Normalisation, PolicySpec, StateSpec
from vla_runtime.core.types import ActionChunk, PlanRequest, RobotState, Tick

MS = 1_000_000
TEXTS = ("go left", "go right", "go home")
GOALS = {"go left": 0.5, "go right": -0.5, "go home": 0.0}
JOINTS = ("turn", "lift")


def cart_config(**changes: Any) -> RobotConfig:
    """100 Hz control, 20 Hz policy steps; ``changes`` replaces or extends whole sections."""
    data: dict[str, Any] = {
        "name": "cart",
        "instruction": "go left",
        "joints": [
            {"name": "turn", "unit": "rad", "position": [-1, 1], "velocity": 50, "align_tolerance": 2},
            {"name": "lift", "unit": "m", "position": [-0.2, 0.2], "velocity": 50, "align_tolerance": 2},
        ],
        "cameras": [{"name": "front", "height": 4, "width": 6, "encoding": "raw", "fps": 30}],
        "control": {"rate_hz": 100, "hold_timeout_ms": 500},
        "policy": {"file": "none.onnx", "step_hz": 20, "replan_interval": 2, "answer_timeout_ms": 50},
    }
    for name, value in changes.items():
        data[name] = {**data[name], **value} if isinstance(value, dict) and name in data else value
    return config_from(data, Path("/nowhere"))


class Cart:
    """Is where it is told to be one step later. Done, with success, after ``success_at_s`` under a command.

    ``log``: each step's time and command. A picture's first two bytes are the number of the step that it shows, the
    third is 255: black is not among them. ``drawn``: the steps whose pictures were looked at.
    """

    def __init__(
        self, period_ns: int = 5 * MS, cameras: Sequence[DeviceCamera] = (DeviceCamera("front", 4, 6, 30.0),),
        success_at_s: float = 0.5,
    ) -> None:  # fmt: skip
        self.joints, self.extras, self.cameras = JOINTS, (), tuple(cameras)
        self.period_ns = period_ns
        self.tasks = {"go": TEXTS}
        self._success_steps = round(success_at_s * 1e9 / period_ns)
        self.resets: list[tuple[int, str]] = []
        self.stops: list[Any] = []
        self.closed = False
        self.reset(0, TEXTS[0])

    def reset(self, seed: int, instruction: str) -> None:
        self.resets.append((seed, instruction))
        self.seed, self.instruction = seed, instruction
        self.steps = self.commanded = 0
        self.log: list[tuple[int, tuple[float, ...] | None]] = []
        self.captured: list[int] = []
        self.drawn: list[int] = []
        self.position = np.zeros(2)

    def step(self, command: Any) -> None:
        self.steps += 1
        self.log.append((self.steps * self.period_ns, None if command is None else tuple(command.tolist())))
        if command is not None:
            self.position = command.copy()
            self.commanded += 1

    def measure(self) -> Any:
        return self.position, None, np.zeros(0)

    def task(self) -> tuple[int, bool, bool]:
        done = self.commanded >= self._success_steps
        return self.commanded, done, done

    def capture(self, camera: str) -> Callable[[], Any]:
        step = self.steps
        self.captured.append(step * self.period_ns)
        (size,) = [(own.height, own.width) for own in self.cameras if own.name == camera]

        def picture() -> Any:
            self.drawn.append(step)
            pixels = np.full((*size, 3), 255, dtype=np.uint8)
            pixels[0, 0] = (step // 256, step % 256, 255)
            return pixels

        return picture

    def demonstrate(self, ahead_s: Any) -> Any:
        """A straight way to the goal, there after half a second."""
        goal = np.array([GOALS[self.instruction], 0.1])
        share = np.minimum(ahead_s / 0.5, 1.0)[:, None]
        return self.position + share * (goal - self.position)

    def stop(self, category: Any) -> None:
        self.stops.append(category)

    def close(self) -> None:
        self.closed = True


def shown_step(pixels: Any) -> int:
    """The step that a picture of ``Cart`` shows."""
    return int(pixels[0, 0, 0]) * 256 + int(pixels[0, 0, 1])


SPEC = PolicySpec(
    name="cart",
    chunk_length=8,
    dt_ns=50 * MS,
    actions=(ActionSpec("turn", "rad", -1, 1), ActionSpec("lift", "m", -0.2, 0.2)),
    state=(StateSpec("turn.position", "rad"),),
    cameras=(CameraSpec("front", 4, 6),),
    instruction=InstructionEncoding("table", 3, TEXTS),
    head="continuous",
    normalisation=Normalisation((0.0,), (1.0,), (0.0,) * 2, (1.0,) * 2),
)


class Wish:
    """A policy: always the goal of what it is told. ``asked``: images, state and instruction of each call."""

    hash = "wish"

    def __init__(self, spec: PolicySpec = SPEC) -> None:
        self.spec = spec
        self.asked: list[tuple[dict[str, Any], list[float], str]] = []

    def infer(self, images: Any, state: Any, instruction_id: int) -> Any:
        text = TEXTS[instruction_id]
        self.asked.append((dict(images), state.tolist(), text))
        return np.tile(np.float32([GOALS[text], 0.1]), (self.spec.chunk_length, 1))

    def close(self) -> None: ...


class Watch:
    """A recorder that keeps everything."""

    def __init__(self) -> None:
        self.seen: list[RobotState] = []
        self.requests: list[PlanRequest] = []
        self.chunks: list[tuple[int, ActionChunk, str]] = []
        self.ticks: list[Tick] = []

    def states(self, tick: int, states: Sequence[RobotState]) -> None:
        self.seen += states

    def request(self, tick: int, request: PlanRequest) -> None:
        self.requests.append(request)

    def chunk(self, tick: int, chunk: ActionChunk, refusal: str) -> None:
        self.chunks.append((tick, chunk, refusal))

    def tick(self, tick: Tick) -> None:
        self.ticks.append(tick)


def servo_yaml(directory: Path, **device: Any) -> Path:
    """A robot file: two joints that go to named poses, without a policy of its own."""
    import yaml

    options: dict[str, Any] = {
        "rate_hz": 200, "time_constant_s": 0.02, "start": [0, 0], "task": "pose", "tolerance": 0.05,
        "success_steps": 10, "max_steps": 1000, "poses": {"near": [0.1, 0.02], "far": [-1.0, 0.15], "home": [0, 0]},
    }  # fmt: skip
    config = {
        "name": "servo",
        "instruction": "near",
        "joints": [
            {"name": "turn", "unit": "rad", "position": [-1.5, 1.5], "velocity": 2, "align_tolerance": 1},
            {"name": "lift", "unit": "m", "position": [-0.2, 0.2], "velocity": 1, "align_tolerance": 1},
        ],
        "cameras": [{"name": "front", "height": 8, "width": 8, "encoding": "raw"}],
        "host": "local",
        "device": {"type": "servo_arm", "options": options | device},
        "control": {"rate_hz": 100},
        "policy": {"file": "none.onnx", "step_hz": 20, "replan_interval": 4},
    }
    path = directory / "servo.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def sim_yaml(directory: Path) -> Path:
    """A robot file: the physics arm with its two cameras."""
    import yaml

    limits = {
        "base": 2.6, "shoulder": 1.8, "elbow": 2.4, "forearm": 3.0, "wrist": 2.0, "hand": 3.0,
    }  # fmt: skip
    joints = [
        {"name": name, "unit": "rad", "position": [-limit, limit], "velocity": 3, "align_tolerance": 0.5}
        for name, limit in limits.items()
    ]
    gripper = {"name": "gripper", "unit": "m", "position": [0.0, 0.08], "velocity": 0.2, "align_tolerance": 0.08}
    config = {
        "name": "sim",
        "instruction": "reach the red block",
        "joints": [*joints, gripper],
        "cameras": [{"name": name, "height": 96, "width": 96} for name in ("front", "wrist")],
        "host": "local",
        "device": {"type": "sim_arm", "options": {}},
        "control": {"rate_hz": 100},
        "policy": {"file": "none.onnx", "step_hz": 20, "replan_interval": 4},
    }
    path = directory / "sim.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path
