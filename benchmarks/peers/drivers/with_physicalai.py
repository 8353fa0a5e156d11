"""physicalai: RobotRuntime with a PolicySource, AsyncExecution in a thread, ChunkedActionQueue and LerpSmoother.

All at their defaults: a new chunk is asked for when half of the last is left, and fades in over 5 rows.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from fake import JOINTS, Arm, Policy, Setting, cost, report, resampled, setting
from physicalai.runtime import AsyncExecution, ChunkedActionQueue, LerpSmoother, PolicySource, RobotRuntime


@dataclass
class Seen:
    joint_positions: np.ndarray
    timestamp: float
    state: np.ndarray
    sensor_data: None = None
    images: None = None


class Body:
    def __init__(self, arm: Arm) -> None:
        self._arm = arm
        self.joint_names, self.device_ids = list(JOINTS), ("fake",)
        self.runtime: RobotRuntime | None = None

    def connect(self) -> None: ...

    def disconnect(self) -> None: ...

    def is_connected(self) -> bool:
        return True

    def get_observation(self) -> Seen:
        now = self._arm.now()
        return Seen(self._arm.position(), time.monotonic(), np.array([now]))

    def send_action(self, action: np.ndarray, *, goal_time: float = 0.1) -> None:
        self._arm.command(action)
        if self._arm.over and self.runtime is not None:
            self.runtime.stop()


class Model:
    """What AsyncExecution asks of an InferenceModel."""

    def __init__(self, run: Setting) -> None:
        self._policy, self._period_s = Policy.of(run), run.period_s
        self.chunk_size = run.rows

    def predict_action_chunk(self, observation: dict) -> np.ndarray:
        return resampled(self._policy.infer(float(observation["state"][0, 0])), self._period_s)

    def reset(self) -> None: ...


def main() -> None:
    run = setting()
    queue = ChunkedActionQueue(smoother=LerpSmoother())
    if run.cost_only:
        rows = np.zeros((600, len(JOINTS)), dtype=np.float32)
        found = cost(lambda _: queue.pop(), range(500), lambda: (queue.reset(), queue.push_chunk(rows)))
        report(("physicalai", "numpy"), step_us=found)
        return
    arm = Arm(run.seconds)
    body = Body(arm)
    source = PolicySource(Model(run), AsyncExecution(), queue)
    with RobotRuntime(body, source, fps=run.rate_hz) as runtime:
        body.runtime = runtime
        runtime.run()
    arm.save(run.commands)
    report(("physicalai", "numpy"), held=queue.total_holds, request_threshold=0.5, duration_frames=5)


if __name__ == "__main__":
    main()
