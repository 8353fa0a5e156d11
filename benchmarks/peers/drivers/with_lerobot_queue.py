"""lerobot: ActionQueue and LatencyTracker in RTC mode, in two threads as its example for real robots runs them.

The two loops are no part of its package; they are re-stated here from examples/rtc/eval_with_real_robot.py, with its
pauses (0.1 s between looks at a full queue; 1 ms less than the period after an action) and its proportions: a new chunk
is asked for when 30 of 50 rows are left. The policy needs no guidance: its plans agree.
"""

from __future__ import annotations

import logging
import math
import threading
import time

import lerobot_import  # noqa: F401
import torch
from fake import JOINTS, Arm, Policy, Setting, cost, report, resampled, setting
from lerobot.policies.rtc.action_queue import ActionQueue
from lerobot.policies.rtc.configuration_rtc import RTCConfig
from lerobot.policies.rtc.latency_tracker import LatencyTracker


def plan(run: Setting, arm: Arm, queue: ActionQueue, threshold: int, over: threading.Event) -> None:
    policy, latencies = Policy.of(run), LatencyTracker()
    while not over.is_set():
        if queue.qsize() > threshold:
            time.sleep(0.1)
            continue
        begun = time.perf_counter()
        index = queue.get_action_index()
        chunk = torch.from_numpy(resampled(policy.infer(arm.now()), run.period_s))
        latency = time.perf_counter() - begun
        latencies.add(latency)
        queue.merge(chunk.clone(), chunk, math.ceil(latency / run.period_s), index)


def act(run: Setting, arm: Arm, queue: ActionQueue) -> None:
    while not arm.over:
        begun = time.perf_counter()
        action = queue.get()
        if action is not None:
            arm.command(action.numpy())
        time.sleep(max(0.0, run.period_s - (time.perf_counter() - begun) - 0.001))


def main() -> None:
    torch.set_num_threads(1)
    logging.getLogger("lerobot").setLevel(logging.ERROR)
    run = setting()
    queue = ActionQueue(RTCConfig(enabled=True, execution_horizon=10))
    packages = ("lerobot", "torch", "numpy")
    if run.cost_only:
        rows = torch.zeros(600, len(JOINTS))
        report(packages, step_us=cost(lambda _: queue.get(), range(500), lambda: queue.merge(rows, rows, 0, None)))
        return
    arm, over, threshold = Arm(run.seconds), threading.Event(), run.rows * 30 // 50
    planner = threading.Thread(target=plan, args=(run, arm, queue, threshold, over), daemon=True)
    planner.start()
    act(run, arm, queue)
    over.set()
    planner.join(5.0)
    arm.save(run.commands)
    report(packages, execution_horizon=10, action_queue_size_to_get_new_actions=threshold)


if __name__ == "__main__":
    main()
