"""torchrl: MultiStepActorWrapper as the executor. torchrl brings no real-time loop: it gets the best, of absolute
deadlines. Half of each chunk is executed (``replan_interval``), as by the others.
"""

from __future__ import annotations

import time

import torch
from fake import JOINTS, Arm, Policy, Setting, cost, report, resampled, setting
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.modules import MultiStepActorWrapper


def executor(run: Setting) -> MultiStepActorWrapper:
    policy = Policy.of(run)

    def chunk(seconds: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(resampled(policy.infer(float(seconds)), run.period_s))[None]

    actor = TensorDictModule(chunk, in_keys=["seconds"], out_keys=["action_chunk"])
    return MultiStepActorWrapper(actor, n_steps=run.rows, replan_interval=run.replan)


def cached() -> MultiStepActorWrapper:
    rows = torch.zeros(1, 1000, len(JOINTS))
    actor = TensorDictModule(lambda seconds: rows, in_keys=["seconds"], out_keys=["action_chunk"])
    return MultiStepActorWrapper(actor, n_steps=1000)


def observed(data: TensorDict, seconds: float) -> TensorDict:
    data["seconds"] = torch.tensor([[seconds]], dtype=torch.float64)
    return data


def begun() -> TensorDict:
    return TensorDict({"is_init": torch.ones(1, 1, dtype=torch.bool)}, batch_size=[1])


def main() -> None:
    torch.set_num_threads(1)
    run = setting()
    packages = ("torchrl", "tensordict", "torch", "numpy")
    with torch.no_grad():
        if run.cost_only:
            step, data = cached(), observed(begun(), 0.0)
            step(data)
            data["is_init"] = torch.zeros(1, 1, dtype=torch.bool)
            report(packages, step_us=cost(step, [data] * 200))
            return
        arm, step, data = Arm(run.seconds), executor(run), begun()
        start, tick = time.monotonic(), 0
        while not arm.over:
            arm.command(step(observed(data, arm.now()))["action"][0].numpy())
            data["is_init"] = torch.zeros(1, 1, dtype=torch.bool)
            tick = max(tick + 1, int((time.monotonic() - start) * run.rate_hz) + 1)
            time.sleep(max(0.0, start + tick * run.period_s - time.monotonic()))
    arm.save(run.commands)
    report(packages, replan_interval=run.replan)


if __name__ == "__main__":
    main()
