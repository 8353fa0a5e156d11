"""The reference: no plan and no executor, the truth itself on absolute deadlines. What the machine allows.

It notes an inference wherever the others would have one, so that what they show there can be told from the machine's.
"""

from __future__ import annotations

import time

import numpy as np
from fake import Arm, Slowness, cost, report, setting, truth


def main() -> None:
    run = setting()
    if run.cost_only:
        report(("numpy",), step_us=cost(truth, [1.0] * 500))
        return
    arm = Arm(run.seconds)
    start = time.monotonic()
    tick = 0
    seams = Slowness(0.0, 0.0, run.seed, run.calls)
    while not arm.over:
        if tick % run.replan == 0:
            seams.until_over(time.monotonic_ns())
        arm.command(np.append(truth(arm.now()), 0.0))
        tick = max(tick + 1, int((time.monotonic() - start) * run.rate_hz) + 1)
        time.sleep(max(0.0, start + tick * run.period_s - time.monotonic()))
    arm.save(run.commands)
    report(("numpy",))


if __name__ == "__main__":
    main()
