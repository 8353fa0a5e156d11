"""The reference: no plan and no executor, the truth itself on absolute deadlines. What the machine allows."""

from __future__ import annotations

import time

import numpy as np
from fake import Arm, cost, report, setting, truth


def main() -> None:
    run = setting()
    if run.cost_only:
        report(("numpy",), step_us=cost(truth, [1.0] * 500))
        return
    arm = Arm(run.seconds)
    start = time.monotonic()
    tick = 0
    while not arm.over:
        arm.command(np.append(truth(arm.now()), 0.0))
        tick = max(tick + 1, int((time.monotonic() - start) * run.rate_hz) + 1)
        time.sleep(max(0.0, start + tick * run.period_s - time.monotonic()))
    arm.save(run.commands)
    report(("numpy",))


if __name__ == "__main__":
    main()
