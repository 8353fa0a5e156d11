"""lerobot: ACTTemporalEnsembler with ACT's coefficient 0.01, a chunk at every tick, paced as its recording loop is.

That is what it is made for: an inference within a tick. Where one takes longer, the loop takes as long.
"""

from __future__ import annotations

import time

import lerobot_import  # noqa: F401
import torch
from fake import JOINTS, Arm, Policy, cost, report, resampled, setting
from lerobot.policies.act.modeling_act import ACTTemporalEnsembler
from lerobot.utils.robot_utils import precise_sleep


def main() -> None:
    torch.set_num_threads(1)
    run = setting()
    ensembler = ACTTemporalEnsembler(0.01, run.rows)
    packages = ("lerobot", "torch", "numpy")
    with torch.no_grad():
        if run.cost_only:
            rows = torch.zeros(1, run.rows, len(JOINTS))
            report(packages, step_us=cost(ensembler.update, [rows] * 100))
            return
        arm, policy = Arm(run.seconds), Policy.of(run)
        while not arm.over:
            begun = time.perf_counter()
            chunk = torch.from_numpy(resampled(policy.infer(arm.now()), run.period_s))[None]
            arm.command(ensembler.update(chunk)[0].numpy())
            precise_sleep(max(run.period_s - (time.perf_counter() - begun), 0.0))
    arm.save(run.commands)
    report(packages, temporal_ensemble_coeff=0.01)


if __name__ == "__main__":
    main()
