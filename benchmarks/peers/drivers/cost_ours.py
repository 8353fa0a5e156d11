"""What a step of ours costs: ``Scheduler.action_at`` as the loop calls it, of the scheduler that vla-run would use.

On the rows of a chunk (cached), between them (interpolated), and just after a chunk took over from another (seam).
"""

from __future__ import annotations

import json
import sys

import numpy as np
from fake import JOINTS, ROWS, STEP_S, cost, report

from vla_runtime.app.build import build_loop
from vla_runtime.app.load import load_config
from vla_runtime.control.clock import VirtualClock
from vla_runtime.control.scheduler import Scheduler
from vla_runtime.core.spec import METADATA_KEY, PolicySpec
from vla_runtime.core.types import ActionChunk

_STEP_NS = round(STEP_S * 1e9)
_TICK_NS = 20_000_000


class Stepper:
    """A scheduler with one chunk, or with one that has just taken over at ``seam_ns``."""

    def __init__(self, robot: str, policy: str) -> None:
        import onnxruntime

        session = onnxruntime.InferenceSession(policy, providers=["CPUExecutionProvider"])
        self._spec = PolicySpec.from_json(session.get_modelmeta().custom_metadata_map[METADATA_KEY])
        self._config = load_config(robot)
        self._rows = np.random.RandomState(0).standard_normal((2, ROWS, len(JOINTS))).astype(np.float32)

    def refill(self, seam_ns: int = 0) -> None:
        nobody = None
        loop = build_loop(
            self._config, self._spec, policy_hash="", instruction="", start_ns=0, clock=VirtualClock(), robot=nobody,
            planner=nobody, recorder=nobody, stop=lambda: None,
        )  # fmt: skip
        self._scheduler = loop.parts.scheduler
        self._accept(self._scheduler, 0, 0)
        if seam_ns:
            self._accept(self._scheduler, seam_ns - 2 * _STEP_NS, seam_ns)

    def step(self, now_ns: int) -> object:
        return self._scheduler.action_at(now_ns)

    def _accept(self, scheduler: Scheduler, t0_ns: int, now_ns: int) -> None:
        seq = scheduler.next_request(t0_ns)
        refusal = scheduler.accept(ActionChunk(self._rows[seq], t0_ns, _STEP_NS, seq, seq, ""), now_ns)
        if refusal:
            raise SystemExit(refusal)


def main() -> None:
    run = json.loads(sys.argv[1])
    stepper = Stepper(run["robot"], run["policy"])
    rows = [row * _STEP_NS for row in range(ROWS - 1)]
    seam_ns = 8 * _STEP_NS + _TICK_NS // 2
    fade = [seam_ns + tick * _TICK_NS // 2 for tick in range(16)]
    found = {
        "cached": cost(stepper.step, rows, stepper.refill),
        "interpolated": cost(stepper.step, [now + _TICK_NS for now in rows], stepper.refill),
        "seam": cost(stepper.step, fade, lambda: stepper.refill(seam_ns)),
    }
    report(("vla-runtime", "numpy"), step_us=found["cached"], steps_us=found)


if __name__ == "__main__":
    main()
