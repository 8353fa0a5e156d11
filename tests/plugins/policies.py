"""A small contract, and parts that only remember."""

import numpy as np

from vla_runtime.core.instructions import InstructionEncoding
from vla_runtime.core.spec import ActionSpec, CameraSpec, GoldenSample, Normalisation, PolicySpec, StateSpec
from vla_runtime.core.types import Frame, PlanRequest, RobotState

MS = 1_000_000
NOW = 5_000 * MS
JOINTS, EXTRAS = ("lift", "turn"), ("force", "target")
FRONT, WRIST = CameraSpec("front", 4, 6), CameraSpec("wrist", 2, 3, resize="area")
SPEC = PolicySpec(
    name="arm",
    chunk_length=3,
    dt_ns=20 * MS,
    actions=(ActionSpec("lift", "m", 0.0, 0.4), ActionSpec("turn", "rad", -3.0, 3.0)),
    state=(StateSpec("turn.position", "rad"), StateSpec("target", "none"), StateSpec("lift.velocity", "none")),
    cameras=(FRONT, WRIST),
    instruction=InstructionEncoding("table", 2, ("stay", "go")),
    head="continuous",
    normalisation=Normalisation((0.0,) * 3, (1.0,) * 3, (0.0,) * 2, (1.0,) * 2),
    golden=GoldenSample("go", ((1.0, 2.0), (3.0, 4.0), (5.0, 6.0)), 1e-3),
)
ACTIONS = np.array(SPEC.golden.actions, dtype=np.float32)


class Camera:
    """Shows ``frame``."""

    def __init__(self, name: str, frame: Frame | None) -> None:
        self.name, self.frame = name, frame

    def latest(self) -> Frame | None:
        return self.frame

    def close(self) -> None: ...


class Policy:
    """Answers ``actions`` and keeps what it was asked."""

    hash = "cafe"

    def __init__(self, actions=ACTIONS, spec: PolicySpec = SPEC) -> None:
        self.spec, self.actions, self.asked, self.closed = spec, actions, [], False

    def infer(self, images, state, instruction_id):
        self.asked.append((dict(images), state, instruction_id))
        return self.actions

    def close(self) -> None:
        self.closed = True


def picture(height: int, width: int, first: int = 0) -> np.ndarray:
    return (np.arange(height * width * 3) * 7 + first).astype(np.uint8).reshape(height, width, 3)


def frame(age_ms: float = 0.0, shape: tuple[int, int] = (4, 6), seq: int = 0, first: int = 0) -> Frame:
    return Frame(picture(*shape, first), NOW - round(age_ms * MS), seq)


def cameras(**frames: Frame | None) -> dict[str, Camera]:
    shown = {"front": frame(seq=7), "wrist": frame(shape=(2, 3), seq=9, first=100)} | frames
    return {name: Camera(name, shot) for name, shot in shown.items()}


def request(seq: int = 0, stamp_ns: int = NOW, velocity=(0.5, 0.6), instruction: str = "go") -> PlanRequest:
    speed = None if velocity is None else np.array(velocity)
    state = RobotState(np.array([0.1, 0.2]), speed, stamp_ns - MS, 3, np.array([8.0, 9.0]))
    return PlanRequest(seq, stamp_ns, state, instruction)
