"""The types of a robot config. ``robot_configs/arm.yaml`` explains every key; ``load.py`` reads and checks them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from vla_runtime.core.choice import Interpolation, Rtc, Sampling, StrategyName
from vla_runtime.core.spec import Unit

__all__ = [
    "CameraConfig",
    "ChunksConfig",
    "ControlConfig",
    "CpusConfig",
    "DeviceConfig",
    "JointConfig",
    "LinkConfig",
    "LogConfig",
    "MetricsConfig",
    "PolicyConfig",
    "RealtimeConfig",
    "RobotConfig",
]

Positive = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
Rate = Annotated[float, msgspec.Meta(ge=0.01, le=2000)]
Pixels = Annotated[int, msgspec.Meta(ge=1, le=8192)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Core = Annotated[int, msgspec.Meta(ge=0, le=4095)]
Priority = Annotated[int, msgspec.Meta(ge=0, le=90)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\Z", max_length=64)]


class JointConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One joint: its limits, in ``unit`` and per second, second squared and second cubed, and alignment tolerance.

    ``acceleration`` and ``jerk`` come together, for all joints or for none: without them only speed is limited.
    ``lead`` bounds how far ahead of its measured position a joint is sent; left out, it is not bounded.
    ``interpolation`` left out: that of ``chunks``.
    """

    name: Name
    unit: Unit
    position: tuple[float, float]
    velocity: Positive
    align_tolerance: Positive
    acceleration: Positive | None = None
    jerk: Positive | None = None
    lead: Positive | None = None
    interpolation: Interpolation | None = None


class CameraConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One camera. An empty ``endpoint`` is the robot's own private socket.

    ``max_age_ms`` left out: the policy's ``frame_timeout_ms``. ``frozen_ms`` 0: its pictures may repeat. ``clock``: who
    stamps its frames; ``local``: this machine, ``robot``: the robot's host, else where that machine says its time.
    """

    name: Name
    height: Pixels
    width: Pixels
    type: str = "zmq"
    fps: Rate = 30.0
    encoding: Literal["jpeg", "raw"] = "jpeg"
    max_age_ms: Positive | None = None
    frozen_ms: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 500.0
    clock: str = "local"
    endpoint: str = ""
    insecure: bool = False
    options: dict[str, Any] = {}


class LinkConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the control process reaches the robot. An empty ``endpoint`` is the robot's own private socket."""

    type: str = "host"
    endpoint: str = ""
    insecure: bool = False
    options: dict[str, Any] = {}


class DeviceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``vla-host`` drives. ``dead_man_ms`` left out: the larger of 3 control periods and 20 ms."""

    type: str
    dead_man_ms: Positive | None = None
    options: dict[str, Any] = {}


class ControlConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The loop's rate and how long it waits for what."""

    rate_hz: Annotated[float, msgspec.Meta(ge=1, le=2000)]
    state_timeout_ms: Positive = 100.0
    hold_timeout_ms: Positive = 3000.0
    settle_ms: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 100.0
    gap_timeout_ms: Positive = 250.0


class PolicyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which policy file, and how it is run. ``replan_interval`` left out: open loop.

    ``max_plan_age_ms`` 0: a chunk's whole length. ``rtc`` and ``draws``: see ``core.sampling``.
    """

    file: str
    step_hz: Rate
    type: str = "onnx"
    replan_interval: Count | None = None
    threads: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    answer_timeout_ms: Positive = 300.0
    hang_timeout_ms: Positive = 1000.0
    heartbeat_timeout_ms: Positive = 1000.0
    max_plan_age_ms: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 0.0
    frame_timeout_ms: Positive = 250.0
    max_skew_ms: Positive = 100.0
    rtc: Rtc = "auto"
    draws: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1

    @property
    def sampling(self) -> Sampling:
        return Sampling(self.rtc, self.draws)


class ChunksConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the policy's chunks become one motion. ``actuation_lead_ms``: commands are sent so long ahead."""

    strategy: StrategyName = "latest"
    blend_rows: Annotated[float, msgspec.Meta(gt=0, le=10_000)] = 4.0
    ensemble_decay: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.01
    interpolation: Interpolation = "linear"
    actuation_lead_ms: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 0.0


class LogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where episodes are written; "" for nowhere."""

    directory: str = "episodes"


class CpusConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which cores each process may run on; none listed: any."""

    control: tuple[Core, ...] = ()
    planner: tuple[Core, ...] = ()
    recorder: tuple[Core, ...] = ()
    host: tuple[Core, ...] = ()


class RealtimeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of the kernel: SCHED_FIFO priorities (0: none), memory, cores; and how long to spin at a tick."""

    priority: Priority = 20
    host_priority: Priority = 30
    lock_memory: bool = True
    spin_us: Annotated[int, msgspec.Meta(ge=0, le=200)] = 200
    cpus: CpusConfig = CpusConfig()


class MetricsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a Prometheus server may read the run's metrics; ``port`` 0 for nowhere."""

    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    address: str = "127.0.0.1"
    insecure: bool = False


class RobotConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A robot: everything ``vla-run`` and ``vla-host`` need to know. ``realtime`` left out: nothing of it is asked."""

    name: Name
    instruction: str
    joints: tuple[JointConfig, ...]
    cameras: tuple[CameraConfig, ...]
    control: ControlConfig
    policy: PolicyConfig
    chunks: ChunksConfig = ChunksConfig()
    extras: tuple[Name, ...] = ()
    robot: LinkConfig = LinkConfig()
    host: Literal["local", "remote"] = "remote"
    device: DeviceConfig | None = None
    log: LogConfig = LogConfig()
    realtime: RealtimeConfig | None = None
    metrics: MetricsConfig = MetricsConfig()

    @property
    def period_ns(self) -> int:
        """The control period."""
        return round(1e9 / self.control.rate_hz)

    @property
    def step_ns(self) -> int:
        """The policy step that this robot expects."""
        return round(1e9 / self.policy.step_hz)

    @property
    def joint_names(self) -> tuple[str, ...]:
        return tuple(joint.name for joint in self.joints)
